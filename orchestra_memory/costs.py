"""What a store billed, by operation, and what that costs at list prices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any, Final, Literal, TypeAlias, get_args

from .errors import ConfigurationError
from .operations import FREE, Billed

Operation: TypeAlias = Literal["read", "write", "find", "aggregate"]
OPERATIONS: Final[tuple[Operation, ...]] = get_args(Operation)

PRICED_AT_ONCE: Final = 100_000
"""Documents that a price is for."""


@dataclass(frozen=True, slots=True)
class Prices:
    """What document ``reads``, ``writes`` and ``deletes`` cost: USD for 100,000 of each.

    :meth:`at` has list prices; give your own where you know better:
    ``Prices(reads=0.03, writes=0.09, deletes=0.01)``. ``source`` is where a list price is stated,
    ``checked`` the day on which that was looked up.
    """

    reads: float
    writes: float
    deletes: float
    source: str = ""
    checked: date | None = None

    @classmethod
    def at(cls, location: str) -> Prices:
        """Firestore's list prices (Standard edition) at a location, such as ``us-central1``.

        Raises ``ConfigurationError``, naming the locations that are listed, for any other.
        """
        listed = list_prices()
        if location not in listed:
            raise ConfigurationError(
                f"no list price is known for the location {location!r}, only for "
                f"{', '.join(sorted(listed))}; look yours up and give "
                "Prices(reads=..., writes=..., deletes=...), in USD for 100,000"
            )
        return listed[location]

    def dollars(self, billed: Billed) -> Decimal:
        """What this costs, in USD."""
        # By way of text: the price is the decimal number that was written, not the nearest float.
        priced = (
            (billed.reads, self.reads),
            (billed.writes, self.writes),
            (billed.deletes, self.deletes),
        )
        return sum((count * Decimal(str(price)) for count, price in priced), Decimal()) / (
            PRICED_AT_ONCE
        )


@cache
def list_prices() -> Mapping[str, Prices]:
    """The price table, by location."""
    import tomllib
    from importlib.resources import files

    text = files("orchestra_memory").joinpath("prices.toml").read_text(encoding="utf-8")
    table: dict[str, dict[str, Any]] = tomllib.loads(text)
    return {location: Prices(**entry) for location, entry in table.items()}


@dataclass(frozen=True, slots=True)
class Cost(Mapping[str, Billed]):
    """What a store billed, by operation: ``read``, ``write``, ``find`` and ``aggregate``.

    ``calls`` counts the calls made of the store, ``failed`` those of them that raised an error or
    were cancelled. What a failed call was billed is not known and not in the figures; of a write
    that stopped half way, the operations it reports as committed are. Costs can be added, and
    subtracted to get at what a piece of work was billed.
    """

    read: Billed = FREE
    write: Billed = FREE
    find: Billed = FREE
    aggregate: Billed = FREE
    calls: int = 0
    failed: int = 0

    @property
    def total(self) -> Billed:
        """All operations together."""
        return self.read + self.write + self.find + self.aggregate

    def dollars(self, prices: Prices) -> Decimal:
        """What the total costs at these prices, in USD: ``cost.dollars(Prices.at("nam5"))``.

        Operations only: no storage, no network, no free quota.
        """
        return prices.dollars(self.total)

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.read + other.read,
            self.write + other.write,
            self.find + other.find,
            self.aggregate + other.aggregate,
            self.calls + other.calls,
            self.failed + other.failed,
        )

    def __sub__(self, other: Cost) -> Cost:
        return Cost(
            self.read - other.read,
            self.write - other.write,
            self.find - other.find,
            self.aggregate - other.aggregate,
            self.calls - other.calls,
            self.failed - other.failed,
        )

    def __getitem__(self, operation: str) -> Billed:
        if operation not in OPERATIONS:
            raise KeyError(operation)
        billed: Billed = getattr(self, operation)
        return billed

    def __iter__(self) -> Iterator[str]:
        return iter(OPERATIONS)

    def __len__(self) -> int:
        return len(OPERATIONS)
