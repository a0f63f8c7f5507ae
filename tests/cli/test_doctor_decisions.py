"""What the doctor makes of what it sees, decided without asking anybody."""

import re
from collections import Counter
from pathlib import Path

import pytest

import orchestra_memory as om
from orchestra_memory.cli.checks.cache import remedy_of, rights_findings, set_up_findings
from orchestra_memory.cli.checks.clock import clock_finding
from orchestra_memory.cli.checks.durations import duration
from orchestra_memory.cli.checks.expiry import policy_findings, wanted
from orchestra_memory.cli.checks.journal import (
    LONG,
    file_findings,
    medium_finding,
    room_findings,
)
from orchestra_memory.cli.checks.schemas import Sampled, said_of
from orchestra_memory.cli.checks.store import speed_findings
from orchestra_memory.errors import CacheUnavailable
from orchestra_memory.health import Health, Status
from orchestra_memory.layers.cached.checkup import TENDING, Rights, commands_by_right
from orchestra_memory.layers.cached.failures import MEANING, unavailable
from orchestra_memory.layers.cached.tending import Server
from orchestra_memory.resilience.journal import JournalFile
from orchestra_memory.urls import FirestoreUrl
from orchestra_memory.values import from_micros

from .conftest import REPOSITORY

NOW = 1_800_000_000_000_000


@pytest.mark.parametrize(
    ("theirs", "took", "grade"),
    [
        (100.0, 0.0, "ok"),
        (100.9, 0.0, "ok"),
        (101.1, 0.0, "warn"),
        (98.0, 0.0, "warn"),
        (102.0, 2.0, "ok"),
        (110.0, 2.0, "warn"),
        (161.0, 0.0, "fail"),
        (-3_600.0, 0.1, "fail"),
    ],
)
def test_a_clock_is_wrong_by_what_the_round_trip_does_not_explain(theirs, took, grade):
    found = clock_finding("Firestore", theirs, 100.0 - took / 2, 100.0 + took / 2)
    assert found.grade == grade
    assert bool(found.remedy) == (grade != "ok")


@pytest.mark.parametrize(("theirs", "word"), [(1_000.0, "behind"), (-1_000.0, "ahead of")])
def test_the_direction_is_this_machines(theirs, word):
    assert f"{word} Redis" in clock_finding("Redis", theirs, 0.0, 0.0).detail


def test_a_clock_that_jumped_back_within_a_call_is_no_crash():
    assert clock_finding("Redis", 100.0, 101.0, 99.0).grade == "ok"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 seconds"),
        (0.4, "0 seconds"),
        (1, "1 second"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (7_199, "119 minutes"),
        (7_200, "2 hours"),
        (172_800, "2 days"),
        (10_000 * 86_400, "10,000 days"),
    ],
)
def test_how_long_is_said_in_a_unit_that_fits(seconds, text):
    assert duration(seconds) == text


SETTINGS = om.Settings(app_env="development")
SERVED = om.Settings(app_env="production")


@pytest.mark.parametrize(
    ("facts", "settings", "grades"),
    [
        ({"eviction": "allkeys-lru", "max_memory_bytes": 1 << 30}, SERVED, ["ok"]),
        ({"eviction": "noeviction", "max_memory_bytes": 1 << 30}, SERVED, ["warn"]),
        ({"eviction": "noeviction", "max_memory_bytes": 0}, SERVED, ["warn"]),
        ({"eviction": "noeviction", "max_memory_bytes": 0}, SETTINGS, ["ok"]),
        ({}, SERVED, ["warn"]),
        (
            {"eviction": "allkeys-lru", "max_memory_bytes": 1, "role": "slave"},
            SERVED,
            ["warn", "ok"],
        ),
    ],
)
def test_how_a_redis_is_set_up(facts, settings, grades):
    found = list(set_up_findings(Server(0.001, facts), settings))
    assert [each.grade for each in found] == grades
    assert all(each.remedy for each in found if each.grade != "ok")


def test_a_replica_is_told_under_redis():
    facts = {"eviction": "allkeys-lru", "max_memory_bytes": 1, "role": "slave"}
    assert next(set_up_findings(Server(0.001, facts), SERVED)).what == "redis"


@pytest.mark.parametrize("kind", MEANING)
def test_every_failure_of_redis_has_a_remedy(kind):
    assert remedy_of(unavailable(kind))


def test_the_remedies_go_by_kinds_that_exist():
    for kind in ("auth", "oom", "readonly", "name", "tls", "connection", "deadline", "error"):
        assert remedy_of(unavailable(kind)) != remedy_of(CacheUnavailable("unheard of"))


@pytest.mark.parametrize(
    ("rights", "grades"),
    [
        (Rights((), keys=True), ["ok"]),
        (Rights(("scan",), keys=True), ["warn"]),
        (Rights(("hset", "scan"), keys=True), ["fail", "warn"]),
        (Rights((), keys=False), ["fail"]),
        (Rights(("hset",), keys=False), ["fail", "fail"]),
    ],
)
def test_what_lacks_of_the_rights(rights, grades):
    assert [each.grade for each in rights_findings(rights)] == grades


