"""Documents of every released version stay readable, and today's form does not change unnoticed.

``tests/data/golden/v0`` holds documents from before there were versions, ``v1`` what version 1
stores, ``v2`` those of its types that have more fields since. A change of the stored form makes a
new directory with what it changes; the old ones stay as they are.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestra_memory import (
    AgentData,
    AgentMemory,
    AgentState,
    CoordinationEvent,
    MemoryItem,
    MemoryRecord,
    Record,
    Ref,
    SystemState,
    UserSession,
)
from orchestra_memory.codec.bytes import dumps, loads
from orchestra_memory.codec.document import decode, encode
from orchestra_memory.codec.ids import stored_id
from orchestra_memory.models import SHIPPED
from orchestra_memory.testing.contract.oracle import exact

GOLDEN = Path(__file__).parent.parent / "data" / "golden"


def at(minute: int, micros: int = 0) -> datetime:
    return datetime(2026, 1, 31, 8, minute, 30, micros, tzinfo=UTC)


FREE = {
    "text": "é😀",
    "n": [1, 1.5, True, None, [[2]]],
    "map": {"a.b": {"": "x", "$y": b"\x00\xff"}},
}
PLAIN = {"text": "é😀", "n": [1, 1.5, True, None], "map": {"a": {"b": "c"}}}
"""What a store without types of its own could keep."""


def records(free: dict, micros: int) -> list[Record]:
    """One of each type, with nothing left at its default."""
    return [
        MemoryItem(
            id="item/1", user_id="alice", session_id="s1", item_type="note",
            timestamp=at(1, micros), text_content="Hello, é😀", persona_active="sage",
            embedding=[0.5, -1.0, 0.1], metadata=free, expiration=at(2), content_hash="ab12",
        ),
        MemoryRecord(
            record_id="r1", context="project", persona="sage", content=free,
            timestamp=at(3, micros), metadata={"source": "chat"},
        ),
        AgentData(
            id="d1", agent_id="agent-7", data_type="result", timestamp=at(4, micros),
            content=[1, "two", free], metadata={"k": "v"}, expiration=at(5),
        ),
        UserSession(
            user_id="al_ice", session_id="s/1", created_at=at(6), last_active=at(7, micros),
            ended_at=at(8), metadata=free,
        ),
        AgentState(
            agent_type="planner", agent_id="7", session_id="s1", status="busy", created_at=at(9),
            started_at=at(10), last_active=at(11, micros), terminated_at=at(12),
            memory_context=free, task_history=[{"task": "t0", "ok": True}],
            performance_metrics={"tokens": 12, "cost": 0.25}, agent_config={"model": "m"},
            tools_enabled=["search", "code"], current_task="t1", task_status="in_progress",
            parent_agent="root", child_agents=["8", "9"], collaboration_context={"with": ["8"]},
        ),
        AgentMemory(
            agent_type="planner", agent_id="7", memory_count=3, last_memory_sync=at(13, micros),
            learning_context=free, learned_patterns=[{"p": 1}], decision_history=[{"d": [1, 2]}],
            performance_insights={"best": "t1"}, memory_types_count={"note": 2, "fact": 1},
            importance_distribution={"high": 1}, recent_activity=[{"at": "now"}],
        ),
        CoordinationEvent(
            event_id="e1", event_type="handoff", timestamp=at(14, micros), source_agent_id="7",
            source_agent_type="planner", target_agent_id="8", target_agent_type="coder",
            context=free, task_context={"task": "t1"}, success=False, error_message="late",
            duration_seconds=1.5,
        ),
        SystemState(
            system_version="1.2", active_sessions=4, total_agents_spawned=9, current_agent_count=2,
            system_metrics=free, error_counts={"timeout": 3}, global_config={"limit": 10},
            feature_flags={"fast": True}, emergency_stop=True, emergency_reason="drill",
        ),
    ]  # fmt: skip


def with_new_fields(record: Record) -> Record:
    """The same with what there is since version 1."""
    if not isinstance(record, CoordinationEvent):
        return record
    return record.evolve(error_kind="Timeout", shard=5, committed_at=at(15))


EXPECTED = {
    0: {type(record): record for record in records(PLAIN, 0)},
    1: {type(record): record for record in records(FREE, 123456)},
    2: {type(record): with_new_fields(record) for record in records(FREE, 123456)},
}


def golden(version: int, model: type[Record]) -> str:
    """The document of this version, or of the last one before it that changed its form."""
    files = (GOLDEN / f"v{each}" / f"{model.__name__}.json" for each in range(version, -1, -1))
    return next(file for file in files if file.exists()).read_text(encoding="utf-8")


def text_of(record: Record) -> str:
    """Today's stored form, as the files hold it."""
    document = json.loads(dumps(encode(record)))
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("version", EXPECTED)
@pytest.mark.parametrize("model", SHIPPED)
def test_documents_of_every_version_are_readable(version, model) -> None:
    expected = EXPECTED[version][model]
    record = decode(Ref(model, expected.key), loads(golden(version, model)))
    assert record == expected
    assert exact(dict(record)) == exact(dict(expected))
    assert dict(record.unknown_fields) == {}


@pytest.mark.parametrize("model", SHIPPED)
def test_todays_form_is_that_of_the_newest_version(model) -> None:
    assert text_of(EXPECTED[max(EXPECTED)][model]) == golden(max(EXPECTED), model)


@pytest.mark.parametrize("model", SHIPPED)
def test_an_old_document_read_and_written_again_has_todays_form(model) -> None:
    expected = EXPECTED[0][model]
    record = decode(Ref(model, expected.key), loads(golden(0, model)))
    assert text_of(record) == text_of(expected)


def test_the_first_version_had_no_version_and_no_types_for_times() -> None:
    for model in SHIPPED:
        assert "schema_version" not in golden(0, model)
        assert "$time" not in golden(0, model)


def test_ids_of_every_type_are_pinned() -> None:
    assert [stored_id(record.key) for record in EXPECTED[1].values()] == [
        "~eitem%2F1",
        "r1",
        "d1",
        "al%5Fice_s%2F1",
        "planner_7_s1",
        "planner_7",
        "e1",
        "global_config",
    ]
