"""What was measured of the cache: as JSON, as tables, as figures with names, and as a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .. import promises
from ..peers import report as peers_report
from ..peers.turns import Result as PeersResult
from ..result import Result
from ..sheets import Sheet, cell, number
from ..summary import Spread
from . import herd, outage, plot, writing
from .herd import Herds
from .outage import Outages
from .turns import OURS, Line, figures, lines
from .ways import Bench
from .writing import Prices
from .zipf import Rates

if TYPE_CHECKING:
    from .part import Plan

TITLE: Final = "The cache in Redis"
SPREAD: Final = "medians (least to greatest)"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything of a run. ``outages`` is ``None`` where Redis could not be stopped."""

    bench: Bench
    prices: Sequence[Prices]
    outages: Outages | None
    herds: Herds
    rates: Rates
    others: PeersResult
    redis: str

    @property
    def compared(self) -> int:
        parts = (*self.prices, self.outages, self.herds, self.rates, self.bench, self.others)
        return sum(part.compared for part in parts if part is not None)


def result(
    part: str, outcome: Outcome, plan: Plan, facts: Mapping[str, Any], *, quick: bool
) -> Result:
    """The part's; a quick run is not judged."""
    found = all_figures(part, outcome)
    judged = [each for each in promises.judged(found) if each.promise.part == part]
    server = {**facts, "redis": outcome.redis}
    sheets = [promises.sheet(judged, judge=not quick), *tables(outcome, server)]
    return Result(
        f"{TITLE}, beside plain Redis, Firestore on the emulator, and other caches",
        document(outcome, plan, server),
        sheets,
        sheets[1:],
        found,
        partial(_draw, outcome),
    )


def _draw(outcome: Outcome, path: Path, caption: str) -> None:
    plot.draw(lines(outcome.bench.turns), outcome.rates.rates, path, caption=caption)


def document(outcome: Outcome, plan: Plan, server: Mapping[str, Any]) -> dict[str, Any]:
    """All there is to keep of a run: every round, and the summary."""
    return {
        "server": dict(server),
        "parameters": asdict(plan),
        "verified": {"records_compared": outcome.compared, "differences": 0},
        "summary": [asdict(line) for line in lines(outcome.bench.turns)],
        "prices": [asdict(price) for prices in outcome.prices for price in prices.rounds],
        "outages": [] if outcome.outages is None else list(map(asdict, outcome.outages.rounds)),
        "herds": [asdict(each) for each in outcome.herds.rounds],
        "rates": [asdict(rate) for rate in outcome.rates.rates],
        "others": asdict(outcome.others),
        "rounds": [asdict(turn) for turn in outcome.bench.turns],
    }


def all_figures(part: str, outcome: Outcome) -> dict[str, Spread]:
    """What promises are about, by name."""
    found = {**figures(part, outcome.bench.turns), **herd.figures(part, outcome.herds)}
    for prices in outcome.prices:
        found |= writing.figures(part, prices)
    if outcome.outages is not None:
        found |= outage.figures(part, outcome.outages)
    for line in outcome.others.lines:
        if line.faster is not None:
            found[f"{part}.{line.task} beside {line.peer}.speed"] = line.faster.spread
    return found


def tables(outcome: Outcome, server: Mapping[str, Any]) -> Iterator[Sheet]:
    """Of everything that was measured."""
    told = ", ".join(f"{name} {value}" for name, value in server.items())
    notes = [
        f"{outcome.compared:,} records were compared with what was stored; all were equal.",
        f"Servers: {told}.",
    ]
    yield calls(lines(outcome.bench.turns), notes)
    yield prices_sheet(outcome.prices)
    if outcome.outages is not None:
        yield outages_sheet(outcome.outages)
    yield herds_sheet(outcome.herds)
    yield rates_sheet(outcome.rates)
    others = peers_report.sheet(outcome.others)
    yield Sheet(
        f"Beside other caches: {SPREAD}",
        others.headings,
        others.lines,
        others.texts,
        others.grouped,
        others.strong,
        others.notes,
    )


