"""What is promised of the library's speed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .summary import CALLBACK, CLIENT, SPEED, STALL, WORK

TASKS: Final = ("write", "read", "scan")


@dataclass(frozen=True, slots=True)
class Promise:
    """A figure, what it must at least be, and what is aimed at.

    ``figures`` are names as `report.figures` gives them; of several the worst counts. ``unit``
    follows the number. With ``less``, less is better. Without bounds it is told for information.
    """

    work: str
    figures: tuple[str, ...]
    at_least: float | None
    aim: float | None
    unit: str = " x"
    less: bool = False

    @property
    def part(self) -> str:
        """The part of a run that measures it."""
        return self.figures[0].partition(".")[0]


def _of_bulk(part: str, figure: str) -> tuple[str, ...]:
    return tuple(f"{part}.{task}.{figure}" for task in TASKS)


PROMISES: Final = (
    Promise(
        "Bulk write, null backend: throughput over the best way by hand",
        (f"null.write.{SPEED}/by hand",),
        at_least=9,
        aim=13,
    ),
    Promise(
        "Bulk write, emulator: throughput over the best way by hand",
        (f"emulator.write.{SPEED}/by hand",),
        at_least=4,
        aim=6,
    ),
    Promise(
        "Bulk write: client's processor time by hand over ours, a record",
        (f"null.write.{CLIENT}/by hand",),
        at_least=9,
        aim=13,
    ),
    Promise(
        "Bulk write, emulator: throughput over the limit, bytes encoded beforehand",
        (f"emulator.write.{SPEED}/limit",),
        at_least=0.75,
        aim=0.95,
    ),
    Promise(
        "Bulk read by id, emulator: throughput over the best way by hand",
        (f"emulator.read.{SPEED}/by hand",),
        at_least=2.5,
        aim=3.5,
    ),
    Promise(
        "Scan of a query, emulator: throughput over a stream by hand",
        (f"emulator.scan.{SPEED}/by hand",),
        at_least=1.7,
        aim=2.5,
    ),
    Promise(
        "Bulk write with embeddings, emulator: throughput over the best way by hand",
        (f"embeddings.write.{SPEED}/by hand",),
        at_least=14,
        aim=20,
    ),
    Promise(
        "Bulk read with embeddings, emulator: throughput over the best way by hand",
        (f"embeddings.read.{SPEED}/by hand",),
        at_least=8,
        aim=12,
    ),
    Promise(
        "Bulk write, 20 ms away: throughput over batches of 400 one after another",
        (f"far.write.{SPEED}/batches of 400",),
        at_least=4,
        aim=7,
    ),
    Promise(
        "Longest callback on the event loop, processor time: write, read, scan",
        _of_bulk("null", CALLBACK),
        at_least=10,
        aim=5,
        unit=" ms",
        less=True,
    ),
    Promise(
        "Longest callback, of records with embeddings",
        _of_bulk("embeddings", CALLBACK),
        at_least=10,
        aim=5,
        unit=" ms",
        less=True,
    ),
    Promise(
        "Longest callback, the garbage collector's passes apart",
        _of_bulk("null", WORK),
        at_least=None,
        aim=None,
        unit=" ms",
        less=True,
    ),
    Promise(
        "Longest callback, likewise, of records with embeddings",
        _of_bulk("embeddings", WORK),
        at_least=None,
        aim=None,
        unit=" ms",
        less=True,
    ),
    Promise(
        "Longest stall of the event loop, null backend: time over an idle loop's",
        _of_bulk("null", f"{STALL}/idle"),
        at_least=None,
        aim=None,
        less=True,
    ),
    Promise(
        "Growth of memory from 20,000 to 200,000 streamed records, put_many and scan",
        ("memory.put_many.growth_mb", "memory.scan.growth_mb"),
        at_least=30,
        aim=0,
        unit=" MB",
        less=True,
    ),
    *(
        Promise(
            f"Single {task}, emulator: time over the plain client's",
            (f"emulator.{task}.time/by hand",),
            at_least=1,
            aim=0.7,
            less=True,
        )
        for task in ("put", "put, 64 at once", "get", "get, 64 at once")
    ),
)
