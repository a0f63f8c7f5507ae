"""The benchmark of the cache: turns, comparing, and that all that is promised is measured."""

import asyncio
import json
import sys
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest

from benchmarks.cache import herd, outage, part, report, tasks, writing, zipf
from benchmarks.cache.herd import Herd, Herds
from benchmarks.cache.part import QUICK, Servers
from benchmarks.cache.turns import FIRESTORE, OURS, REDIS, UNCACHED, Turn, figures, lines
from benchmarks.cache.ways import Bench, Task, Way
from benchmarks.cache.writing import Price, Prices
from benchmarks.cache.zipf import Workload, drawn
from benchmarks.compare import WrongData
from benchmarks.peers import bench as peers
from benchmarks.peers import with_cache
from benchmarks.peers.catalogue import CACHES, Peer
from benchmarks.promised import PROMISES
from benchmarks.records import sessions
from orchestra_memory.testing import redis_server as redis

TINY = replace(
    QUICK,
    rounds=1,
    sessions=1,
    amounts=tasks.Amounts(get=2, slow=1, read=1, history=1, talk=2),
    puts=1,
    herds=(1, 2),
    workload=Workload(100, 10, 10, zipf.SETTINGS[:1]),
    peers=peers.Plan(rounds=1, single=peers.Size(1, 2)),
)


def turn(kind, seconds, *, way=None, number=1, cpu=0.1, task="get"):
    return Turn(task, way or kind, kind, number, calls=10, seconds=seconds, cpu=cpu, typical=0.1)


def way(name, kind=OURS, answer=str.upper, **rest):
    async def ask(question):
        return answer(question)

    return Way(name, kind, ask, **rest)


def task(*ways):
    return Task("shout", ways, lambda number: [f"a{number}", f"b{number}"], str.upper)


def quiet(_):
    pass


def test_every_way_is_asked_the_same_in_every_round_and_the_first_round_does_not_count():
    asked = []

    def noted(name):
        return way(name, answer=lambda question: asked.append((name, question)) or question.upper())

    bench = Bench(quiet)
    asyncio.run(bench.run(task(noted("one"), noted("two")), rounds=2))
    assert [(turn.way, turn.round, turn.calls) for turn in bench.turns] == [
        ("two", 1, 2),
        ("one", 1, 2),
        ("one", 2, 2),
        ("two", 2, 2),
    ]
    assert Counter(name for name, _ in asked) == {"one": 6, "two": 6}
    assert [question for name, question in asked if name == "one"] == [
        f"{letter}{number}" for number in range(3) for letter in "ab"
    ]
    assert bench.compared == 12


def test_a_slow_way_is_asked_less():
    bench = Bench(quiet)
    asyncio.run(bench.run(task(way("slow", at_most=1)), rounds=1))
    assert [turn.calls for turn in bench.turns] == [1]


def test_an_answer_that_differs_ends_the_run():
    with pytest.raises(WrongData, match="shout, wrong"):
        asyncio.run(Bench(quiet).run(task(way("wrong", answer=str.lower)), rounds=1))


def test_what_is_compared_is_what_a_way_makes_of_its_answer():
    finished = way("plain", answer=str.lower, finish=str.upper)
    bench = Bench(quiet)
    asyncio.run(bench.run(task(finished), rounds=1))
    assert len(bench.turns) == 1


def test_ratios_are_to_the_best_way_of_a_kind_and_of_the_same_round():
    turns = [
        turn(OURS, 1.0),
        turn(OURS, 2.0, number=2),
        turn(REDIS, 0.5, way="quick"),
        turn(REDIS, 0.8, way="quick", number=2),
        turn(REDIS, 0.9, way="slow"),
        turn(REDIS, 0.9, way="slow", number=2),
        turn(FIRESTORE, 8.0),
    ]
    found = figures("cache", turns)
    ratio = found[f"cache.get.time/{REDIS}"]
    assert (ratio.least, ratio.greatest) == (pytest.approx(2.0), pytest.approx(2.5))
    assert found[f"cache.get.speed/{FIRESTORE}"].median == pytest.approx(8.0)


def test_a_line_tells_how_much_faster_and_cheaper_our_way_is():
    ours, theirs = lines([turn(UNCACHED, 5.0, cpu=0.8), turn(OURS, 1.0, cpu=0.2)])
    assert (ours.times, ours.cheaper) == (None, None)
    assert theirs.times.median == pytest.approx(5.0)
    assert theirs.cheaper.median == pytest.approx(4.0)
    assert theirs.us.median == pytest.approx(500_000)


