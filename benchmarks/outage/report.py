"""What was measured of the outage fallback: as JSON, tables, figures with names, and a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .. import promises
from ..gathering import AT_ONCE
from ..result import Result
from ..sheets import Sheet, cell, number
from ..summary import Spread
from . import appending, bulk, calls, outages, plot, probing, replaying, writing
from .calls import BREAKER, FALLBACK, PLAIN, Calls, microseconds
from .outages import QUICK, Outage, Outages, milliseconds
from .probing import Probes
from .turns import Turn, Turns, cpu, ratio

if TYPE_CHECKING:
    from .part import Plan

TITLE: Final = "The outage fallback: while Firestore answers, while it does not, and afterwards"
SPREAD: Final = "medians (least to greatest)"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything of a run."""

    calls: Calls
    bulk: Turns
    appends: Turns
    writes: Turns
    replays: Turns
    probes: Probes
    outages: Outages

    @property
    def compared(self) -> int:
        parts = (self.calls, self.bulk, self.appends, self.writes, self.replays)
        return sum(part.compared for part in parts) + self.probes.compared + self.outages.compared


def result(
    part: str, outcome: Outcome, plan: Plan, facts: Mapping[str, Any], *, quick: bool
) -> Result:
    """The part's; a quick run is not judged."""
    found = all_figures(part, outcome)
    judged = [each for each in promises.judged(found) if each.promise.part == part]
    sheets = [promises.sheet(judged, judge=not quick), *tables(outcome, plan, facts)]
    return Result(
        TITLE,
        document(outcome, plan, facts),
        sheets,
        sheets[1:],
        found,
        partial(_draw, outcome),
    )


def _draw(outcome: Outcome, path: Path, caption: str) -> None:
    plot.draw(outcome, path, caption=caption)


def document(outcome: Outcome, plan: Plan, facts: Mapping[str, Any]) -> dict[str, Any]:
    """All there is to keep of a run: every round."""
    groups = (outcome.bulk, outcome.appends, outcome.writes, outcome.replays)
    return {
        "server": dict(facts),
        "parameters": asdict(plan),
        "verified": {"records_compared": outcome.compared, "differences": 0},
        "calls": [asdict(each) for each in outcome.calls.rounds],
        "turns": [asdict(turn) for group in groups for turn in group.turns],
        "probes": asdict(outcome.probes),
        "outages": [asdict(each) for each in outcome.outages.rounds],
    }


def all_figures(part: str, outcome: Outcome) -> dict[str, Spread]:
    """What promises are about, by name."""
    return {
        **calls.figures(part, outcome.calls),
        **bulk.figures(part, outcome.bulk),
        **appending.figures(part, outcome.appends),
        **writing.figures(part, outcome.writes),
        **replaying.figures(part, outcome.replays),
        **probing.figures(part, outcome.probes),
        **outages.figures(part, outcome.outages),
    }


def tables(outcome: Outcome, plan: Plan, facts: Mapping[str, Any]) -> Iterator[Sheet]:
    """Of everything that was measured."""
    told = ", ".join(f"{name} {value}" for name, value in facts.items())
    notes = [
        f"{outcome.compared:,} records and entries were compared with what was put; all equal.",
        f"Server: {told}.",
    ]
    yield calls_sheet(outcome.calls, notes)
    yield turns_sheet("In bulk, while the store answers", outcome.bulk, FALLBACK, BULK_NOTE)
    yield outages_sheet(outcome.outages, plan)
    yield probes_sheet(outcome.probes)
    yield turns_sheet("Entries brought to the disk", outcome.appends, appending.OURS, APPENDS_NOTE)
    yield turns_sheet("Writes while the store is away", outcome.writes, writing.OURS, WRITES_NOTE)
    yield turns_sheet("Replay", outcome.replays, replaying.REPLAY, REPLAY_NOTE)


BULK_NOTE: Final = (
    "Ours, times: how many times as fast it is with the fallback, round by round; "
    "processor time likewise, with the fallback over without."
)
APPENDS_NOTE: Final = (
    "An entry is a put of a sample record. The loop serves no writers: it is what the disk can do."
)
WRITES_NOTE: Final = (
    f"{AT_ONCE} writers at once. Records are encoded, kept, and shown to readers; without a "
    "journal they are lost with the process."
)
REPLAY_NOTE: Final = "From when the store is known to be back until nothing waits."


