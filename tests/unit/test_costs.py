"""Costs add up, and prices are what somebody stated."""

from dataclasses import FrozenInstanceError
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_memory import Billed, ConfigurationError, Cost, Prices
from orchestra_memory.costs import list_prices

COUNTS = st.integers(0, 10**9)
BILLED = st.builds(Billed, COUNTS, COUNTS, COUNTS)
COSTS = st.builds(Cost, BILLED, BILLED, BILLED, BILLED, COUNTS, COUNTS)
PRICES = st.sampled_from(sorted(list_prices()))


@given(COSTS, COSTS)
def test_what_was_added_can_be_subtracted(one: Cost, other: Cost) -> None:
    assert one + other - other == one
    assert one + Cost() == one
    assert one - one == Cost()
    assert one + other == other + one


@given(COSTS, COSTS, PRICES)
def test_the_total_and_the_dollars_of_two_are_those_of_both(
    one: Cost, other: Cost, location: str
) -> None:
    prices = Prices.at(location)
    assert (one + other).total == one.total + other.total
    assert (one + other).dollars(prices) == one.dollars(prices) + other.dollars(prices)


def test_a_cost_is_a_mapping_of_operations() -> None:
    cost = Cost(read=Billed(reads=1), write=Billed(writes=2), find=Billed(reads=3), calls=3)
    assert dict(cost) == {
        "read": Billed(reads=1),
        "write": Billed(writes=2),
        "find": Billed(reads=3),
        "aggregate": Billed(),
    }
    assert cost.total == Billed(reads=4, writes=2)
    for other in ("total", "calls", "reads"):
        assert other not in cost
        with pytest.raises(KeyError, match=other):
            cost[other]


def test_a_cost_does_not_change() -> None:
    cost = Cost()
    with pytest.raises(FrozenInstanceError):
        cost.calls = 1  # type: ignore[misc]
    assert len({cost, Cost(), Cost(calls=1)}) == 2


def test_prices_are_for_100_000_documents() -> None:
    prices = Prices(reads=0.03, writes=0.09, deletes=0.01)
    many = 100_000
    assert prices.dollars(Billed(reads=many)) == Decimal("0.03")
    assert prices.dollars(Billed(writes=many)) == Decimal("0.09")
    assert prices.dollars(Billed(deletes=many)) == Decimal("0.01")
    assert prices.dollars(Billed(many, many, many)) == Decimal("0.13")
    assert prices.dollars(Billed(reads=1)) == Decimal("0.0000003")
    assert Cost(find=Billed(reads=50_000_000)).dollars(prices) == Decimal(15)


def test_no_operation_costs_nothing() -> None:
    assert Cost().dollars(Prices.at("us-central1")) == 0


def test_list_prices_of_a_location() -> None:
    prices = Prices.at("us-central1")
    assert (prices.reads, prices.writes, prices.deletes) == (0.03, 0.09, 0.01)


@pytest.mark.parametrize("location", sorted(list_prices()))
def test_every_list_price_says_where_and_when_it_was_found(location: str) -> None:
    prices = Prices.at(location)
    assert 0 < prices.deletes < prices.reads < prices.writes < 1
    assert prices.source.startswith("https://")
    assert prices.checked is not None
    assert prices.checked >= date(2026, 1, 1)


def test_an_unlisted_location_is_refused_naming_those_that_are_listed() -> None:
    with pytest.raises(ConfigurationError, match="mars-north1") as refused:
        Prices.at("mars-north1")
    for known in (*list_prices(), "Prices(reads=..., writes=..., deletes=...)"):
        assert known in str(refused.value)
