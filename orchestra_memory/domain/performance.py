"""How well agents do: running figures that each task adds to, none of them ever read to be raised.

They stand in ``AgentState.performance_metrics`` beside whatever else is kept there. A state that
was resumed in a new session has its predecessor's totals, and under ``carried`` what it began with.
So the figures of one session are its totals without what was carried, and sums over all states of
an agent, without the sums of what was carried, count every task once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..errors import InvalidRecord
from ..models import AgentState, TaskStatus
from ..values import JsonMap

CARRIED: Final = "carried"
"""Where a state keeps the totals it began with."""
SECONDS: Final = "task_seconds"
"""The seconds of all tasks that told theirs."""
TIMED: Final = "tasks_timed"
"""How many tasks told their seconds."""
ENDS: Final[Mapping[str, str]] = {
    TaskStatus.COMPLETED: "tasks_completed",
    TaskStatus.FAILED: "tasks_failed",
    TaskStatus.CANCELLED: "tasks_cancelled",
}
"""The figure that counts tasks which ended so."""
FIGURES: Final = (*ENDS.values(), SECONDS, TIMED)
COUNTED: Final = (ENDS[TaskStatus.COMPLETED], ENDS[TaskStatus.FAILED], SECONDS, TIMED)
"""The figures that are summed over many states, for which the store needs indexes."""


@dataclass(frozen=True, slots=True)
class Performance:
    """What the figures of a state say.

    ``success_rate`` is the share of completed ones among those that completed or failed,
    ``mean_seconds`` the mean over tasks that told theirs; both ``None`` where there are none.
    """

    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    success_rate: float | None = None
    mean_seconds: float | None = None


def performance(state: AgentState) -> Performance:
    """The agent's performance, in this session and those it was resumed from."""
    figures = _figures(state.performance_metrics)
    completed, failed, cancelled = (int(figures[name]) for name in ENDS.values())
    return Performance(
        completed=completed,
        failed=failed,
        cancelled=cancelled,
        success_rate=ratio(completed, completed + failed),
        mean_seconds=ratio(figures[SECONDS], figures[TIMED]),
    )


def raised_by(task_status: TaskStatus | str, seconds: float | None) -> dict[str, float]:
    """What the end of one task adds to the figures.

    Raises ``InvalidRecord`` for a status that ends no task.
    """
    if task_status not in ENDS:
        raise InvalidRecord(
            f"AgentState.task_status: {str(task_status)!r} ends no task; give one of "
            f"{', '.join(ENDS)}",
            model="AgentState",
            field="task_status",
        )
    counted: dict[str, float] = {ENDS[task_status]: 1}
    return counted if seconds is None else {**counted, SECONDS: seconds, TIMED: 1}


def carried_over(last: JsonMap, own: JsonMap) -> dict[str, Any]:
    """The metrics of a session that goes on from `last`, in which `own` were counted before."""
    counted = _own(own)
    began = {name: total - counted[name] for name, total in _figures(last).items()}
    return {**last, CARRIED: {name: number for name, number in began.items() if number}}


def _own(metrics: JsonMap) -> dict[str, float]:
    carried = metrics.get(CARRIED)
    began = _figures(carried if isinstance(carried, Mapping) else {})
    return {name: total - began[name] for name, total in _figures(metrics).items()}


def _figures(metrics: JsonMap) -> dict[str, float]:
    return {name: _number(metrics.get(name)) for name in FIGURES}


def _number(value: object) -> float:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else 0


def ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
