"""The Firestore emulator, for tests: found or started, and always stopped again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from orchestra_memory.testing.launch import serving
from orchestra_memory.testing.probe import PROBE_TIMEOUT, find
from orchestra_memory.testing.service import (
    Address,
    Container,
    Kind,
    Missing,
    Program,
    Source,
)

VARIABLE = "FIRESTORE_EMULATOR_HOST"
JAR = "platform/cloud-firestore-emulator/cloud-firestore-emulator.jar"
MAIN_CLASS = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"
BRIEF = "-XX:TieredStopAtLevel=1"
"""Java compiles quickly: for as long as tests take, half of its processor time went to compiling
thoroughly."""


@dataclass(frozen=True)
class Emulator:
    """A Firestore emulator that answers.

    ``host`` is what ``FIRESTORE_EMULATOR_HOST`` takes, ``how`` says what it came from, ``pid`` is
    its process where that was started here from a jar.
    """

    host: str
    how: str
    pid: int | None = None


@contextmanager
def start(*, port: int = 0, own: bool = False) -> Iterator[Emulator]:
    """An emulator for as long as the context lasts; ready after about 1.5 s from a jar.

    ``port`` 0 picks a free one. A ``port``, or ``own``, calls for a new one even where
    ``FIRESTORE_EMULATOR_HOST`` names one. It keeps everything in memory. Raises
    `ServiceMissing`, which says what to install.
    """
    with serving(KIND, find_emulator(own=own or port != 0), port=port) as served:
        yield Emulator(str(served.address), served.how, served.pid)


def find_emulator(*, own: bool = False) -> tuple[Source, ...] | Missing:
    """What can serve as the emulator here, best first; starts nothing."""
    return find(KIND, own=own)


def is_ready(address: Address) -> bool:
    """Whether an emulator answers at `address`."""
    connection = HTTPConnection(address.host, address.port, timeout=PROBE_TIMEOUT)
    with closing(connection), suppress(OSError, HTTPException):
        connection.request("GET", "/")
        return connection.getresponse().read().strip() == b"Ok"
    return False


def find_program() -> Program | str:
    """The command for the jar that gcloud brings, or what of it is missing."""
    gcloud, java = shutil.which("gcloud"), shutil.which("java")
    if gcloud is None:
        return "no gcloud on the PATH"
    jar = jar_beside(Path(gcloud).resolve())
    if not jar.is_file():
        return "gcloud without its cloud-firestore-emulator component"
    if java is None:
        return "no java on the PATH"
    return Program(command(java, jar), origin="the jar of gcloud")


def jar_beside(gcloud: Path) -> Path:
    """Where the SDK that the resolved `gcloud` belongs to keeps the emulator."""
    return gcloud.parent.parent / JAR


def command(java: str, jar: Path) -> tuple[str, ...]:
    """The command line that starts the emulator from its jar."""
    # Not `-jar`: the manifest of gcloud's jar names no main class.
    options = ("-Xmx1g", BRIEF, "-Duser.language=en", "-cp", str(jar), MAIN_CLASS)
    return (java, *options, "start", "--host=127.0.0.1", "--port={port}")


KIND = Kind(
    name="Firestore emulator",
    variable=VARIABLE,
    remedy=(
        "start Docker, or install Java and run 'gcloud components install "
        f"cloud-firestore-emulator', or set {VARIABLE} to an emulator that runs"
    ),
    container=Container(
        image="gcr.io/google.com/cloudsdktool/google-cloud-cli:emulators",
        command=("gcloud", "emulators", "firestore", "start", "--host-port=0.0.0.0:8080"),
        port=8080,
    ),
    parse=Address.parse,
    ready=is_ready,
    find_program=find_program,
)
