"""The parts of a run. Each can be left out; what cannot be run here is skipped and says why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

from orchestra_memory.testing.service import ServiceMissing

from . import others, plot, report
from .cache import part as cache
from .domain import part as domain
from .gathering import AT_ONCE, BATCH, IN_FLIGHT
from .outage import part as outage
from .plans import COURSES, Course
from .records import SEED, mean_bytes, sessions
from .result import Report, Result, Skipped
from .run import Bench, Plan
from .summary import rows
from .turns import Outcome

Part: TypeAlias = Callable[[bool, Report], Result]
"""Runs a part, quickly or in full. Raises `Skipped`."""


def compare(name: str, course: Course, quick: bool, tell: Report) -> Result:
    """All ways of a course, on its backend."""
    plan = course.quick if quick else course.plan
    try:
        with course.place() as place:
            outcome = asyncio.run(Bench(place.backend, tell).run(plan))
            facts = place.facts
    except ServiceMissing as error:
        raise Skipped(str(error)) from error
    document = {"server": facts, "parameters": parameters(plan), **report.document(outcome)}
    notes = [*told_of(facts), *report.left_out(plan.ways, [load.size for load in plan.loads])]
    return Result(
        course.title,
        document,
        [report.sheet("Medians (least to greatest)", outcome, notes)],
        [report.sheet(f"{course.title}: medians", outcome, spreads=False)],
        report.figures(name, outcome),
        partial(_draw, outcome),
    )


def _draw(outcome: Outcome, path: Path, caption: str) -> None:
    plot.draw(rows(outcome.turns), path, caption=caption)


def parameters(plan: Plan) -> dict[str, Any]:
    sample = sessions(1, 200, embedding=plan.embedding)[0]
    return {
        "loads": [asdict(load) for load in plan.loads],
        "embedding": plan.embedding,
        "records_per_turn": plan.records_per_turn,
        "seed": SEED,
        "mean_json_bytes": round(mean_bytes(sample)),
        "gathered_at_once": AT_ONCE,
        "batch": BATCH,
        "batches_in_flight": IN_FLIGHT,
    }


def told_of(facts: Mapping[str, Any]) -> list[str]:
    told = ", ".join(f"{name} {value}" for name, value in facts.items())
    return [f"Server: {told}."] if told else []


PARTS: Final[Mapping[str, Part]] = {
    **{name: partial(compare, name, course) for name, course in COURSES.items()},
    "memory": others.grow,
    "peers": others.peers,
    "embedded": others.embed,
    "cache": cache.run,
    "outage": outage.run,
    "domain": domain.run,
}


def chosen(only: Sequence[str], skip: Sequence[str]) -> dict[str, Part]:
    """The parts to run. Raises ``ValueError`` for a name that there is not."""
    unknown = {*only, *skip} - PARTS.keys()
    if unknown:
        raise ValueError(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return {
        name: part
        for name, part in PARTS.items()
        if name not in skip and (not only or name in only)
    }
