"""Sample agents, events and files of an earlier system, always the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

from orchestra_memory import AgentState, AgentStatus, CoordinationEvent
from orchestra_memory import CoordinationEventType as Kind
from orchestra_memory.domain.shards import shard_of

from ..records import FIRST, SEED, WORDS

HOURS: Final = 24
"""Over which the events are spread."""
END: Final = FIRST + timedelta(hours=HOURS)
KINDS: Final = ("TimeoutError", "ToolFailed", "ValueError")
_AGENTS: Final = ("critic", "planner", "researcher", "scout", "tester", "writer")
_SHARES: Final = {
    Kind.HANDOFF: 40,
    Kind.COLLABORATION: 30,
    Kind.SPAWN: 10,
    Kind.TERMINATION: 10,
    Kind.ERROR: 10,
}
_TIMED: Final = (Kind.HANDOFF, Kind.COLLABORATION)
TYPES: Final = tuple(map(str, _SHARES))


def events(count: int, *, start: int = 0) -> Iterator[CoordinationEvent]:
    """`count` events of a day, in the order in which they happened, in their shards.

    Another `start` gives others. Times differ by what a busy day leaves between two events.
    """
    source = Random(SEED + start)
    apart = timedelta(hours=HOURS) / count
    for number in range(count):
        event_id = f"{source.getrandbits(128):032x}"
        kind = source.choices(tuple(_SHARES), tuple(_SHARES.values()))[0]
        giver, taker = source.sample(_AGENTS, k=2)
        success = _outcome(source, kind)
        yield CoordinationEvent(
            event_id=event_id,
            event_type=kind,
            timestamp=FIRST + number * apart,
            source_agent_id=f"{giver}-1",
            source_agent_type=giver,
            target_agent_id=f"{taker}-1",
            target_agent_type=taker,
            context={"note": " ".join(source.choices(WORDS, k=20)), "attempt": number % 3},
            task_context={"task_id": f"task-{number // 20}"},
            success=success,
            error_kind=source.choice(KINDS) if success is False else None,
            duration_seconds=source.randrange(1, 90_000) / 1_000 if kind in _TIMED else None,
            shard=shard_of(event_id),
        )


def _outcome(source: Random, kind: Kind) -> bool | None:
    if kind is Kind.ERROR:
        return False
    return source.choices((True, False, None), (90, 8, 2))[0]


def agents(count: int) -> list[AgentState]:
    """So many agents of one session, waiting for work."""
    return [
        AgentState(
            agent_type=_AGENTS[number % len(_AGENTS)],
            agent_id=f"agent-{number:05}",
            session_id="benchmark",
            status=AgentStatus.IDLE,
            created_at=FIRST,
            last_active=FIRST,
        )
        for number in range(count)
    ]


def write_files(folder: Path, files: int, agents_each: int) -> None:
    """A folder of an earlier system: each file holds the states of some agents, by their ids."""
    source = Random(SEED)
    for number in range(files):
        below = folder / f"team_{number // 500:03}"
        below.mkdir(parents=True, exist_ok=True)
        names = (f"agent-{number:05}-{each}" for each in range(agents_each))
        states = {name: _state(source, number) for name in names}
        text = json.dumps({"version": "1.4", "agents": states}, indent=1)
        (below / f"agents_{number:05}_state.json").write_text(text)


def _state(source: Random, number: int) -> dict[str, Any]:
    began = FIRST + timedelta(seconds=number)
    done = source.randrange(60)
    return {
        "agent_type": source.choice(_AGENTS),
        "session_id": f"session-{number % 100:03}",
        "status": source.choice(("active", "idle", "terminated")),
        "created_at": began.isoformat(),
        "last_active": (began + timedelta(minutes=done)).isoformat(),
        "memory_context": {"goal": " ".join(source.choices(WORDS, k=12))},
        "task_history": [
            {"task": " ".join(source.choices(WORDS, k=5)), "status": "completed"} for _ in range(4)
        ],
        "performance_metrics": {"tasks_completed": done, "tasks_failed": source.randrange(5)},
        "agent_config": {"model": "large", "temperature": 0.2},
        "tools_enabled": source.sample(WORDS, k=3),
    }