def calls(found: Sequence[Line], notes: Sequence[str]) -> Sheet:
    headings = (
        "task",
        "way",
        "µs a call",
        "typical µs",
        "client µs",
        "ours, times",
        "cheaper",
        "billed",
    )
    rows = [
        (
            line.task,
            line.way,
            cell(line.us),
            cell(line.typical_us, spread=False),
            cell(line.cpu_us, spread=False),
            cell(line.times),
            cell(line.cheaper, spread=False),
            "" if line.billed is None else number(line.billed),
        )
        for line in found
    ]
    strong = [place for place, line in enumerate(found) if line.kind == OURS]
    notes = [
        *notes,
        "Ours, times: how many times as fast ours is, by the mean of a turn, round by round; "
        "cheaper: likewise by processor time. Billed: reads of the store for each call.",
    ]
    return Sheet(f"Calls, one after another: {SPREAD}", headings, rows, 2, 1, strong, notes)


def prices_sheet(found: Sequence[Prices]) -> Sheet:
    headings = (
        "store",
        "put, ms",
        "put with the cache, ms",
        "extra, ms",
        "allowed, ms",
        "two PINGs around it, ms",
        "PING alone, ms",
    )
    rows = [
        (
            store,
            _ms([price.plain for price in rounds]),
            _ms([price.cached for price in rounds]),
            _ms([price.extra for price in rounds]),
            _ms([price.allowed for price in rounds]),
            _ms([price.round_trips for price in rounds]),
            _ms([price.ping for price in rounds]),
        )
        for prices in found
        for store in prices.stores
        if (rounds := prices.of(store))
    ]
    note = (
        "Medians of single calls in each round. Allowed are two round trips to Redis, by which a "
        "put takes longer with a PING before it and one after, in the same round, and "
        f"{writing.BESIDES * 1e3:g} ms. The emulator and Redis share the processors with us."
    )
    return Sheet(f"The price of a write: {SPREAD}", headings, rows, notes=[note])


def outages_sheet(found: Outages) -> Sheet:
    headings = ("first answer, ms", "later, ms", "no cache, ms", "slowest later, ms", "back, s")
    rounds = found.rounds
    row = (
        _ms([each.first for each in rounds]),
        _ms([each.later for each in rounds]),
        _ms([each.plain for each in rounds]),
        _ms([each.slowest for each in rounds]),
        cell(Spread.of([each.back for each in rounds])),
    )
    note = "Back: seconds from when Redis went on until it was used again."
    title = f"Redis stopped (SIGSTOP), `get` over Firestore: {SPREAD}"
    return Sheet(title, headings, [row], texts=0, notes=[note])


def herds_sheet(found: Herds) -> Sheet:
    headings = ("processes", "readers", "reads below", "all answered, ms")
    rows = [
        (
            f"{processes}",
            f"{processes * herd.READERS:,}",
            ", ".join(f"{each.reads:,}" for each in rounds),
            _ms([each.seconds for each in rounds]),
        )
        for processes in found.sizes
        if (rounds := found.of(processes))
    ]
    return Sheet("A herd: concurrent readers of one cold record", headings, rows, texts=0)


def rates_sheet(found: Rates) -> Sheet:
    headings = ("exponent", "cache", "reads", "billed", "saved", "saved from cold", "reads/s")
    rows = [
        (
            f"{rate.skew:g}",
            rate.setting,
            f"{rate.reads:,}",
            f"{rate.billed:,}",
            f"{rate.saved:.1%}",
            f"{1 - rate.cold / rate.cold_reads:.1%}",
            f"{rate.reads / rate.seconds:,.0f}",
        )
        for rate in found.rates
    ]
    notes = ["From cold: of as many reads before those, which found the cache empty."]
    if errors := sum((Counter(rate.errors) for rate in found.rates), Counter[str]()):
        kinds = ", ".join(f"{kind} {count:,} times" for kind, count in errors.items())
        notes.append(f"Redis did not do what it was asked: {kinds}.")
    title = "Reads of Firestore that the cache saves, by how uneven they are (Zipf's law)"
    return Sheet(title, headings, rows, texts=2, grouped=1, notes=notes)


def _ms(seconds: Sequence[float]) -> str:
    return cell(Spread.of([value * 1e3 for value in seconds]))
