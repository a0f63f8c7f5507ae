"""``orchestra-memory alerts``."""

from __future__ import annotations

import sys
from dataclasses import asdict

import anyio
import typer

from ..domain.alerts import AlertReport
from .codes import Code
from .opening import opened
from .output import clean, emit
from .verb import Target


def run(target: Target) -> None:
    report = anyio.run(_look, target)
    if target.as_json:
        emit(
            {
                "alerts": [asdict(alert) for alert in report.fired],
                "figures": asdict(report.vitals),
                "reads": report.billed.reads,
            }
        )
    else:
        print(*([clean(alert.text) for alert in report.fired] or ["nothing to alert of"]), sep="\n")
    sys.stdout.flush()
    if report.fired:
        raise typer.Exit(Code.PROBLEMS)


async def _look(target: Target) -> AlertReport:
    async with opened(target) as memory:
        return await memory.analytics.alerts()