def calls_sheet(found: Calls, notes: Sequence[str]) -> Sheet:
    headings = (
        "call",
        "store",
        "without, µs",
        "with a breaker, µs",
        "with the fallback, µs",
        "extra, µs",
        "extra, mean",
        "extra time passed, µs",
    )
    rows = [_calls_row(task, store, rounds) for (task, store), rounds in found.groups()]
    note = (
        "Processor time of this process, but for the last column. Each record's calls come one "
        "after another; extra is the median, or the mean, of what one with the fallback took more "
        "than the same without, round by round."
    )
    title = f"Calls, while the store answers: {SPREAD}"
    return Sheet(title, headings, rows, texts=2, notes=[*notes, note])


def _calls_row(task: str, store: str, rounds: Sequence[calls.Round]) -> tuple[str, ...]:
    def of(figure: Callable[[calls.Round], float], *, spread: bool = True) -> str:
        return cell(microseconds(rounds, figure), spread=spread)

    return (
        task,
        store,
        of(lambda each: each.cpu[PLAIN], spread=False),
        of(lambda each: each.cpu[BREAKER], spread=False),
        of(lambda each: each.cpu[FALLBACK], spread=False),
        of(lambda each: each.extra_cpu),
        of(lambda each: each.extra_mean_cpu, spread=False),
        of(lambda each: each.extra),
    )


def turns_sheet(title: str, found: Turns, ours: str, note: str) -> Sheet:
    """Every way of every task, one of them compared with the others."""
    headings = ("task", "way", "records", "records/s", "client µs", "ours, times", "processor time")
    rows: list[tuple[str, ...]] = []
    strong: list[int] = []
    for task, ways in found.tasks().items():
        for way in sorted(ways, key=lambda way: way != ours):
            if way == ours:
                strong.append(len(rows))
            rows.append(_turns_row(task, way, ours, ways))
    return Sheet(f"{title}: {SPREAD}", headings, rows, 2, 1, strong, [note])


def _turns_row(
    task: str, way: str, ours: str, ways: Mapping[str, Sequence[Turn]]
) -> tuple[str, ...]:
    turns, own = ways[way], way == ours
    return (
        task,
        way,
        f"{turns[0].records:,}",
        cell(Spread.of([turn.speed for turn in turns])),
        cell(Spread.of([turn.cpu * 1e6 for turn in turns]), spread=False),
        "" if own else cell(ratio(ways, ours, way)),
        "" if own else cell(ratio(ways, ours, way, cpu), spread=False),
    )


def outages_sheet(found: Outages, plan: Plan) -> Sheet:
    headings = (
        "Firestore is",
        "first answer, ms",
        "beyond the deadline, ms",
        "later, ms",
        "slowest later, ms",
        f"over {QUICK * 1e3:g} ms",
        "noticed, s",
        "journal empty, s",
    )
    rows = [_outages_row(fault, found.of(fault)) for fault in found.faults]
    lasts = plan.lasts
    notes = [
        f"A `get` has {plan.deadline:g} s. {lasts.later:,} answers come after the first, one after "
        f"another; an outage goes on for {lasts.seconds:g} s or more, in which {lasts.entries:,} "
        "records are put. Over: later answers of an outage that took longer than that.",
        "Noticed: from the return of Firestore until the replay begins; empty: until it is over.",
    ]
    return Sheet(f"Firestore away: {SPREAD}", headings, rows, notes=notes)


def _outages_row(fault: str, rounds: Sequence[Outage]) -> tuple[str, ...]:
    return (
        fault,
        cell(milliseconds([each.first for each in rounds])),
        cell(milliseconds([each.over for each in rounds]), spread=False),
        cell(milliseconds([each.later for each in rounds])),
        cell(milliseconds([each.slowest for each in rounds])),
        ", ".join(str(each.slow) for each in rounds),
        cell(Spread.of([each.noticed for each in rounds])),
        cell(Spread.of([each.empty for each in rounds])),
    )


def probes_sheet(found: Probes) -> Sheet:
    headings = ("callers", "calls that reached the store", "answers meanwhile")
    row = (
        f"{found.callers:,}",
        ", ".join(str(count) for count in found.reached),
        ", ".join(number(count) for count in found.answers),
    )
    title = "The breaker half open, the store hanging, and many callers"
    return Sheet(title, headings, [row], texts=0, notes=["Each time that it was half open."])
