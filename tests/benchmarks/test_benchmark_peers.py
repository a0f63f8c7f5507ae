"""The benchmark beside other libraries: their environments, their processes, and what is told."""

import json
import sys
from types import SimpleNamespace

import pytest

from benchmarks.peers import bench, environments, with_ours
from benchmarks.peers.bench import Plan, Size, expected_of
from benchmarks.peers.catalogue import OURS, PEERS, Peer
from benchmarks.peers.environments import NotInstalled, is_ready, last_line, python_for, stamp
from benchmarks.peers.item import Item
from benchmarks.peers.process import WorkerFailed, at_work, environment
from benchmarks.peers.report import HEADINGS, sheet
from benchmarks.peers.turns import Result, Turn, lines
from benchmarks.peers.way import RECENT, Way
from benchmarks.peers.worker import Worker
from benchmarks.records import sessions
from orchestra_memory import MemoryItem

PEER = Peer("twin", "with_ours", ("twin==1.0", "other==2.0"), "the same as ours")
TINY = Plan(rounds=1, bulk=Size(2, 5), single=Size(1, 3), talk=Size(2, RECENT + 2))


def turn(way, seconds, *, number=1, cpu=0.1, ours=False, task="write"):
    return Turn("twin", task, way, ours, number, records=100, seconds=seconds, cpu=cpu)


def test_every_peer_is_pinned_to_one_version_of_everything_it_asks_for():
    requirements = [requirement for peer in PEERS for requirement in peer.requirements]
    assert requirements
    assert all(requirement.count("==") == 1 for requirement in requirements)


def test_the_model_of_the_peers_has_the_fields_of_the_record():
    assert Item.model_fields.keys() == MemoryItem.model_fields.keys()


def test_a_record_survives_the_way_through_json_and_the_model_of_the_peers():
    (record,) = sessions(1, 1, embedding=3)[0]
    sent = json.loads(json.dumps(with_ours.plain(record)))
    returned = Item.model_validate(sent).model_dump(mode="json")
    assert with_ours.native(json.loads(json.dumps(returned))) == record


def test_an_environment_is_made_anew_only_when_its_requirements_change(tmp_path):
    place = tmp_path / PEER.name
    assert not is_ready(place, PEER)
    place.mkdir()
    (place / environments.STAMP).write_text(json.dumps(stamp(PEER)))
    assert is_ready(place, PEER)
    assert not is_ready(place, Peer("twin", "with_ours", ("twin==1.1",), ""))


def test_an_environment_that_is_ready_is_used_without_a_word(tmp_path):
    told = []
    (tmp_path / PEER.name).mkdir()
    (tmp_path / PEER.name / environments.STAMP).write_text(json.dumps(stamp(PEER)))
    python = python_for(PEER, told.append, folder=tmp_path)
    assert python == tmp_path / "twin" / "bin" / "python"
    assert not told


@pytest.fixture
def commands(monkeypatch):
    """What would have been run."""
    given = []
    monkeypatch.setattr(environments, "_run", given.append)
    return given


def test_what_is_installed_is_said_and_pip_is_given_the_pins(commands, tmp_path):
    told = []
    place = tmp_path / PEER.name

    def install(command):
        commands.append(command)
        place.mkdir(exist_ok=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environments, "_run", install)
        python_for(PEER, told.append, folder=tmp_path)
    assert told == [f"twin: installing twin==1.0, other==2.0 in {place}"]
    assert commands[-1][-2:] == ["twin==1.0", "other==2.0"]
    assert is_ready(place, PEER)


def test_a_command_that_fails_tells_its_error():
    program = "import sys; print('ERROR: no such version', file=sys.stderr); sys.exit(1)"
    with pytest.raises(NotInstalled, match=r"^ERROR: no such version$"):
        environments._run([sys.executable, "-c", program])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("one\nERROR: two\n\nnotice\n", "ERROR: two"),
        ("one\n two \n\n", "two"),
        ("", ""),
    ],
)
def test_the_line_of_the_error_is_found_among_notices(text, line):
    assert last_line(text) == line


def test_a_peer_that_cannot_be_installed_is_left_out_with_the_reason(monkeypatch):
    def refuse(peer, report, *, folder):
        raise NotInstalled("no index in reach")

    monkeypatch.setattr(bench, "python_for", refuse)
    told = []
    result = bench.run(TINY, "nowhere:1", told.append, peers=[PEER])
    assert result.skipped == {"twin": "could not be installed: no index in reach"}
    assert not result.turns
    assert "twin" in told[0]
    assert "no index in reach" in sheet(result).notes[-1]


def test_a_process_that_ends_is_named(capfd):
    side = at_work("twin", sys.executable, "with_nobody", project="project", host="nowhere:1")
    with pytest.raises(WorkerFailed, match="twin: its process ended with status 1"), side:
        pass
    assert "with_nobody" in capfd.readouterr().err


