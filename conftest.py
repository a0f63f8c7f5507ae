"""Runs the code of README.md and docs/, so that what readers paste works.

A ``python`` block is executed; one that names a ``firestore:`` URL is executed on the emulator, one
that names ``redis://localhost:6379`` on a Redis for tests. An ``output`` block is what the block
before it printed, ``...`` for what varies. A block that begins with ``# some_name.py`` is saved
under that name, and tests are left to the ``pytest`` line of a later shell block. Other shell lines
are not run, but ``orchestra-memory`` must know the verbs and options in them.
"""

from __future__ import annotations

import ast
import asyncio
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout, suppress
from inspect import iscoroutine
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from sybil import Example, Sybil
from sybil.evaluators.python import pad
from sybil.parsers.myst import CodeBlockParser

EMULATOR = "FIRESTORE_EMULATOR_HOST"
GIVEN_EMULATOR = os.environ.get(EMULATOR)
PROJECT = "my-project"
"""The project in the documents; each document is run in another one."""
REDIS = "redis://localhost:6379"
"""The Redis in the documents."""
WHOLE_PROGRAMS = frozenset({"README.md", "tutorial.md", "tutorial-agents.md"})
"""Documents in which every block stands for itself."""
SAVED = re.compile(r"# (\w+\.py)$", re.MULTILINE)
SHELLS = ("bash", "console", "sh", "shell")


MOST_WORKERS = 4
"""Each starts servers of its own."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One a processor; none, so that they run here, for files by name and where output is shown."""
    named = all(Path(argument.partition("::")[0]).is_file() for argument in config.args)
    watched = config.option.capture == "no" or config.option.trace
    processors = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return 0 if named or watched or processors == 1 else min(processors, MOST_WORKERS)


def enter(namespace: dict[str, Any]) -> None:
    """Give the document a directory of its own, and an environment that says nothing."""
    directory = TemporaryDirectory(prefix="docs-")
    patch = pytest.MonkeyPatch()
    patch.chdir(directory.name)
    for name in variables():
        patch.delenv(name, raising=False)
    patch.setenv("ORCHESTRA_HOME", str(Path(directory.name, ".orchestra")))
    patch.setenv("ORCHESTRA_TIMEOUT", "30")  # a busy machine is not what is tested
    patch.syspath_prepend(directory.name)
    namespace["_leave"] = lambda: (patch.undo(), directory.cleanup())
    namespace["_project"] = f"docs-{uuid.uuid4().hex[:20]}"


def leave(namespace: dict[str, Any]) -> None:
    namespace.pop("_leave")()


def variables() -> list[str]:
    """What could make a run on this machine differ from one on another."""
    from orchestra_memory import Settings

    known = {Settings.variable(name) for name in Settings.model_fields}
    return [name for name in os.environ if name in known or name.startswith("ORCHESTRA_")]


@pytest.fixture
def _emulator_host(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    use_backend: Callable[[str], None],
) -> Callable[[], str]:
    """Gives the emulator's address when asked, and only then needs an emulator."""

    def host() -> str:
        with monkeypatch.context() as patch:
            if GIVEN_EMULATOR:
                patch.setenv(EMULATOR, GIVEN_EMULATOR)
            running = request.getfixturevalue("firestore_emulator")
        use_backend("firestore")
        return str(running.host)

    return host


@pytest.fixture
def _redis_url(
    request: pytest.FixtureRequest, use_backend: Callable[[str], None]
) -> Callable[[], str]:
    """Gives the URL of a Redis when asked, and only then needs one."""

    def url() -> str:
        running = request.getfixturevalue("redis_server")
        use_backend("redis")
        return str(running.url)

    return url


def run_python(example: Example) -> None:
    namespace, source = example.namespace, str(example.parsed)
    namespace["_printed"] = None
    saved = SAVED.match(source)
    if saved:
        Path(saved[1]).write_text(source)
        if saved[1].startswith(("test_", "conftest")):
            return
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as printed:
        if "firestore:" in source:
            patch.setenv(EMULATOR, namespace["_emulator_host"]())
            source = source.replace(PROJECT, namespace["_project"])
        if REDIS in source:
            source = source.replace(REDIS, namespace["_redis_url"]())
        fresh = Path(example.path).name in WHOLE_PROGRAMS
        execute(pad(source, example.line), example.path, {} if fresh else namespace)
    namespace["_printed"] = printed.getvalue()


def execute(source: str, path: str, namespace: dict[str, Any]) -> None:
    namespace["__name__"] = "__main__"
    code = compile(source, path, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    result = eval(code, namespace)
    if iscoroutine(result):
        asyncio.run(result)


def compare_output(example: Example) -> str | None:
    got, expected = example.namespace["_printed"], str(example.parsed)
    if got is None:
        pytest.skip("the block before it did not run to its end")
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    if doctest.OutputChecker().check_output(expected, got, flags):
        return None
    return f"Expected:\n{expected}\nGot:\n{got}"


def check_shell(example: Example) -> None:
    for words in commands(str(example.parsed)):
        files = [Path(word) for word in words if word.endswith(".py") and Path(word).is_file()]
        if words[0] == "orchestra-memory":
            check_verb(words[1:])
        elif words[0] == "pytest" and files:
            run_pytest(example, words[1:], "".join(file.read_text() for file in files))


def run_pytest(example: Example, arguments: list[str], source: str) -> None:
    environment = dict(os.environ)
    if "firestore_emulator" in source:
        environment[EMULATOR] = example.namespace["_emulator_host"]()
    # Hypothesis takes longer to load than all else, and readers need not have it.
    without = ["-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
    command = [sys.executable, "-m", "pytest", *without, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def commands(text: str) -> Iterator[list[str]]:
    """The commands of a shell block, each as its words, without prompts and assignments."""
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars="|&;()<>")
        lexer.whitespace_split = True
        for separates, words in groupby(lexer, lambda word: set(word) <= set("|&;()<>")):
            if not separates:
                command = [*words]
                while command and re.match(r"\w+=", command[0]):
                    del command[0]
                if command:
                    yield command


def check_verb(words: list[str]) -> None:
    """Parse the words as the command line would, without doing what they say."""
    from typer import Exit
    from typer.main import get_command

    from orchestra_memory.cli.app import app

    group, name, context = get_command(app), "orchestra-memory", None
    with suppress(Exit), redirect_stdout(io.StringIO()):
        while True:
            context = group.make_context(name, words, parent=context)
            words = [*context._protected_args, *context.args]
            if not (words and hasattr(group, "resolve_command")):
                return
            name, group, words = group.resolve_command(context, words)


pytest_collect_file = Sybil(
    parsers=[
        CodeBlockParser("python", run_python),
        CodeBlockParser("output", compare_output),
        *(CodeBlockParser(language, check_shell) for language in SHELLS),
    ],
    patterns=["README.md", "docs/*.md", "docs/*/*.md"],
    excludes=["*/README.md"],
    fixtures=["_emulator_host", "_redis_url"],
    setup=enter,
    teardown=leave,
).pytest()
