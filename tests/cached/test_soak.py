"""Real processes on a Redis that misbehaves: a few seconds of what `nox -s cache_soak` does."""

import pytest

from orchestra_memory.testing.redis_server import KIND

from ..owned import skip_without_program
from .soak import MODES, NAIVE, Plan, soak

SEEDS = range(1, 6)
"""The first one shows it, unless the machine is too busy for Redis to answer in time."""


@pytest.fixture
def plan(redis_server, use_backend) -> Plan:
    skip_without_program(KIND)
    use_backend("sqlite")
    return Plan(seconds=10.0, operations=1_800, unrest=0.5)


@pytest.mark.parametrize("mode", MODES)
def test_processes_under_faults_see_nothing_older_than_they_may(plan, mode) -> None:
    for seed in SEEDS:
        verdict = soak([seed], [mode], plan)[mode]
        assert not verdict.violations
        if verdict.cached:
            return
    pytest.fail("the cache was never of use")


def test_a_naive_cache_is_caught(plan) -> None:
    assert any(soak([seed], [NAIVE], plan)[NAIVE].violations for seed in SEEDS)
