"""Each peer beside the library: the same work in turns, and all that was kept compared."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..compare import compared
from ..order import rotated
from ..records import Job, sessions
from ..result import Report
from .catalogue import OURS, PEERS, Peer
from .environments import FOLDER, NotInstalled, python_for
from .process import Side, WayName, at_work
from .turns import Result, Turn, lines
from .way import RECENT, flat


@dataclass(frozen=True, slots=True)
class Size:
    """Sessions, and records in each."""

    sessions: int
    records: int


@dataclass(frozen=True, slots=True)
class Plan:
    """How much work each turn is, and in how many counted rounds it is done; one more warms up.

    ``bulk`` is what is written and read together, ``single`` one by one. ``talk`` is conversations
    that go on side by side.
    """

    rounds: int = 5
    bulk: Size = Size(20, 200)
    single: Size = Size(1, 100)
    talk: Size = Size(16, 60)

    def size(self, task: str) -> Size:
        if task in {"put", "get"}:
            return self.single
        return self.talk if task in {"append", "newest", "session"} else self.bulk


QUICK: Final = Plan(rounds=2, bulk=Size(3, 150), single=Size(1, 20), talk=Size(4, 55))


def run(
    plan: Plan,
    host: str,
    report: Report,
    *,
    peers: Iterable[Peer] = PEERS,
    folder: Path = FOLDER,
) -> Result:
    """Measure all peers on the emulator at `host`; their environments are in `folder`.

    A peer that cannot be installed is left out, and the result says why. Raises ``WrongData`` if
    records do not come back as they were given, and ``WorkerFailed`` if a side's process ends.
    """
    bench = _Bench(plan, host, report)
    for peer in peers:
        try:
            python = python_for(peer, report, folder=folder)
        except NotInstalled as error:
            report(f"{peer.name}: left out, for it could not be installed: {error}")
            bench.skipped[peer.name] = f"could not be installed: {error}"
        else:
            bench.measure(peer, python)
    return bench.result()


class _Bench:
    def __init__(self, plan: Plan, host: str, report: Report) -> None:
        self._plan = plan
        self._host = host
        self._report = report
        self._places = itertools.count()
        self._turns: list[Turn] = []
        self._packages: dict[str, Mapping[str, str]] = {}
        self._notes: dict[str, str] = {}
        self._compared = 0
        self.skipped: dict[str, str] = {}

    def result(self) -> Result:
        return Result(
            lines(self._turns),
            self._turns,
            self._packages,
            self.skipped,
            self._notes,
            self._compared,
        )

    def measure(self, peer: Peer, python: Path) -> None:
        project = f"peers-{peer.name}"
        with ExitStack() as stack:
            theirs = stack.enter_context(
                at_work(peer.name, python, peer.module, project=project, host=self._host)
            )
            # A project for each: the emulator's queries slow down with what others stored.
            apart = f"{project}-ours"
            ours = stack.enter_context(
                at_work(OURS, sys.executable, peer.ours, project=apart, host=self._host)
            )
            self._packages |= {side.name: side.versions for side in (ours, theirs)}
            self._notes[peer.name] = peer.note
            for task in dict.fromkeys(way.task for way in theirs.ways):
                self._task(peer.name, task, (ours, theirs))

    def _task(self, peer: str, task: str, sides: Sequence[Side]) -> None:
        size = self._plan.size(task)
        work = _Work(peer, task, sessions(size.sessions, size.records), f"read-{task}")
        for side in sides:
            side.load(work.jobs)
            if any(way.task == task and not way.writes for way in side.ways):
                side.run(side.first_to_write, work.place)
        entries = [(side, way) for side in sides for way in side.ways if way.task == task]
        for number in range(self._plan.rounds + 1):
            self._report(f"{peer}, {task}: " + (f"round {number}" if number else "warm-up"))
            for side, way in rotated(entries, number):
                turn = self._take(work, side, way, number)
                if number:
                    self._turns.append(turn)

    def _take(self, work: _Work, side: Side, way: WayName, number: int) -> Turn:
        place = f"written-{next(self._places)}" if way.writes else work.place
        seconds, cpu = side.run(way, place)
        expected = flat(work.jobs if way.writes else expected_of(work.task, work.jobs))
        what = f"{side.name}, {way.task}, {way.name}"
        self._compared += compared(what, [expected], [flat(side.found())])
        return Turn(
            work.peer,
            work.task,
            way.name,
            ours=side.name == OURS,
            round=number,
            records=len(expected),
            seconds=seconds,
            cpu=cpu,
        )


@dataclass(frozen=True, slots=True)
class _Work:
    """One task of one peer's. What is to be read has been written at ``place``."""

    peer: str
    task: str
    jobs: Sequence[Job]
    place: str


def expected_of(task: str, jobs: Sequence[Job]) -> Sequence[Job]:
    """What a reading task answers: the records, or the newest of each session."""
    return [job[-RECENT:] for job in jobs] if task == "newest" else jobs
