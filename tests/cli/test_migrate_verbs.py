"""The verbs that bring in what earlier systems kept."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestra_memory import AgentState

from ..transfer.legacy_files import CORPUS, state, write

STORE = "sqlite:///state.db"


@pytest.fixture
def legacy(tmp_path):
    return write(tmp_path / "legacy", {"agents.json": {"agents": {"a": {"status": "running"}}}})


def count(cli, name="agent_states"):
    return json.loads(cli("--url", STORE, "--json", "count").stdout)[name]


def reports():
    return sorted(Path(".orchestra/migrations").glob("*.jsonl"))


def test_a_folder_is_migrated_to_a_url(cli, legacy):
    result = cli("migrate", legacy, "--to", STORE)
    assert result.exit_code == 0, result.output
    assert "migrated" in result.stdout
    assert "warning: agents.json" in result.stderr
    assert count(cli) == 1
    assert len(reports()) == 1


def test_a_dry_run_writes_nothing_and_says_so(cli, legacy):
    result = cli("migrate", legacy, "--to", STORE, "--dry-run")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0].split() == ["would", "migrate", "1"]
    assert count(cli) == 0
    assert reports() == []


def test_the_answer_is_json_where_asked_for(cli, legacy):
    result = cli("migrate", legacy, "--to", STORE, "--json", "--verify")
    answer = json.loads(result.stdout)
    assert answer["records"] == {"migrated": 1}
    assert answer["verified"]["records"] == {"verified": 1}
    assert answer["report"] == str(reports()[0])


def test_problems_are_named_and_are_the_exit_code(cli):
    result = cli("migrate", CORPUS, "--to", STORE)
    assert result.exit_code == 3
    assert "problem: broken/latin.json: not UTF-8" in result.stderr
    assert "Traceback" not in result.output


def test_an_undo_shows_what_it_would_do_and_needs_a_yes(cli, legacy):
    cli("migrate", legacy, "--to", STORE)
    shown = cli("migrate", "--undo", reports()[0], "--to", STORE)
    assert shown.exit_code == 2
    assert "delete 1 records" in shown.stderr
    assert count(cli) == 1
    done = cli("migrate", "--undo", reports()[0], "--to", STORE, "--yes")
    assert done.exit_code == 0, done.output
    assert count(cli) == 0


@pytest.mark.parametrize("option", ["--dry-run", "--resume", "--verify"])
def test_an_undo_does_not_pass_over_an_option(cli, legacy, option):
    cli("migrate", legacy, "--to", STORE)
    refused = cli("migrate", "--undo", reports()[0], "--to", STORE, "--yes", option)
    assert refused.exit_code == 2
    assert count(cli) == 1


def test_an_undo_in_another_store_is_refused(cli, legacy):
    cli("migrate", legacy, "--to", STORE)
    result = cli("migrate", "--undo", reports()[0], "--to", "sqlite:///other.db", "--yes")
    assert result.exit_code == 1
    assert "another store" in result.stderr


def test_an_undo_in_production_needs_the_name(cli, legacy, monkeypatch):
    cli("migrate", legacy, "--to", STORE)
    monkeypatch.setenv("APP_ENV", "production")
    monkeypatch.setenv("ORCHESTRA_CACHE", "none")
    undo = ("migrate", "--undo", reports()[0], "--to", STORE, "--yes")
    assert cli(*undo).exit_code == 2
    assert cli(*undo, "--confirm", "state.db").exit_code == 0


def test_a_second_run_finds_everything_there(cli, legacy):
    cli("migrate", legacy, "--to", STORE)
    result = cli("migrate", legacy, "--to", STORE, "--json")
    assert json.loads(result.stdout)["records"] == {"unchanged": 1}
    assert len(reports()) == 2


@pytest.mark.parametrize(
    "arguments", [(), ("legacy", "--undo", "report.jsonl"), ("legacy", "--dry-run", "--resume")]
)
def test_what_makes_no_sense_is_a_usage_error(cli, legacy, arguments):
    assert cli("migrate", "--to", STORE, *arguments).exit_code == 2


def test_there_is_nothing_to_resume_at_first(cli, legacy):
    result = cli("migrate", legacy, "--to", STORE, "--resume")
    assert result.exit_code == 1
    assert "--resume" in result.stderr


def test_a_missing_folder_is_an_error_without_a_traceback(cli):
    result = cli("migrate", "nowhere", "--to", STORE)
    assert result.exit_code == 1
    assert "nowhere" in result.stderr


def test_a_database_is_migrated_by_its_url_but_not_into_itself(cli, legacy):
    cli("migrate", legacy, "--to", "sqlite:///old.db")
    result = cli("migrate", "sqlite:///old.db", "--to", STORE, "--json")
    assert json.loads(result.stdout)["records"] == {"left out": 1}
    same = cli("migrate", "sqlite:///old.db", "--to", "sqlite:///old.db")
    assert same.exit_code == 1
    assert "schema upgrade" in same.stderr


def test_the_schema_is_told_and_upgraded(cli, legacy):
    cli("migrate", legacy, "--to", STORE)
    status = cli("--url", STORE, "--json", "schema", "status")
    assert json.loads(status.stdout) == {"versions": {"agent_states": {"1": 1}}, "older": 0}
    assert "agent_states" in cli("--url", STORE, "schema", "status").stdout
    for option in ([], ["--dry-run"]):
        result = cli("--url", STORE, "schema", "upgrade", *option)
        assert result.exit_code == 0, result.output
        assert "upgraded 0 of 1" in result.stdout.replace("upgrade ", "upgraded ")


V1, V2 = (
    f"import orchestra_memory as om\n\n\n"
    f"class Recipe(om.Record, collection='recipes', schema_version={version}):\n    id: str\n"
    for version in (1, 2)
)
BAKE = f"""
import anyio, {{module}} as bakery, orchestra_memory as om

