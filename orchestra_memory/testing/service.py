"""A server that tests need: what can provide it here, and starting it.

Values and the decision, without I/O: :mod:`~orchestra_memory.testing.probe` looks around,
:mod:`~orchestra_memory.testing.launch` starts what :func:`choose` picked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Self, TypeAlias

from orchestra_memory.errors import OrchestraMemoryError

NO_DOCKER = "no Docker daemon together with the testcontainers package"


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``host:port`` or ``[ipv6]:port``. Raises `ValueError` for anything else."""
        host, separator, port = text.rpartition(":")
        if not (separator and host and port.isdecimal()):
            raise ValueError("not of the form host:port")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))


@dataclass(frozen=True)
class Running:
    """A server that answers already, named by an environment variable."""

    address: Address
    variable: str

    def __str__(self) -> str:
        return self.variable


@dataclass(frozen=True)
class Container:
    """A container image; ``port`` is the one it listens on inside."""

    image: str
    command: tuple[str, ...]
    port: int

    def __str__(self) -> str:
        return "Docker"


@dataclass(frozen=True)
class Program:
    """A command on this machine; ``{port}`` in it becomes the port."""

    command: tuple[str, ...]
    origin: str

    def __str__(self) -> str:
        return self.origin


Source: TypeAlias = Running | Container | Program


@dataclass(frozen=True)
class Missing:
    """Nothing here can provide the service: why not, and how to change that."""

    service: str
    reasons: tuple[str, ...]
    remedy: str

    def __str__(self) -> str:
        return f"no {self.service} ({'; '.join(self.reasons)}): {self.remedy}"


class ServiceMissing(OrchestraMemoryError):
    """A server that tests need is neither running nor can it be started."""

    def __init__(self, missing: Missing) -> None:
        super().__init__(str(missing))
        self.missing = missing


class StartFailed(OrchestraMemoryError):
    """One source was found but did not come up."""


@dataclass(frozen=True)
class Kind:
    """What there is to know of one service, on any machine.

    ``variable`` is where the environment names one that runs; ``parse`` reads it and raises
    `ValueError`. ``find_program`` gives the command that starts one here, or why there is none.
    """

    name: str
    variable: str
    remedy: str
    container: Container
    parse: Callable[[str], Address]
    ready: Callable[[Address], bool]
    find_program: Callable[[], Program | str]


@dataclass(frozen=True)
class Found:
    """What this machine offers for one service. Text says why something is of no use."""

    named: Running | str | None
    docker: bool
    program: Program | str


@dataclass(frozen=True)
class Served:
    """A server that answers.

    ``how`` names what it came from; ``pid`` is its process where that was started here.
    """

    address: Address
    how: str
    pid: int | None = None


def choose(kind: Kind, found: Found) -> tuple[Source, ...] | Missing:
    """The sources to try, best first.

    An address that is given but dead is an error of the setup, not a reason to test elsewhere.
    """
    if isinstance(found.named, Running):
        return (found.named,)
    if found.named is not None:
        return Missing(kind.name, (found.named,), kind.remedy)
    if isinstance(found.program, Program):
        return (kind.container, found.program) if found.docker else (found.program,)
    if found.docker:
        return (kind.container,)
    return Missing(kind.name, (NO_DOCKER, found.program), kind.remedy)
