"""The pytest plugin: servers as fixtures, ``--require``, and a closing table of what was tested.

It is loaded wherever the package is installed, so it imports nothing heavy and stays silent until
one of its fixtures or ``--require`` is used.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, NoReturn, Protocol, TypeAlias, TypeVar

import pytest

from orchestra_memory.testing.tested import OUTCOMES, table, tally

if TYPE_CHECKING:
    from orchestra_memory.testing.emulator import Emulator
    from orchestra_memory.testing.redis_server import RedisServer

T = TypeVar("T")
UseBackend: TypeAlias = Callable[[str], None]

SERVICE_FIXTURES = {"firestore_emulator": "firestore", "redis_server": "redis"}
REQUIRABLE = tuple(SERVICE_FIXTURES.values())
PROPERTY = "orchestra_memory.backend"
"""The user property of a test report that names a backend; it survives pytest-xdist."""

ORIGINS: pytest.StashKey[dict[str, str]] = pytest.StashKey()
MISSING: pytest.StashKey[dict[str, str]] = pytest.StashKey()
FOUND = "orchestra_memory.found"
"""Where a worker of pytest-xdist leaves both for the process that writes the table."""


class Worker(Protocol):
    """What pytest-xdist tells of one of its processes."""

    config: pytest.Config
    workeroutput: Mapping[str, tuple[dict[str, str], dict[str, str]]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("orchestra-memory").addoption(
        "--require",
        dest="orchestra_memory_require",
        action="append",
        default=[],
        metavar="SERVICE[,SERVICE]",
        help=f"fail, instead of skipping, where a service is missing: {', '.join(REQUIRABLE)}",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ORIGINS], config.stash[MISSING] = {}, {}
    for name in required(config):
        if name not in REQUIRABLE:
            raise pytest.UsageError(f"--require={name}: known are {', '.join(REQUIRABLE)}")
    left_at_the_end: dict[str, object] | None = getattr(config, "workeroutput", None)
    if left_at_the_end is not None:
        left_at_the_end[FOUND] = (config.stash[ORIGINS], config.stash[MISSING])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Worker) -> None:
    if FOUND not in getattr(node, "workeroutput", ()):
        return  # it did not come to its end
    origins, missing = node.workeroutput[FOUND]
    node.config.stash[ORIGINS].update(origins)
    node.config.stash[MISSING].update(missing)


def required(config: pytest.Config) -> list[str]:
    """The services that ``--require`` names."""
    given: list[str] = config.getoption("orchestra_memory_require") or []
    return [name for names in given for name in names.split(",") if name]


@pytest.fixture(scope="session")
def firestore_emulator(pytestconfig: pytest.Config) -> Iterator[Emulator]:
    """The Firestore emulator, one a session. Skips where there is none; see ``--require``."""
    from orchestra_memory.testing import emulator

    with _provided(pytestconfig, "firestore", emulator.start()) as running:
        pytestconfig.stash[ORIGINS]["firestore"] = running.how
        yield running


@pytest.fixture
def firestore_project(use_backend: UseBackend, firestore_emulator: Emulator) -> str:
    """A project id of this test alone: what other tests stored cannot be seen in it."""
    use_backend("firestore")
    return f"test-{uuid.uuid4().hex[:20]}"


@pytest.fixture(scope="session")
def redis_server(pytestconfig: pytest.Config) -> Iterator[RedisServer]:
    """A Redis, one a session. Skips where there is none; see ``--require``."""
    from orchestra_memory.testing import redis_server as redis

    with _provided(pytestconfig, "redis", redis.start()) as running:
        pytestconfig.stash[ORIGINS]["redis"] = running.how
        yield running


@pytest.fixture
def use_backend(record_property: Callable[[str, object], None]) -> UseBackend:
    """Call with a backend's name (``sqlite``, ``live``) to count this test in the closing table.

    The fixtures for Firestore and Redis count by themselves, unless they are reached through
    ``request.getfixturevalue``.
    """
    return partial(record_property, PROPERTY)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for name in getattr(item, "fixturenames", ()):
        if name in SERVICE_FIXTURES:
            item.user_properties.append((PROPERTY, SERVICE_FIXTURES[name]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    config = terminalreporter.config
    counts = tally(_uses(terminalreporter))
    if not counts and not required(config):
        return
    terminalreporter.section("backends")
    from_where = config.stash[ORIGINS]
    for line in table(counts, from_where):
        terminalreporter.write_line(line)
    for reason in config.stash[MISSING].values():
        terminalreporter.write_line(reason)


def _uses(terminalreporter: pytest.TerminalReporter) -> Iterator[tuple[str, str]]:
    for outcome in OUTCOMES:
        reports: list[object] = terminalreporter.stats.get(outcome, [])
        # What failed or was skipped as a whole module has a report without properties.
        for report in (each for each in reports if isinstance(each, pytest.TestReport)):
            used = {backend for name, backend in report.user_properties if name == PROPERTY}
            yield from ((str(backend), outcome) for backend in used)


@contextmanager
def _provided(
    config: pytest.Config, service: str, started: AbstractContextManager[T]
) -> Iterator[T]:
    from orchestra_memory.testing.service import ServiceMissing

    with ExitStack() as stack:
        try:
            running = stack.enter_context(started)
        except ServiceMissing as error:
            _give_up(config, service, str(error))
        yield running


def _give_up(config: pytest.Config, service: str, reason: str) -> NoReturn:
    config.stash[MISSING][service] = reason
    if service in required(config):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
