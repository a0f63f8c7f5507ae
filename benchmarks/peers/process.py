"""The other end of a worker: its process, asked and answering in lines of JSON."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import Any, Final

from orchestra_memory import MemoryItem

from ..records import Job

ROOT: Final = Path(__file__).parents[2]
PATIENCE: Final = 600.0
"""Seconds that one request may take; a worker that hangs is ended."""
CLOSING_SECONDS: Final = 10.0


class WorkerFailed(Exception):
    """The process of one side ended or hung; what it printed says why."""


@dataclass(frozen=True, slots=True)
class WayName:
    """A way of a worker's, which is told by its task and its name."""

    task: str
    name: str
    writes: bool


class Side:
    """One side at work in a process, which :func:`at_work` starts and ends."""

    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self.name = name
        self._process = process
        hello = self._answer()
        self.versions: dict[str, str] = hello["versions"]
        self.ways = [WayName(*way) for way in hello["ways"]]

    @property
    def first_to_write(self) -> WayName:
        return next(way for way in self.ways if way.writes)

    def load(self, jobs: Sequence[Job]) -> None:
        """Give it the records that the next turns are about."""
        plain = [[record.model_dump(mode="json") for record in job] for job in jobs]
        self._ask({"do": "load", "jobs": plain})

    def run(self, way: WayName, place: str) -> tuple[float, float]:
        """Seconds passed, and of processor time of all threads, of one turn."""
        answer = self._ask({"do": "run", "task": way.task, "way": way.name, "place": place})
        return answer["seconds"], answer["cpu"]

    def found(self) -> list[Job]:
        """What the last turn read, or read back of what it wrote."""
        jobs = self._ask({"do": "found"})["jobs"]
        return [[MemoryItem.model_validate(plain) for plain in job] for job in jobs]

    def _ask(self, request: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._failed() from None
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        with _killed_after(self._process, PATIENCE):
            line = self._process.stdout.readline()
        if not line:
            raise self._failed()
        return json.loads(line)

    def _failed(self) -> WorkerFailed:
        status = self._process.wait()
        return WorkerFailed(f"{self.name}: its process ended with status {status}; see above")


@contextmanager
def at_work(
    name: str, python: str | Path, module: str, *, project: str, host: str
) -> Iterator[Side]:
    """A side driven by `module`, in a process that `python` runs. Raises ``WorkerFailed``."""
    with subprocess.Popen(
        [str(python), "-m", "benchmarks.peers.worker", module, project],
        cwd=ROOT,
        env=environment(host),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        try:
            yield Side(name, process)
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """It ends by itself when it is asked nothing more."""
    try:
        process.communicate(timeout=CLOSING_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def environment(host: str) -> dict[str, str]:
    """Ours, with the emulator's address, and without paths that belong to our interpreter."""
    ours = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return {**kept, "FIRESTORE_EMULATOR_HOST": host}


@contextmanager
def _killed_after(process: subprocess.Popen[str], seconds: float) -> Iterator[None]:
    timer = Timer(seconds, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
