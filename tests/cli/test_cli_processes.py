"""The command as a process: started, piped, interrupted, killed."""

import json
import os
import resource
import signal
import subprocess
import sys
import time

import pytest

from orchestra_memory.testing.emulator import find_emulator
from orchestra_memory.testing.service import Missing

HEAVY = ("google", "redis", "pymongo", "pydantic_settings", "pydantic", "anyio")


def item_line(number):
    document = {"id": f"{number:06}", "user_id": "ann", "session_id": "s", "schema_version": 1}
    document["timestamp"] = {"$time": f"2026-01-01T00:00:00.{number:06}Z"}
    return json.dumps({"type": "MemoryItem", "document": document})


def write_items(path, count, broken=None):
    lines = [item_line(number) for number in range(1, count + 1)]
    if broken is not None:
        lines[broken - 1] = lines[broken - 1][:-1]
    path.write_text("\n".join(lines) + "\n")


def counted(command, *arguments):
    return json.loads(command("count", "--json", *arguments).stdout)


def test_help_costs_little_more_than_the_library_that_prints_it(command):
    def seconds(run):
        # Processor time, as a ratio within one run: how fast the machine is must not matter.
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert run().returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    bare = [sys.executable, "-c", "import typer.testing, typer.main"]
    least = min(seconds(lambda: subprocess.run(bare, check=False)) for _ in range(3))
    assert min(seconds(lambda: command("--help")) for _ in range(3)) < 4 * least


def test_help_imports_nothing_heavy():
    code = """
import sys
from orchestra_memory.cli import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert not {name.split(".")[0] for name in done.stderr.split()} & set(HEAVY)


def test_the_demo_runs_and_runs_again(command):
    first, second = command("demo"), command("demo")
    assert (first.returncode, second.returncode) == (0, 0)
    assert "38 records stored" in first.stdout.decode()
    assert "all 38 records were there already" in second.stdout.decode()
    assert first.stderr == b""


def test_the_commands_the_demo_ends_with_work_as_pasted(argv, command):
    shown = command("demo").stdout.decode()
    pasted = [line.strip() for line in shown.split("Try next")[1].splitlines() if line.strip()]
    assert len(pasted) == 5
    for line in pasted:
        shell = line.replace("orchestra-memory", '"$@"', 1)
        done = subprocess.run(
            ["sh", "-c", shell, "sh", *argv], capture_output=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()


def test_the_demo_under_json_says_one_thing(command):
    done = command("demo", "--json")
    summary = json.loads(done.stdout)
    assert done.stderr == b""
    assert summary["counts"]["memory_items"] == 33
    assert summary["health"]["status"] == "ok"


@pytest.mark.parametrize("seen", [b"1  ", b"3  ", b"caterer"])
def test_a_demo_killed_half_way_is_completed_by_the_next(command, started, seen):
    process = started("demo")
    while seen not in process.stdout.readline():
        assert process.poll() is None
    process.kill()
    process.wait()
    summary = json.loads(command("demo", "--json").stdout)
    assert summary["stored"] + summary["there_already"] == 38
    assert (
        summary["counts"] | {"memory_items": 33, "user_sessions": 2, "agent_states": 3}
        == summary["counts"]
    )


def test_the_demo_keeps_away_from_everybodys_data(command):
    command("demo")
    assert set(counted(command).values()) == {0}


def test_the_demo_needs_no_settings_to_be_right(command, monkeypatch):
    monkeypatch.setenv("APP_ENV", "production")
    done = command("demo")
    assert done.returncode == 0
    assert "--url sqlite:///.orchestra/memory.db" in done.stdout.decode()


def test_a_closed_pipe_ends_it_in_silence(argv, command, tmp_path):
    write_items(tmp_path / "a.jsonl", 3_000)
    command("import", "a.jsonl")
    for verb in ("history ann --limit 3000", "export -"):
        done = subprocess.run(
            ["sh", "-c", f'"$@" {verb} | head -n 1', "sh", *argv],
            capture_output=True,
            check=True,
        )
        assert len(done.stdout.splitlines()) == 1
        assert b"Broken" not in done.stderr
        assert b"Traceback" not in done.stderr


def test_an_export_can_be_piped_into_an_import(argv, command, tmp_path):
    write_items(tmp_path / "a.jsonl", 1_000)
    command("import", "a.jsonl")
    text = '"$@" export - | "$@" import - --url sqlite:///b.db --json'
    done = subprocess.run(["sh", "-c", text, "sh", *argv], capture_output=True, check=True)
    assert json.loads(done.stdout)["records"] == 1_000


def test_one_broken_line_in_a_hundred_thousand_is_named(command, tmp_path):
    write_items(tmp_path / "a.jsonl", 100_000, broken=77_777)
    done = command("import", "a.jsonl", "--dry-run", "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["records"] == 99_999
    assert done.stderr.decode().startswith("line 77777: not JSON")


def test_ctrl_c_leaves_whole_batches_and_resuming_completes(command, started, tmp_path):
    write_items(tmp_path / "a.jsonl", 12_000, broken=10)
    process = started("import", "a.jsonl")
    state = tmp_path / ".orchestra" / "imports"
    while not list(state.glob("*.json")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in errors.decode()
    assert "Traceback" not in errors.decode()
    stored = counted(command)["memory_items"]
    assert 0 < stored < 11_999
    # Batches of 2,000 lines are written in chunks of 400; the tenth line is broken.
    assert (stored + 1) % 400 in {0, 1}

    done = command("import", "a.jsonl", "--resume", "--json")
    assert json.loads(done.stdout)["records"] == 11_999
    assert done.returncode == 3
    assert counted(command)["memory_items"] == 11_999
    assert not list(state.iterdir())
    again = command("import", "a.jsonl", "--resume")
    assert again.returncode == 1
    assert b"start it without --resume" in again.stderr


def test_output_is_json_in_any_locale(command, tmp_path):
    (tmp_path / "c.json").write_text(
        json.dumps({"messages": [{"role": "user", "content": "Dvořák 𝄞"}]})
    )
    command("import", "c.json", "--user", "ann")
    done = command("history", "ann", "--json", env={**os.environ, "PYTHONIOENCODING": "latin-1"})
    assert json.loads(done.stdout)["text_content"] == "Dvořák 𝄞"
    done = command("history", "ann", env={**os.environ, "PYTHONIOENCODING": "latin-1"})
    assert done.returncode == 0


@pytest.mark.skipif(
    isinstance(find_emulator(own=True), Missing), reason="no Firestore emulator here"
)
def test_the_emulator_runs_until_ctrl_c(started, command):
    process = started("emulator", "start")
    line = process.stdout.readline().decode()
    assert line.startswith("export FIRESTORE_EMULATOR_HOST=")
    url = f"firestore://p/d?emulator={line.split('=')[1].strip()}"
    assert set(counted(command, "--url", url).values()) == {0}
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0