def test_a_process_gets_the_emulator_but_no_path_of_ours(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.setenv("KEPT", "yes")
    given = environment("here:1")
    assert given["FIRESTORE_EMULATOR_HOST"] == "here:1"
    assert given["KEPT"] == "yes"
    assert "PYTHONPATH" not in given


@pytest.fixture
def worker():
    """A worker whose side keeps records in lists, by place."""
    stored = {}

    async def prepare(client, place, jobs, *, new):
        return stored.setdefault(place, [])

    async def write(store, jobs):
        store.extend(jobs)
        return ()

    async def read(store, jobs):
        return store

    side = SimpleNamespace(
        PACKAGES=("orchestra-memory",),
        WAYS=(Way("write", "extend", write, writes=True), Way("read", "all", read)),
        prepare=prepare,
        read_back=read,
        native=lambda plain: plain["id"],
        plain=lambda key: {"id": key},
    )
    return Worker(side, None)


def run_request(task, way, place):
    return {"do": "run", "task": task, "way": way, "place": place}


@pytest.mark.anyio
async def test_a_worker_times_its_turn_and_tells_what_was_written_or_read(worker):
    jobs = [[{"id": "a"}], [{"id": "b"}]]
    assert await worker.answer({"do": "load", "jobs": jobs}) == {}
    cost = await worker.answer(run_request("write", "extend", "here"))
    assert cost["seconds"] > 0
    assert cost["cpu"] >= 0
    assert await worker.answer({"do": "found"}) == {"jobs": jobs}
    await worker.answer(run_request("read", "all", "here"))
    assert await worker.answer({"do": "found"}) == {"jobs": jobs}
    await worker.answer(run_request("read", "all", "elsewhere"))
    assert await worker.answer({"do": "found"}) == {"jobs": []}


def test_a_worker_tells_its_ways_and_versions(worker):
    hello = json.loads(json.dumps(worker.hello()))
    assert hello["ways"] == [["write", "extend", True], ["read", "all", False]]
    assert {"python", "orchestra-memory", "google-cloud-firestore"} <= hello["versions"].keys()


def test_ratios_are_to_the_best_way_of_the_peer_for_each_figure():
    found = lines(
        [
            turn("put_many", 1.0, ours=True),
            turn("fast", 3.0, cpu=0.9),
            turn("cheap", 9.0, cpu=0.4),
        ]
    )
    ours, fast, cheap = found
    assert ours.faster.way == "fast"
    assert ours.faster.spread.median == pytest.approx(3.0)
    assert ours.cheaper.way == "cheap"
    assert ours.cheaper.spread.median == pytest.approx(4.0)
    assert (fast.faster, cheap.cheaper) == (None, None)


def test_ratios_compare_what_ran_in_the_same_round():
    found = lines(
        [
            turn("put_many", 1.0, ours=True),
            turn("save", 2.0),
            turn("put_many", 10.0, ours=True, number=2),
            turn("save", 40.0, number=2),
        ]
    )
    spread = found[0].faster.spread
    assert (spread.least, spread.greatest) == (pytest.approx(2.0), pytest.approx(4.0))


def test_a_way_of_ours_is_told_from_one_of_theirs_with_the_same_name():
    found = lines([turn("put", 1.0), turn("put", 2.0, ours=True)])
    assert [(line.ours, line.records_per_second.median) for line in found] == [
        (True, 50.0),
        (False, 100.0),
    ]


def test_the_newest_are_expected_of_each_session():
    jobs = sessions(2, RECENT + 5)
    assert expected_of("newest", jobs) == [job[5:] for job in jobs]
    assert expected_of("session", jobs) == jobs


def test_the_table_sets_off_our_lines_and_tells_versions_and_notes():
    turns = [turn("put_many", 1.0, ours=True), turn("save", 2.0)]
    result = Result(lines(turns), turns, {"twin": {"python": "3"}}, {}, {"twin": "a note"}, 200)
    table = sheet(result)
    assert [len(line) for line in table.lines] == [len(HEADINGS)] * 2
    assert list(table.strong) == [0]
    assert "twin ran with python 3." in table.notes
    assert "twin: a note" in table.notes


def test_two_processes_do_all_tasks_in_turns_and_what_they_kept_is_compared(
    monkeypatch, firestore_emulator
):
    monkeypatch.setattr(bench, "python_for", lambda *_, **__: sys.executable)
    result = bench.run(TINY, firestore_emulator.host, lambda _: None, peers=[PEER])
    told = {(line.task, line.way, line.ours) for line in result.lines}
    assert told == {(way.task, way.name, ours) for way in with_ours.WAYS for ours in (True, False)}
    assert result.packages.keys() == {"twin", OURS}
    assert result.compared > sum(turn.records for turn in result.turns)
