"""Real processes on a Redis that misbehaves: a few seconds of what `nox -s cache_soak` does."""

import pytest

from .soak import MODES, NAIVE, Plan, soak


@pytest.fixture
def plan(redis_server, use_backend) -> Plan:
    use_backend("sqlite")
    return Plan(seconds=2.0, operations=3_000, unrest=2.0)


@pytest.mark.parametrize("mode", MODES)
def test_processes_under_faults_see_nothing_older_than_they_may(plan, mode) -> None:
    verdict = soak([7], [mode], plan)[mode]
    assert not verdict.violations
    assert verdict.operations > 100
    assert verdict.cached


def test_a_naive_cache_is_caught(plan) -> None:
    assert soak([7], [NAIVE], plan)[NAIVE].violations
