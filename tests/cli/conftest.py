"""Commands in an empty folder, with nothing set."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestra_memory.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-c", "from orchestra_memory.cli import main; main()"]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch, tmp_path):
    for name in Settings.model_fields:
        monkeypatch.delenv(Settings.variable(name), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def cli():
    """Runs the command in this process."""
    from orchestra_memory.cli.app import app

    runner = CliRunner()
    return lambda *arguments: runner.invoke(app, list(map(str, arguments)))


@pytest.fixture
def argv():
    """How the command is called, whether it is installed or not."""
    return COMMAND


@pytest.fixture
def command():
    """Runs the command as people do."""

    def run(*arguments, **options):
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            capture_output=True,
            timeout=120,
            check=False,
            **options,
        )

    return run


@pytest.fixture
def started():
    """Starts the command, to be interrupted."""
    running = []

    def start(*arguments):
        process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            # Tests that run in the background of a shell would hand down that it is ignored.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def cache(redis_server, monkeypatch):
    """The environment names the Redis of the tests."""
    monkeypatch.setenv("ORCHESTRA_CACHE", redis_server.url)
    monkeypatch.setenv("ORCHESTRA_CACHE_TIMEOUT", "5")  # a busy machine is not what is tested
    return redis_server.url
