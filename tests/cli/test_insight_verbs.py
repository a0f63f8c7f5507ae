"""Figures and alerts from the command line."""

import json
from datetime import UTC, datetime, timedelta

import anyio
import pytest

import orchestra_memory as om
from orchestra_memory.domain.shards import shard_of

from .journals_left import STORE

NOW = datetime.now(UTC)


def event(number, **fields):
    return om.CoordinationEvent(
        event_id=f"e{number}",
        event_type="handoff",
        shard=shard_of(f"e{number}"),
        timestamp=NOW - timedelta(minutes=5),
        source_agent_id="a",
        target_agent_id="b",
        **fields,
    )


@pytest.fixture
def filled():
    async def fill():
        async with om.open_memory(STORE) as memory:
            agent = await memory.agents.save(agent_type="t", agent_id="a", session_id="s")
            await memory.agents.finish_task(agent, "dig", seconds=2.0)
            await memory.put_many(event(n, success=True, duration_seconds=1.0) for n in range(3))
            await memory.put(event(9, success=False, error_kind="Lost"))

    anyio.run(fill)


def said(done, code=0):
    assert done.exit_code == code, done.stderr
    return json.loads(done.stdout)


def test_figures_for_programs(cli, filled):
    (row,) = said(cli("analytics", "agents", "--json"))["rows"]
    assert (row["agent_type"], row["agent_id"], row["completed"]) == ("t", None, 1)
    (row,) = said(cli("analytics", "agents", "t", "--agent", "a", "--json"))["rows"]
    assert (row["agent_id"], row["mean_seconds"], row["success_rate"]) == ("a", 2.0, 1.0)
    (row,) = said(cli("analytics", "coordination", "--json"))["rows"]
    assert (row["succeeded"], row["failed"], row["success_rate"]) == (3, 1, 0.75)
    (row,) = said(cli("analytics", "pairs", "--source", "a", "--json"))["rows"]
    assert (row["source"], row["target"], row["failed"]) == ("a", "b", 1)
    errors = said(cli("analytics", "errors", "--every", 6, "--json"))
    assert (errors["total"], errors["kinds"][0]["counts"]) == (1, [0, 0, 0, 1])
    assert said(cli("analytics", "system", "--json"))["agents"]["idle"] == 1
    stored = said(cli("analytics", "storage", "--json"))
    assert (stored["records"]["coordination"], stored["reads"] > 0) == (4, True)


def test_figures_for_people(cli, filled):
    for verb in ("agents", "coordination", "pairs", "errors", "system", "storage"):
        done = cli("analytics", verb)
        assert done.exit_code == 0, done.stderr
        assert "billed:" in done.stderr
    assert "75.0%" in cli("analytics", "coordination").stdout
    assert "Lost" in cli("analytics", "errors").stdout
    assert cli("analytics", "errors", "--until", "2001-01-01").stdout == ""


def test_figures_refuse_what_makes_no_sense(cli):
    assert cli("analytics", "agents", "--agent", "a").exit_code == 2
    assert cli("analytics", "errors", "--every", "0").exit_code == 2
    assert cli("analytics", "errors", "--every", "nan").exit_code == 2


def test_alerts_have_an_exit_code_of_their_own(cli, filled, monkeypatch):
    done = cli("alerts")
    assert (done.exit_code, done.stdout) == (0, "nothing to alert of\n")
    monkeypatch.setenv("ORCHESTRA_ALERT_ERRORS", "0")
    done = cli("alerts")
    assert (done.exit_code, done.stdout) == (3, "1 events failed in 60 minutes\n")
    (alert,) = said(cli("alerts", "--json"), 3)["alerts"]
    assert (alert["name"], alert["value"], alert["threshold"]) == ("errors", 1, 0)
    monkeypatch.setenv("ORCHESTRA_ALERT_WINDOW", "60")
    assert cli("alerts").exit_code == 0
