"""Figures of tasks mean the same in one session and over all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_memory import AgentState, InvalidRecord, TaskStatus
from orchestra_memory.domain.agent_changes import carried_into
from orchestra_memory.domain.performance import (
    FIGURES,
    Performance,
    performance,
    raised_by,
)

SESSIONS = ("s1", "s2", "s3")
ENDS = st.sampled_from([TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED])
TASK = st.tuples(ENDS, st.none() | st.integers(0, 1_000))


def state(session: str = "s1", **metrics) -> AgentState:
    return AgentState(agent_type="t", agent_id="a", session_id=session, performance_metrics=metrics)


def worked(agent: AgentState, status: TaskStatus, seconds: float | None) -> AgentState:
    metrics = dict(agent.performance_metrics)
    for name, by in raised_by(status, seconds).items():
        metrics[name] = metrics.get(name, 0) + by
    return agent.evolve(performance_metrics=metrics)


def test_rates_and_means_of_nothing_are_none():
    assert performance(state()) == Performance(0, 0, 0, None, None)
    assert performance(state(tasks_cancelled=2)) == Performance(0, 0, 2, None, None)


def test_rates_and_means_are_those_of_the_figures():
    metrics = {"tasks_completed": 3, "tasks_failed": 1, "task_seconds": 5.0, "tasks_timed": 2}
    assert performance(state(**metrics)) == Performance(3, 1, 0, 0.75, 2.5)


def test_metrics_of_another_kind_count_for_nothing():
    metrics = {"tasks_completed": "many", "tasks_failed": True, "task_seconds": None, "carried": 3}
    assert performance(state(**metrics)) == Performance()
    assert carried_into(state("s2"), state(**metrics)).performance_metrics == {
        **metrics,
        "carried": {},
    }


@pytest.mark.parametrize("status", [TaskStatus.PENDING, TaskStatus.IN_PROGRESS, "lost"])
def test_what_ends_no_task_is_refused(status):
    with pytest.raises(InvalidRecord, match="completed, failed, cancelled"):
        raised_by(status, None)


@given(st.lists(st.tuples(st.sampled_from(SESSIONS), st.lists(TASK, max_size=4)), max_size=8))
def test_over_any_sessions_each_task_counts_once_and_the_last_state_has_them_all(visits):
    states: dict[str, AgentState] = {}
    last: AgentState | None = None
    done = state()
    for session, tasks in visits:
        if last is None:
            last = state(session)
        elif session != last.session_id:
            last = carried_into(states.get(session, state(session)), last)
        for task in tasks:
            last, done = worked(last, *task), worked(done, *task)
        states[session] = last
    for name in FIGURES:
        totals = [agent.performance_metrics for agent in states.values()]
        summed = sum(m.get(name, 0) - m.get("carried", {}).get(name, 0) for m in totals)
        assert summed == done.performance_metrics.get(name, 0)
    if last is not None:
        assert performance(last) == performance(done)
