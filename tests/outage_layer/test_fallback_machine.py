"""Any operations, faults and deaths agree with what was acknowledged."""

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from orchestra_memory.layers.fallback import healing

from .machine import OutageMachine

SOAK = bool(os.environ.get("OUTAGE_SOAK"))


def test_what_is_acknowledged_is_stored_once_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healing, "PAUSE", 0.005)
    OutageMachine.seen.clear()
    run_state_machine_as_test(
        OutageMachine,
        settings=settings(
            deadline=None,
            derandomize=not SOAK,
            max_examples=1_000 if SOAK else 50,
            stateful_step_count=25,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
    met = {"committed", "journaled", "nothing known", "died while writing", "died later"}
    assert met <= OutageMachine.seen
