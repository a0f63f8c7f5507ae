"""What each legacy shape becomes; nothing here reads a file or writes a record."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_memory import (
    AgentMemory,
    AgentState,
    AgentStatus,
    CoordinationEvent,
    MemoryItem,
    SystemState,
    TaskStatus,
)
from orchestra_memory.transfer.legacy.found import Origin
from orchestra_memory.transfer.legacy.recognise import agent_name, parsed
from orchestra_memory.transfer.legacy.system import joined
from orchestra_memory.transfer.legacy.words import event_type_of, status_of

from .legacy_files import state

FILE = datetime(2025, 6, 1, tzinfo=UTC)


def founds(value, name="file"):
    return list(parsed(value, Origin(name, FILE)))


def only(value, name="file"):
    (found,) = founds(value, name)
    assert found.problem == ""
    return found


def test_a_file_that_is_one_state_becomes_that_state():
    found = only(
        state(
            "a_1",
            task_history=[{"task": "t"}, "plain"],
            performance_metrics={"tasks_completed": 3},
            tools={"search": True, "browse": False},
            children=["b"],
            current_task={"id": "t-2", "status": "running"},
        )
    )
    assert found.record == AgentState(
        agent_id="a_1",
        agent_type="scout",
        session_id="s",
        status="active",
        created_at=datetime(2025, 3, 1, 9, tzinfo=UTC),
        last_active=datetime(2025, 3, 1, 10, tzinfo=UTC),
        task_history=[{"task": "t"}, {"task": "plain"}],
        performance_metrics={"tasks_completed": 3},
        tools_enabled=["search"],
        child_agents=["b"],
        current_task="t-2",
        task_status=TaskStatus.IN_PROGRESS,
        memory_context={"current_task": {"id": "t-2", "status": "running"}},
    )


def test_agents_by_id_become_a_state_each():
    agents = {"one": {"type": "scout", "status": "running"}, "two": {"status": "stopped"}}
    records = [found.record for found in founds({"agents": agents})]
    assert [(r.agent_id, r.agent_type, r.status) for r in records] == [
        ("one", "scout", "active"),
        ("two", "agent", "terminated"),
    ]


def test_a_list_of_states_becomes_each_of_them():
    records = [found.record for found in founds([state("a"), state("b")])]
    assert [record.agent_id for record in records] == ["a", "b"]


@pytest.mark.parametrize(
    "agents",
    [{"one": state("one"), "two": state("two"), "bad": "x"}, [state("one"), None, state("two")]],
    ids=["by id", "a list"],
)
def test_an_agent_that_is_no_map_leaves_the_others(agents):
    found = founds({"agents": agents})
    assert sorted(each.record.agent_id for each in found if each.record) == ["one", "two"]
    (problem,) = [each.problem for each in found if each.problem]
    assert "not a map" in problem


def test_figures_about_agents_are_no_agents():
    found = only(state("a", agents={"total": 2, "by_type": {"scout": 2}}))
    assert found.record.memory_context["agents"]["total"] == 2


def test_no_agents_and_no_events_are_no_problem():
    assert founds({"agents": {}}) == founds({"agents": []}) == founds({"events": []}) == []


def test_a_list_in_a_state_is_part_of_it_and_no_log():
    found = only(state("a", log=["started", "stopped"]))
    assert found.record.memory_context == {"log": ["started", "stopped"]}


def test_what_lies_beside_agents_is_told():
    found = founds({"version": "1", "agents": {"a": state("a")}})[-1]
    assert found.record is None
    assert found.warnings == ("of no record, left out: version",)


def test_monitoring_without_an_agent_becomes_a_system_agent():
    value = {"status": "healthy", "last_active": "2025-03-02T00:00:00Z", "cpu_usage": 0.4, "x": 1}
    record = only(value, "monitoring_disk").record
    assert isinstance(record, AgentState)
    assert (record.agent_type, record.agent_id, record.status) == ("System", "disk", "active")
    assert record.performance_metrics == {"cpu_usage": 0.4}
    assert record.memory_context == {"x": 1}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda event: event,
        lambda event: [event],
        lambda event: {"events": [event]},
        lambda event: {"activities": [event]},
    ],
)
def test_events_are_found_alone_in_lists_and_in_maps(wrap):
    event = {
        "event_type": "AGENT_SPAWNED",
        "timestamp": "2025-03-01T09:00:00Z",
        "parent_agent": "p",
        "child_agent": "c",
        "duration_ms": 250,
        "success": True,
        "weather": "fine",
    }
    record = only(wrap(event)).record
    assert isinstance(record, CoordinationEvent)
    assert (record.event_type, record.source_agent_id, record.target_agent_id) == (
        "spawn",
        "p",
        "c",
    )
    assert (record.duration_seconds, record.success) == (0.25, True)
    assert record.context == {"weather": "fine"}


def test_an_unknown_kind_of_event_keeps_its_name_in_the_context_too():
    event = {"event_type": "Coffee Break", "timestamp": 1740820000, "agent_id": "a"}
    record = only(event).record
    assert record.event_type == "coffee_break"
    assert record.context == {"event_type": "Coffee Break"}
    assert record.source_agent_id == "a"


def test_an_event_without_an_id_gets_the_same_one_each_time():
    event = {"event": "error", "ts": 1740820000, "source": "a", "error": "no"}
    other = dict(reversed(event.items()))
    assert only(event).record.event_id == only(other).record.event_id
    assert only({**event, "source": "b"}).record.event_id != only(event).record.event_id


def test_followers_do_not_take_old_events_for_new_ones():
    event = {"event": "error", "ts": 1740820000, "source": "a"}
    assert only(event).record.committed_at == datetime.fromtimestamp(1740820000, UTC)


def test_a_chat_state_becomes_its_messages_in_order():
    chat = {
        "user_id": "maya",
        "session_id": "tuesday",
        "conversation_history": [
            {"sender": "user", "message": "Hello", "time": "2025-03-04T08:00:00"},
            {"user": "And?", "assistant": "Well."},
            "noise",
        ],
    }
    items = [found.record for found in founds(chat)]
    assert all(isinstance(item, MemoryItem) and item.user_id == "maya" for item in items)
    assert [item.text_content for item in items] == ["Hello", "And?", "Well.", "noise"]
    assert items == sorted(items, key=lambda item: item.timestamp)
    assert items[0].timestamp == datetime(2025, 3, 4, 8, tzinfo=UTC)


def test_a_state_with_a_conversation_becomes_both():
    history = [{"role": "user", "content": "Go."}]
    kinds = [
        type(f.record) for f in founds(state("a", task_history=[], conversation_history=history))
    ]
    assert kinds == [AgentState, MemoryItem]


def test_what_an_agent_has_learned_is_no_state():
    record = only({"agent_id": "a", "agent_type": "t", "learned_patterns": ["p"]}).record
    assert record == AgentMemory(agent_id="a", agent_type="t", learned_patterns=[{"pattern": "p"}])


def test_system_and_configuration_files_become_one_record():
    system = only(
        {"system_version": "2", "feature_flags": {"a": True}, "region": "eu"}, "system_state"
    )
    config = only({"limit": 5, "region": "us"}, "config")
    whole = joined([("s", system), ("c", config)])
    assert whole is not None
    assert whole.record == SystemState(
        system_version="2",
        feature_flags={"a": True},
        global_config={"region": "eu", "limit": 5, "legacy_region": "us"},
    )
    assert whole.warnings


def test_nothing_is_dropped_in_silence():
    found = only(state("a", priority="high", last_active="some day", context={"goal": "g"}))
    assert found.record.memory_context == {
        "goal": "g",
        "priority": "high",
        "last_active": "some day",
    }
    assert any("last_active is str" in warning for warning in found.warnings)
    assert any("kept in memory_context: last_active, priority" in text for text in found.warnings)


def test_missing_fields_are_defaulted_and_told():
    found = only({"agent_id": "a", "status": "idle"})
    record = found.record
    assert (record.agent_type, record.session_id) == ("agent", "migrated")
    assert record.created_at == record.last_active == FILE
    assert {"memory_context", "task_history", "parent_agent"} <= set(found.defaulted)
    assert any("no session_id" in warning for warning in found.warnings)
    assert any("tells no time" in warning for warning in found.warnings)


def test_times_without_a_zone_are_read_as_utc_and_told():
    found = only(state("a", created_at="2025-03-01 09:00:00"))
    assert found.record.created_at == datetime(2025, 3, 1, 9, tzinfo=UTC)
    assert "without a zone, read as UTC: created_at" in found.warnings


def test_an_unknown_word_for_a_status_is_kept_and_told():
    found = only(state("a", status="Day Dreaming"))
    assert found.record.status == "day_dreaming"
    assert any("status is a word" in warning for warning in found.warnings)


@pytest.mark.parametrize("value", [1, "text", None, True, {"flour": 1}, [], {}, [1, "a"]])
def test_what_is_no_legacy_shape_makes_no_record(value):
    assert all(found.record is None for found in founds(value))


def test_no_message_shows_content():
    secret = "hunter2"
    values = [state("a", last_active=secret, status=secret), {"event_type": secret, "ts": secret}]
    texts = [text for f in founds(values) for text in (*f.warnings, f.problem, f.inside)]
    assert texts
    assert not any(secret in text for text in texts)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("running", AgentStatus.ACTIVE),
        ("Stopped", AgentStatus.TERMINATED),
        ("in progress", AgentStatus.BUSY),
        ("FAILED", AgentStatus.ERROR),
        ("waiting", AgentStatus.IDLE),
        *((str(status), status) for status in AgentStatus),
    ],
)
def test_words_for_a_status_are_ours(word, status):
    assert status_of(word) is status


@pytest.mark.parametrize(
    "word", ["spawn", "agent_spawned", "AGENT-SPAWN", "spawn_event", "Created"]
)
def test_words_for_a_spawn_are_ours(word):
    assert event_type_of(word) == "spawn"


@pytest.mark.parametrize(
    ("stem", "agent"),
    [
        ("agent_planner", "planner"),
        ("planner_state", "planner"),
        ("planner_agent", "planner"),
        ("autonomous_planner", "planner"),
        ("monitoring_disk", "disk"),
        ("agent_", "agent_"),
        ("planner", "planner"),
    ],
)
def test_an_agent_without_an_id_is_called_after_its_file(stem, agent):
    assert agent_name(stem) == agent


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "agents",
                    "events",
                    "agent_id",
                    "agent_type",
                    "status",
                    "last_active",
                    "event_type",
                    "timestamp",
                    "context",
                    "conversation_history",
                    "role",
                    "content",
                    "system_version",
                    "feature_flags",
                    "config",
                    "task",
                ]
            )
            | st.text(max_size=4),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSON, st.sampled_from(["file", "config", "system_state", "monitoring_x", "coordination"]))
def test_any_json_becomes_records_or_problems_and_the_same_ones_again(value, name):
    first, second = founds(value, name), founds(value, name)
    assert first == second
    assert all(found.record or found.problem or found.warnings for found in first)