def test_every_right_of_the_documentation_is_tried():
    page = (REPOSITORY / "docs/howto/cache.md").read_text()
    (line,) = re.findall(r"^user orchestra on >PASSWORD (.*)$", page, re.MULTILINE)
    documented = {word[1:] for word in line.split() if word.startswith("+")}
    assert {*commands_by_right("key")} == documented | TENDING


@pytest.mark.parametrize(
    ("found", "declared", "grade"),
    [
        ("persistent", None, "ok"),
        ("ephemeral", None, "warn"),
        ("persistent", "persistent", "ok"),
        ("ephemeral", "persistent", "warn"),
        ("persistent", "ephemeral", "warn"),
        ("ephemeral", "ephemeral", "warn"),
    ],
)
def test_the_medium_is_what_it_looks_like_and_what_is_said_of_it(found, declared, grade):
    assert medium_finding("journals", found, declared).grade == grade


def file(name="journal-a.db", *, living=True, minutes=1.0, entries=0, **fields):
    oldest = NOW - round(minutes * 60_000_000) if entries else None
    return JournalFile(Path(name), living, holder=7, entries=entries, oldest=oldest, **fields)


@pytest.mark.parametrize(
    ("journal", "grades"),
    [
        (file(), ["ok"]),
        (file(entries=3), ["ok"]),
        (file(entries=3, minutes=LONG / 60 + 1), ["warn"]),
        (file(entries=39_999), ["ok"]),
        (file(entries=30_000, dead_letters=10_000), ["warn", "warn"]),
        (file(entries=1, bytes=60 << 20), ["warn"]),
        (file(living=False, entries=3), ["warn"]),
        (file(living=False), ["ok"]),
        (file(living=False, dead_letters=2), ["ok", "warn"]),
        (file(entries=1, dead_letters=1), ["ok", "warn"]),
        (file(living=False, refusal="its entries are for another"), ["warn"]),
        (file(living=False, entries=1, damaged=True), ["warn", "fail"]),
    ],
)
def test_a_journal_is_graded_by_what_it_holds_and_who_has_it(journal, grades):
    found = list(file_findings([journal], from_micros(NOW)))
    assert [each.grade for each in found] == grades
    assert all(each.remedy for each in found if each.grade != "ok")


def test_journals_in_use_with_nothing_in_them_are_told_together():
    files = [file("a"), file("b"), file("c", entries=1)]
    found = list(file_findings(files, from_micros(NOW)))
    assert [each.detail.partition(";")[0] for each in found] == [
        "2 are in use (process 7, 7)",
        "c: 1 entry waits, for 60 seconds at most, 0 bytes",
    ]


@pytest.mark.parametrize(
    ("free", "grades"), [(1 << 30, []), (63 << 20, ["warn"]), (1 << 19, ["fail"]), (0, ["fail"])]
)
def test_a_disk_without_room_for_an_outage_is_named_before_there_is_one(free, grades):
    found = list(room_findings(Path("journals"), free))
    assert [each.grade for each in found] == grades
    assert all("make room" in each.remedy for each in found)


@pytest.mark.parametrize(
    ("latency", "answered", "grades"),
    [(0.1, True, []), (2.1, True, ["warn"]), (None, True, []), (10.0, False, [])],
)
def test_a_store_that_answers_too_late_for_calls_is_named(latency, answered, grades):
    health = Health("firestore", Status.OK, latency=latency, answered=answered)
    assert [each.grade for each in speed_findings(health, 2.0)] == grades


URL = FirestoreUrl("p", "(default)")


def test_a_policy_that_lacks_comes_with_the_command_that_makes_it():
    names = wanted(om.Settings())
    assert names[0] == ("markers", "expiration")
    policies = dict.fromkeys(names[1:], True)
    (found,) = policy_findings(policies, names, URL)
    assert found.grade == "warn"
    assert found.remedy == (
        "gcloud firestore fields ttls update expiration --collection-group=markers "
        "--enable-ttl --database='(default)' --project=p"
    )
    policies["markers", "expiration"] = False
    (found,) = policy_findings(policies, names, URL)
    assert (found.grade, found.detail) == (
        "ok",
        "markers: the policy is there, and not at work yet",
    )
    policies["markers", "expiration"] = True
    (found,) = policy_findings(policies, names, URL)
    assert found.detail.startswith("what has expired is removed from markers, ")


def test_the_policies_are_those_of_renamed_collections():
    names = [collection for collection, _ in wanted(om.Settings(collections="acme_"))]
    assert names[0] == "acme_markers"
    # Parts lie beneath their records, whatever these are called.
    assert [name for name in names if not name.startswith("acme_")] == ["parts"]


def test_records_that_cannot_be_read_are_counted():
    sampled = [Sampled(om.MemoryItem, Counter(), corrupt=3)]
    (found,) = said_of(sampled)
    assert found.grade == "warn"
    assert "memory_items: of 20 records at most, 3 cannot be read" in found.detail
