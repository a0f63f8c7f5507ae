"""Agents, what happened between them, and the system, from the command line."""

import json

import anyio
import pytest

import orchestra_memory as om
from orchestra_memory import AgentState, AgentStatus, open_memory
from orchestra_memory.domain.agents import Agents
from orchestra_memory.domain.coordination import Coordination
from orchestra_memory.domain.system import System

STORE = "sqlite:///state.db"
LEAD, BAKER = AgentState.key_of("lead", "l1", "s1"), AgentState.key_of("baker", "b1", "s1")
TASK = {"task_id": "bread"}


def lived():
    """A lead spawns a baker, hands it a task, and that fails."""

    async def live():
        async with open_memory(STORE) as memory:
            coordination, agents = Coordination(memory), Agents(memory)
            lead = await agents.save(agent_type="lead", agent_id="l1", session_id="s1")
            await coordination.spawn(
                AgentState(agent_type="baker", agent_id="b1", session_id="s1"), parent=lead
            )
            async with coordination.handoff(LEAD, BAKER, task_context=TASK):
                await agents.set_status(BAKER, AgentStatus.BUSY, task="bake")
            await agents.finish_task(BAKER, "bake", seconds=2.0)
            await coordination.fail(BAKER, "the oven \x1b[31mis cold", task_context=TASK)

    anyio.run(live)


def lines(done):
    assert done.exit_code == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def run(function):
    async def call():
        async with open_memory(STORE) as memory:
            return await function(memory)

    return anyio.run(call)


def state(key):
    return run(lambda memory: memory.get(AgentState, key))


@pytest.fixture
def at(cli):
    return lambda *arguments: cli("--url", STORE, *arguments)


class TestAgents:
    def test_those_that_work_are_listed_and_all_on_request(self, at):
        lived()
        assert [each["agent_id"] for each in lines(at("--json", "agents", "list"))] == ["l1"]
        everyone = lines(at("--json", "agents", "list", "--all"))
        assert {each["agent_id"] for each in everyone} == {"l1", "b1"}
        failed = lines(at("--json", "agents", "list", "--status", "error"))
        assert [each["agent_id"] for each in failed] == ["b1"]
        assert lines(at("--json", "agents", "list", "--session", "other")) == []

    def test_people_read_a_line_for_each(self, at):
        lived()
        (line,) = at("agents", "list").stdout.splitlines()
        assert LEAD in line
        assert "idle" in line

    def test_pages_go_on_behind_a_cursor(self, at):
        lived()
        first = at("--json", "agents", "list", "--all", "--limit", "1")
        cursor = first.stderr.split("--after ")[1].strip()
        rest = lines(at("--json", "agents", "list", "--all", "--limit", "1", "--after", cursor))
        assert {each["agent_id"] for each in [*lines(first), *rest]} == {"l1", "b1"}

    def test_one_is_shown_with_its_children_and_figures(self, at):
        lived()
        told = at("agents", "show", LEAD).stdout
        assert "children:" in told
        assert BAKER in told
        (shown,) = lines(at("--json", "agents", "show", BAKER))
        assert shown["key"] == BAKER
        assert (shown["performance"]["completed"], shown["performance"]["mean_seconds"]) == (1, 2.0)

    def test_who_is_not_there_is_said_so(self, at):
        for arguments in (("show", "x"), ("stop", "x", "--yes"), ("resume", "x", "y", "--yes")):
            done = at("agents", *arguments)
            assert done.exit_code == 1
            assert "agent" in done.stderr

    def test_one_is_stopped_with_yes_only_and_its_event_says_why(self, at):
        lived()
        assert at("agents", "stop", LEAD).exit_code == 2
        assert state(LEAD).status == AgentStatus.IDLE
        (done,) = lines(at("--json", "agents", "stop", LEAD, "--yes", "--reason", "night"))
        assert done == {"done": "stopped", "key": LEAD, "status": "terminated"}
        assert state(LEAD).terminated_at is not None
        (event,) = lines(at("--json", "coordination", "list", "--type", "termination"))
        assert event["context"] == {"reason": "night"}

    def test_one_that_has_ended_is_not_stopped_again(self, at):
        lived()
        for _ in range(2):
            assert at("agents", "stop", BAKER, "--yes").exit_code == 0
        assert "ended before" in at("agents", "stop", BAKER).stdout
        (system,) = lines(at("--json", "system", "show"))
        assert system["current_agent_count"] == 0

    def test_one_is_resumed_with_what_it_had(self, at):
        lived()
        assert at("agents", "resume", "baker", "b1").exit_code == 2
        assert at("agents", "resume", "baker", "b1", "--yes").exit_code == 0
        assert state(BAKER).status == AgentStatus.ACTIVE
        (done,) = lines(at("--json", "agents", "resume", "baker", "b1", "--session", "s2", "--yes"))
        assert done["key"] == AgentState.key_of("baker", "b1", "s2")
        assert state(done["key"]).parent_agent == LEAD

    def test_old_states_are_deleted_after_a_preview(self, at):
        lived()
        assert lines(at("--json", "agents", "cleanup")) == [{"deleted": 0}]
        preview = at("agents", "cleanup", "--days", "0")
        assert preview.exit_code == 2
        assert "1 states" in preview.stderr
        assert state(BAKER) is not None
        assert lines(at("--json", "agents", "cleanup", "--days", "0", "--yes")) == [{"deleted": 1}]
        assert state(BAKER) is None