def test_the_price_of_a_write_is_held_against_round_trips_of_the_same_round():
    price = Price("local", 1, cached=0.0009, plain=0.0003, pinged=0.0005, ping=0.00009)
    assert price.extra == pytest.approx(0.0006)
    assert price.allowed == pytest.approx(0.0005)
    found = writing.figures("cache", Prices([price], 3))
    assert found["cache.put over local.extra_ms"].median == pytest.approx(0.6)
    assert found["cache.put over local.extra/allowed"].median == pytest.approx(1.2)


def test_one_herd_that_read_more_is_not_hidden_by_others():
    herds = Herds([Herd(1, 1, 0.1), Herd(1, 1, 0.1), Herd(1, 7, 0.1), Herd(3, 6, 0.1)], 6_000)
    found = herd.figures("cache", herds)
    assert found["cache.herd.one process"].median == 7
    assert found["cache.herd.several processes"].median == 2


def test_reads_by_zipf_are_the_same_every_time_and_more_uneven_with_the_exponent():
    (records,) = sessions(1, 100)
    mild, steep = (Counter(item.id for item in drawn(records, skew, 2_000)) for skew in (0.8, 1.2))
    assert drawn(records, 0.8, 50) == drawn(records, 0.8, 50)
    assert steep.most_common(1)[0][1] > mild.most_common(1)[0][1]


def test_a_talk_asks_for_the_newest_page_after_each_record():
    (job,) = sessions(1, tasks.TALK + 10)
    nobody = SimpleNamespace(cached=None, plain=None, meter=None)
    talk = tasks.talk(nobody, nobody, None, job, tasks.Amounts(talk=5))
    asked = [*talk.questions(0), *talk.questions(1)]
    assert [question[-1] for question in asked] == job[tasks.TALK :]
    assert talk.expected(asked[0])[0] == job[tasks.TALK]
    assert len(talk.expected(asked[0])) == tasks.PAGE


def test_a_record_survives_the_way_through_the_model_of_the_caches():
    (record,) = sessions(1, 1)[0]
    assert with_cache.native(json.loads(json.dumps(with_cache.plain(record)))) == record


def test_every_cache_is_pinned_to_one_version_of_everything_it_asks_for():
    requirements = [requirement for peer in CACHES for requirement in peer.requirements]
    assert requirements
    assert all(requirement.count("==") == 1 for requirement in requirements)


@pytest.fixture(scope="module")
def outcome(firestore_emulator, redis_server, hasty):
    """Everything measured with few records, one peer being this library itself."""
    twin = Peer("twin", "with_cache", ("twin==1.0",), "the same as ours", ours="with_cache")
    with (
        redis.start(own=True) as running,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(part, "CACHES", (twin,))
        patch.setattr(peers, "python_for", lambda *_, **__: sys.executable)
        servers = Servers(running, firestore_emulator.host)
        yield asyncio.run(part.measured(servers, TINY, quiet))


def test_everything_that_is_promised_of_the_cache_is_measured(outcome):
    found = report.all_figures(part.PART, outcome)
    promised = {
        figure for promise in PROMISES if promise.part == part.PART for figure in promise.figures
    }
    others = {f"cache.get beside {peer.name}.speed" for peer in CACHES}
    assert promised - others <= found.keys()
    assert "cache.get beside twin.speed" in found


def test_a_cached_read_is_not_billed_and_one_without_the_cache_is(outcome):
    found = {(line.task, line.way): line for line in lines(outcome.bench.turns)}
    assert found["get over Firestore", "get, cached"].billed == 0
    assert found["get over Firestore", "get, no cache"].billed == 1
    assert found["append and read", "put and history, cached"].billed == 0
    assert found["append and read", "put and history, no cache"].billed >= tasks.PAGE


def test_tables_have_a_cell_for_each_heading_and_the_result_survives_json(outcome):
    made = report.result(part.PART, outcome, TINY, {"origin": "here"}, quick=True)
    assert all(len(line) == len(sheet.headings) for sheet in made.sheets for line in sheet.lines)
    kept = json.loads(json.dumps(made.document))
    assert kept["verified"]["records_compared"] == outcome.compared > 0
    assert {rate["setting"] for rate in kept["rates"]} == {
        setting.told for setting in TINY.workload.settings
    }
    assert made.shown == made.sheets[1:]


def test_the_picture_is_drawn(outcome, tmp_path):
    pytest.importorskip("matplotlib")
    made = report.result(part.PART, outcome, TINY, {}, quick=True)
    made.draw(tmp_path / "cache.png", "a caption")
    assert (tmp_path / "cache.png").stat().st_size > 1_000


def test_what_a_stopped_redis_cost_is_told_in_milliseconds():
    rounds = [outage.Outage(0.055, 0.00103, 0.001, 0.002, 2.0)]
    found = outage.figures("cache", outage.Outages(rounds, 1))
    assert found["cache.stopped.first_ms"].median == pytest.approx(55)
    assert found["cache.stopped.later/no cache"].median == pytest.approx(1.03)
