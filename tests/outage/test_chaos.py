"""Real processes in real outages: a few seconds of what `nox -s chaos` does."""

import pytest

from orchestra_memory.testing import redis_server

from ..owned import skip_without_program
from .chaos import FALLBACK, NAIVE, Plan, chaos

SEED = 6
"""The store is killed; then it is a black hole, Redis is killed, and a worker is."""


@pytest.fixture(autouse=True)
def counted(use_backend) -> None:
    skip_without_program(redis_server.KIND)
    use_backend("sqlite")
    use_backend("redis")


def test_what_was_acknowledged_in_outages_is_found_again_once_and_in_order() -> None:
    outcome = chaos([SEED], [FALLBACK], Plan(seconds=3.0, workers=2))[FALLBACK]
    assert not outcome.wrong
    assert outcome.counts["journaled"]
    assert outcome.kills.total()


def test_a_fallback_by_hand_is_caught() -> None:
    plan = Plan(seconds=1.0, workers=1, unrest=0.0)
    assert chaos([SEED], [NAIVE], plan)[NAIVE].wrong
