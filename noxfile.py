"""Every check of the project; `nox --list` names them."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

import nox

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)
PACKAGE = "orchestra_memory"

LIVE_SWITCHES = ("RUN_INTEGRATION_TESTS", "RUN_FIRESTORE_TESTS")
LIVE_OPERATIONS = 20_000
"""The most reads, writes and deletes, of each, that one live run may be billed."""
DOLLARS_PER_OPERATION = (0.03 + 0.09 + 0.01) / 100_000
"""One read, one write and one delete at the list prices of us-central1."""

nox.needs_version = ">=2025.5"
nox.options.sessions = ["lint", "typing", "tests", "docs", "wheel"]
nox.options.error_on_missing_interpreters = False
nox.options.download_python = "never"
nox.options.reuse_venv = "yes"


@nox.session
def lint(session: nox.Session) -> None:
    """Style, format, and the direction of imports."""
    session.install("-e", ".[dev]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports", "--no-logo")


@nox.session
def typing(session: nox.Session) -> None:
    """Two strict type checkers, complete public types, and the types users see."""
    session.install("-e", ".[dev,test]")
    session.run("mypy")
    session.run("basedpyright")
    session.run("basedpyright", "--verifytypes", PACKAGE, "--ignoreexternal")
    if Path("tests/typing").is_dir():
        session.run("mypy", "tests/typing")
        session.run("basedpyright", "tests/typing")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """All tests this machine can run, on every Python found."""
    session.install("-e", ".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def emulator(session: nox.Session) -> None:
    """All tests, failing where the Firestore emulator is missing."""
    session.install("-e", ".[test]")
    session.run("pytest", "--require=firestore", *session.posargs)


@nox.session
def thorough(session: nox.Session) -> None:
    """The property tests with many random examples; it takes its time."""
    session.install("-e", ".[test]")
    arguments = session.posargs or ["tests/properties", "tests/cached/test_cached_machine.py"]
    session.run("pytest", *arguments, env={"HYPOTHESIS_PROFILE": "thorough"})


@nox.session
def cache_soak(session: nox.Session) -> None:
    """The cache under faults, with many seeds; arguments go to `python -m tests.cached.soak`."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.cached.soak", *session.posargs)


@nox.session
def journal_soak(session: nox.Session) -> None:
    """`kill -9` in mid-append, many times; arguments go to `python -m tests.journal.soak`."""
    session.install("-e", ".[test]")
    session.run("pytest", "tests/journal/test_machine.py", env={"JOURNAL_SOAK": "1"})
    session.run("python", "-m", "tests.journal.soak", *session.posargs)


@nox.session
def chaos(session: nox.Session) -> None:
    """Agents in outages, killed again and again; arguments go to `python -m tests.outage.chaos`."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.outage.chaos", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation, warnings being errors."""
    session.install("-e", ".[docs]")
    session.run("sphinx-build", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html")


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmarks; arguments go to `python -m benchmarks`."""
    session.install("-e", ".[bench,test]")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def regressions(session: nox.Session) -> None:
    """The ratios that are kept of the null backend, against those of a new run."""
    session.install("-e", ".[bench,test]")
    folder = session.create_tmp()
    session.run("python", "-m", "benchmarks", "--only", "null", "--output", folder)
    kept, now = "benchmarks/results/null.json", str(Path(folder, "null.json"))
    session.run("python", "-m", "benchmarks.guard", kept, now)


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel once, install it alone, and use it outside of the source tree."""
    session.install("build")
    dist = Path(session.create_tmp(), "dist").resolve()
    shutil.rmtree(dist, ignore_errors=True)
    session.run("python", "-m", "build", "--wheel", "--outdir", str(dist))
    session.install("--force-reinstall", *map(str, dist.glob("*.whl")))
    with session.chdir(dist):
        session.run("orchestra-memory", "--help")
        session.run("orchestra-memory", "demo")


@nox.session
def live(session: nox.Session) -> None:
    """The contract on a real Firestore, in a namespace of its own that is deleted afterwards."""
    project = _live_project(session)
    namespace = f"live-{secrets.token_hex(8)}"
    ceiling = LIVE_OPERATIONS * DOLLARS_PER_OPERATION
    session.log(f"project {project}, namespace {namespace}, at most about USD {ceiling:.2f}")
    session.install("-e", ".[test]")
    environment = {"ORCHESTRA_LIVE_NAMESPACE": namespace}
    try:
        session.run("pytest", "-n", "0", "tests/live", *session.posargs, env=environment)
    finally:
        session.run("python", "tests/live/delete_namespace.py", namespace)


def _live_project(session: nox.Session) -> str:
    off = [name for name in LIVE_SWITCHES if os.environ.get(name, "").lower() not in {"1", "true"}]
    if off:
        session.skip(f"it bills a real project, so it wants {' and '.join(off)} set to true")
    if os.environ.get("FIRESTORE_EMULATOR_HOST"):
        session.error("FIRESTORE_EMULATOR_HOST is set: this would test the emulator, unset it")
    project = os.environ.get("GCP_PROJECT_ID")
    if not project:
        session.error("set GCP_PROJECT_ID to the project to test in")
    return project
