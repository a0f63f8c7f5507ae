"""Starting a service from the first source that comes up, and stopping it whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path

from orchestra_memory.testing.probe import LOOPBACK, free_port
from orchestra_memory.testing.service import (
    Address,
    Container,
    Kind,
    Missing,
    Program,
    Running,
    Served,
    ServiceMissing,
    Source,
    StartFailed,
)

READY_TIMEOUT = 60.0
"""Seconds a started server may take to answer; the Firestore emulator takes about 1.2."""
READY_POLL = 0.05
"""Seconds between two questions whether a server is ready."""

GUARD = 'exec 3<&0 </dev/null; (read _ <&3; kill -KILL 0) & exec 3<&- "$@"'
"""Runs a command whose process group dies when the pipe on stdin closes.

The pipe closes when this process ends, in whatever way: no server is left behind by a kill.
"""


@contextmanager
def serving(
    kind: Kind,
    sources: Sequence[Source] | Missing,
    *,
    port: int = 0,
    options: Sequence[str] = (),
) -> Iterator[Served]:
    """Serve from the first source that comes up, and stop it at the end.

    ``port`` 0 picks a free one; ``options`` are added to the server's command line (a server that
    runs already takes neither). Raises `ServiceMissing`, with every reason, when none comes up.
    """
    with ExitStack() as stack:
        yield _first(stack, kind, sources, port, options)


def _first(
    stack: ExitStack,
    kind: Kind,
    sources: Sequence[Source] | Missing,
    port: int,
    options: Sequence[str],
) -> Served:
    if isinstance(sources, Missing):
        raise ServiceMissing(sources)
    reasons: list[str] = []
    for source in sources:
        try:
            return stack.enter_context(_started(kind, source, port, options))
        except StartFailed as error:
            reasons.append(f"{source}: {error}")
    raise ServiceMissing(Missing(kind.name, tuple(reasons), kind.remedy))


def _started(
    kind: Kind, source: Source, port: int, options: Sequence[str]
) -> AbstractContextManager[Served]:
    if isinstance(source, Running):
        return nullcontext(Served(source.address, str(source)))
    if isinstance(source, Program):
        return _program(kind, source, _checked(port), options)
    return _container(kind, source, port, options)


def _checked(port: int) -> int:
    # A stranger on the port would answer in the place of the server that could not have it.
    try:
        return free_port(port)
    except OSError as error:
        raise StartFailed(f"port {port} is taken") from error


@contextmanager
def _program(kind: Kind, program: Program, port: int, options: Sequence[str]) -> Iterator[Served]:
    address = Address(LOOPBACK, port)
    command = [part.replace("{port}", str(port)) for part in program.command]
    with tempfile.TemporaryDirectory(prefix="orchestra-memory-") as home:
        log = Path(home, "output.log")
        with _process([*command, *options], log) as process:
            _wait_until_ready(
                lambda: kind.ready(address),
                ended=lambda: process.poll() is not None,
                output=log.read_bytes,
            )
            yield Served(address, str(program), process.pid)


@contextmanager
def _process(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (
        log.open("wb") as output,
        subprocess.Popen(
            ["sh", "-c", GUARD, "sh", *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def _container(
    kind: Kind, container: Container, port: int, options: Sequence[str]
) -> Iterator[Served]:
    from testcontainers.core.container import DockerContainer

    with _docker_errors():
        box = DockerContainer(container.image).with_bind_ports(container.port, port or None)
    box.with_command([*container.command, *options])
    try:
        with _docker_errors():
            box.start()
            address = Address(box.get_container_host_ip(), box.get_exposed_port(container.port))
        _wait_until_ready(
            lambda: kind.ready(address),
            ended=lambda: False,
            output=lambda: b"".join(box.get_logs()),
        )
        yield Served(address, str(container))
    finally:
        with suppress(StartFailed), _docker_errors():
            box.stop()


@contextmanager
def _docker_errors() -> Iterator[None]:
    from docker.errors import DockerException

    try:
        yield
    except (DockerException, RuntimeError, OSError) as error:
        raise StartFailed(f"{type(error).__name__}: {error}") from error


def _wait_until_ready(
    ready: Callable[[], bool], *, ended: Callable[[], bool], output: Callable[[], bytes]
) -> None:
    deadline = time.monotonic() + READY_TIMEOUT
    while not ready():
        if ended():
            raise StartFailed(f"it ended at once: {_complaint(output())}")
        if time.monotonic() > deadline:
            raise StartFailed(f"no answer within {READY_TIMEOUT:.0f} s: {_complaint(output())}")
        time.sleep(READY_POLL)


def _complaint(output: bytes) -> str:
    lines = [line.strip() for line in output.decode(errors="replace").splitlines()]
    telling = (line for line in lines if "error" in line.lower())
    return next(telling, next(filter(None, reversed(lines)), "no output"))