class TestCoordination:
    def test_events_are_listed_newest_first_and_filtered(self, at):
        lived()
        kinds = [each["event_type"] for each in lines(at("--json", "coordination", "list"))]
        assert kinds == ["error", "handoff", "spawn"]
        by_lead = lines(at("--json", "coordination", "list", "--source", "l1"))
        assert {each["event_type"] for each in by_lead} == {"handoff", "spawn"}
        to_baker = lines(at("--json", "coordination", "list", "--target", "b1", "--limit", "1"))
        assert [each["event_type"] for each in to_baker] == ["handoff"]
        assert lines(at("--json", "coordination", "list", "--until", "2020-01-01")) == []

    def test_a_task_has_a_timeline_oldest_first(self, at):
        lived()
        told = lines(at("--json", "coordination", "timeline", "bread"))
        assert [each["event_type"] for each in told] == ["handoff", "error"]

    def test_one_event_is_shown_without_steering_the_terminal(self, at):
        lived()
        (event,) = lines(at("--json", "coordination", "list", "--type", "error"))
        told = at("coordination", "show", event["event_id"]).stdout
        assert "the oven [31mis cold" in told
        assert "bread" in told
        assert at("coordination", "show", "x").exit_code == 1

    def test_the_tree_shows_who_spawned_whom(self, at):
        lived()
        told = at("coordination", "tree", LEAD).stdout.splitlines()
        assert told == [f"{LEAD}  idle", f"  {BAKER}  error"]
        assert [each["depth"] for each in lines(at("--json", "coordination", "tree", LEAD))] == [
            0,
            1,
        ]
        assert at("coordination", "tree", "x").exit_code == 1


class TestSystem:
    def test_nothing_stored_is_shown_as_the_defaults_without_storing_them(self, at):
        assert "stopped" in at("system", "show").stdout
        assert run(lambda memory: memory.get(om.SystemState, "global_config")) is None

    def test_counters_flags_and_errors_are_shown(self, at):
        lived()
        (shown,) = lines(at("--json", "system", "show"))
        assert (shown["total_agents_spawned"], shown["error_counts"]) == (1, {"error": 1})

    def test_stop_and_resume_decide_what_check_says(self, at):
        assert at("system", "check").exit_code == 0
        assert at("system", "stop", "--reason", "smoke").exit_code == 2
        assert at("system", "check").exit_code == 0
        assert at("system", "stop", "--reason", "smoke", "--yes").exit_code == 0
        refused = at("system", "check")
        assert (refused.exit_code, refused.stdout) == (3, "stopped\n")
        assert "smoke" in refused.stderr
        with pytest.raises(om.EmergencyStopped):
            run(lambda memory: System(memory).check())
        assert at("system", "resume").exit_code == 2
        (done,) = lines(at("--json", "system", "resume", "--yes"))
        assert done == {"done": "resumed", "stopped": False, "flags": {}}
        run(lambda memory: System(memory).check())

    def test_a_flag_is_switched(self, at):
        assert at("system", "flag", "night_shift", "on").exit_code == 2
        (done,) = lines(at("--json", "system", "flag", "night_shift", "on", "--yes"))
        assert done["flags"] == {"night_shift": True}
        assert at("system", "flag", "night_shift", "off", "--yes").stdout == "night_shift is off\n"
        assert at("system", "show").stdout.splitlines()[-2:] == ["flags:", "night_shift  no"]

    def test_in_production_it_is_stopped_by_name(self, at, monkeypatch):
        monkeypatch.setenv("APP_ENV", "production")
        monkeypatch.setenv("ORCHESTRA_CACHE", "none")
        stop = ("system", "stop", "--reason", "smoke", "--yes")
        assert at(*stop).exit_code == 2
        assert at(*stop, "--confirm", "state.db").exit_code == 0