async def main():
    async with om.open_memory({STORE!r}) as memory:
        await memory.put(bakery.Recipe(id="rye"))

anyio.run(main)
"""


def test_record_types_of_ones_own_are_upgraded_where_they_are_named(command, tmp_path):
    for name, text in (("old_bakery", V1), ("new_bakery", V2)):
        (tmp_path / f"{name}.py").write_text(text)
    bake = [sys.executable, "-c", BAKE.format(module="old_bakery")]
    subprocess.run(bake, check=True, timeout=60)

    def recipes(*arguments):
        own = ("--url", STORE, "--json", "schema", *arguments, "--import", "new_bakery")
        done = command(*own)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["versions"]["recipes"]

    assert recipes("status") == {"1": 1}
    recipes("upgrade")
    assert recipes("status") == {"2": 1}


def test_an_upgrade_in_production_needs_the_name(cli, legacy, monkeypatch):
    cli("migrate", legacy, "--to", STORE)
    monkeypatch.setenv("APP_ENV", "production")
    monkeypatch.setenv("ORCHESTRA_CACHE", "none")
    upgrade = ("--url", STORE, "schema", "upgrade")
    assert cli(*upgrade).exit_code == 2
    assert cli(*upgrade, "--dry-run").exit_code == 0
    assert cli(*upgrade, "--confirm", "state.db").exit_code == 0


def test_a_run_that_was_killed_is_resumed_verified_and_undone(cli, started, tmp_path):
    agents = 4_000
    write(
        tmp_path / "many",
        {f"{n:03}.json": [state(f"a{n}-{i}") for i in range(100)] for n in range(agents // 100)},
    )
    process = started("migrate", "many", "--to", STORE)
    deadline = time.monotonic() + 60
    while not (reports() and b'"created"' in reports()[0].read_bytes()):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 0 < count(cli) < agents

    resumed = cli("migrate", "many", "--to", STORE, "--resume", "--verify", "--json")
    assert resumed.exit_code == 0, resumed.output
    answer = json.loads(resumed.stdout)
    assert answer["types"] == {AgentState.__name__: agents}
    assert answer["records"] == {"migrated": agents}
    assert answer["verified"]["records"] == {"verified": agents}
    assert cli("migrate", "--undo", reports()[0], "--to", STORE, "--yes").exit_code == 0
    assert count(cli) == 0
