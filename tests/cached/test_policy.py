"""What is kept of a record type, and for how long."""

import pytest

from orchestra_memory import AgentState, ConfigurationError, MemoryItem
from orchestra_memory.layers.cached.policy import CachePolicy, Policies, jittered


@pytest.mark.parametrize(
    "wrong",
    [{"ttl": 0}, {"ttl": True}, {"absent_ttl": -1}, {"absent_ttl": "30"}, {"ttl": float("nan")},
     {"window": 0}, {"window": 1.5}, {"max_bytes": True}],
    ids=str,
)  # fmt: skip
def test_a_policy_out_of_range_is_refused_by_the_name_of_its_field(wrong) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        CachePolicy(**wrong)


def test_a_time_to_live_is_a_tenth_shorter_or_longer_at_most() -> None:
    assert [jittered(100, chance) for chance in (0, 0.5, 1)] == [90_000, 100_000, 110_000]


def test_entries_made_together_do_not_end_together() -> None:
    policies = Policies(1_000)
    times = {policies.ttl(MemoryItem) for _ in range(20)}
    assert len(times) > 1
    assert all(900_000 <= time <= 1_100_000 for time in times)


def test_a_record_type_has_its_own_times_or_those_of_the_layer() -> None:
    policies = Policies(1_000, {AgentState: CachePolicy(ttl=10, absent_ttl=2, records=False)})
    assert 9_000 <= policies.ttl(AgentState) <= 11_000
    assert 1_800 <= policies.absent_ttl(AgentState) <= 2_200
    assert 27_000 <= policies.absent_ttl(MemoryItem) <= 33_000
    assert policies.passed_over == {AgentState}
    assert not Policies(1).passed_over
