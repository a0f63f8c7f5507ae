"""What was measured of agents and their events: as JSON, tables, and figures with names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from .. import promises
from ..memory import Peaks
from ..outage.report import SPREAD, turns_sheet
from ..outage.turns import Turn, Turns
from ..result import Result
from ..sheets import Sheet, cell
from ..summary import Spread
from . import analysing, growing, migrating, working
from .analysing import Analyses
from .growing import Growth

if TYPE_CHECKING:
    from .part import Plan

TITLE: Final = "Agents: their files migrated, events counted, calls of many at once, and backups"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything of a run."""

    migrations: Growth
    analyses: Analyses
    calls: Turns
    backups: Growth

    @property
    def turns(self) -> Sequence[Turns]:
        return self.migrations.turns, self.analyses.turns, self.calls, self.backups.turns

    @property
    def compared(self) -> int:
        return sum(part.compared for part in self.turns)


def result(
    part: str, outcome: Outcome, plan: Plan, facts: Mapping[str, Any], *, quick: bool
) -> Result:
    """The part's; a quick run is not judged."""
    found = all_figures(part, outcome)
    judged = [each for each in promises.judged(found) if each.promise.part == part]
    sheets = [promises.sheet(judged, judge=not quick), *tables(outcome, facts)]
    return Result(TITLE, document(outcome, plan, facts), sheets, sheets[1:], found)


def document(outcome: Outcome, plan: Plan, facts: Mapping[str, Any]) -> dict[str, Any]:
    """All there is to keep of a run: every round."""
    jobs = (outcome.migrations, outcome.backups)
    return {
        "server": dict(facts),
        "parameters": asdict(plan),
        "verified": {"records_compared": outcome.compared, "differences": 0},
        "turns": [asdict(turn) for part in outcome.turns for turn in part.turns],
        "billed_reads": [
            {"task": task, "way": way, "reads": reads}
            for (task, way), reads in outcome.analyses.reads.items()
        ],
        "peaks": [asdict(peaks) for job in jobs for peaks in job.peaks().values()],
        "longest_callbacks": [
            {"task": task, "way": way, "seconds": seconds}
            for job in jobs
            for (task, way), seconds in job.callbacks.items()
        ],
    }


def all_figures(part: str, outcome: Outcome) -> dict[str, Spread]:
    """What promises are about, by name."""
    return {
        **growing.figures(part, outcome.migrations),
        **analysing.figures(part, outcome.analyses),
        **working.figures(part, outcome.calls),
        **growing.figures(part, outcome.backups),
    }


def tables(outcome: Outcome, facts: Mapping[str, Any]) -> Iterator[Sheet]:
    """Of everything that was measured."""
    told = ", ".join(f"{name} {value}" for name, value in facts.items())
    compared = (
        f"{outcome.compared:,} records were compared with what was given or counted; all equal."
    )
    yield jobs_sheet("Migration", outcome.migrations, [compared, MIGRATION_NOTE])
    yield analytics_sheet(outcome.analyses, [f"Server: {told}."])
    yield turns_sheet("Many agents at once", outcome.calls, working.OURS, CALLS_NOTE)
    yield jobs_sheet("Backup and restore", outcome.backups, [BACKUP_NOTE])


MIGRATION_NOTE: Final = (
    f"{migrating.AGAIN.capitalize()}: all is there, and nothing is changed. By hand each file is "
    "loaded and its states are given to `put_many`: what is there is replaced unseen, there is no "
    "report, and nothing can be resumed or undone."
)
CALLS_NOTE: Final = (
    "On the emulator, which all agents wait for. Records are calls; each agent makes its own one "
    "after another."
)
BACKUP_NOTE: Final = (
    "Packed with gzip, as of one moment, and read through before it is restored into an empty "
    "store."
)


def jobs_sheet(title: str, found: Growth, notes: Sequence[str]) -> Sheet:
    """Jobs in processes of their own: rates with the most records, and how large they became."""
    headings = (
        *("task", "way", "records", "records/s", "client µs", "peak MB", "growth MB"),
        "longest callback, ms",
    )
    peaks = found.peaks()
    rows = [
        _jobs_row(task, way, turns, peaks[task, way], found.callbacks.get((task, way)))
        for task, ways in found.largest().tasks().items()
        for way, turns in ways.items()
    ]
    return Sheet(f"{title}: {SPREAD}", headings, rows, 2, 1, notes=[*notes, JOBS_NOTE])


JOBS_NOTE: Final = (
    "Each in a process of its own, whose growth is from the least records to the most; SQLite "
    "keeps up to 40 MiB of its pages, which fewer would not fill. The longest "
    "callback on its event loop is in processor time, the garbage collector's apart, of a turn "
    "with the least records that is not timed."
)


def _jobs_row(
    task: str, way: str, turns: Sequence[Turn], peaks: Peaks, callback: float | None
) -> tuple[str, ...]:
    return (
        task,
        way,
        f"{turns[0].records:,}",
        cell(Spread.of([turn.speed for turn in turns])),
        _client(turns),
        f"{peaks.many / 1e6:,.0f}",
        f"{peaks.growth:,.1f}",
        "" if callback is None else f"{callback * 1e3:.1f}",
    )


def analytics_sheet(found: Analyses, notes: Sequence[str]) -> Sheet:
    headings = ("task", "way", "events", "seconds", "client µs", "billed reads")
    rows = [
        (
            task,
            way,
            f"{turns[0].records:,}",
            cell(Spread.of([turn.cost.seconds for turn in turns])),
            _client(turns),
            cell(Spread.of(found.reads[task, way])),
        )
        for task, ways in found.turns.tasks().items()
        for way, turns in sorted(ways.items(), key=lambda item: item[0] != analysing.OURS)
    ]
    return Sheet(f"Analytics: {SPREAD}", headings, rows, 2, 1, notes=[*notes, ANALYTICS_NOTE])


ANALYTICS_NOTE: Final = (
    "Outcomes come with mean durations. Reads are billed by the published rule: one for each "
    "document, and for up to 1,000 index entries of an aggregation; in SQLite, which bills "
    "nothing, the same questions are counted by it. The emulator has no index and goes through "
    "all events for each aggregation, and for each shard of a span of time: so only what came of "
    "all events is asked there. Its time tells nothing of Firestore's; beside the time of the same "
    "aggregations by hand it tells what the library adds."
)


def _client(turns: Sequence[Turn]) -> str:
    """Microseconds of processor time for a record."""
    return cell(Spread.of([turn.cpu * 1e6 for turn in turns]), spread=False)
