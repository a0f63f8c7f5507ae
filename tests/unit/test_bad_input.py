"""What cannot be stored or asked is refused where it enters.

The error is typed, names field, type of the value and remedy, and never shows the value.
"""

from datetime import UTC, date, datetime
from functools import reduce
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from orchestra_memory import (
    ABSENT,
    AgentData,
    AgentState,
    ConfigurationError,
    CoordinationEvent,
    InvalidQuery,
    InvalidRecord,
    LocalMemory,
    MemoryItem,
    MemoryRecord,
    Patch,
    Put,
    Query,
    Record,
    Ref,
    UserSession,
)

SECRET = "s3cret-Zq7"
NAIVE = datetime(2026, 1, 1)
ITEM = {"id": "i", "user_id": "u"}
REF = Ref(MemoryItem, "i")


def nested(depth: int, leaf: Any) -> Any:
    return reduce(lambda inner, _: {"d": inner}, range(depth), leaf)


def leaks(error: BaseException) -> bool:
    """Whether anything that travels with the error shows the value."""
    chain = [error, error.__cause__, error.__context__, *vars(error).values()]
    return any(SECRET in f"{each!s} {each!r}" for each in chain)


def item(**fields: Any) -> MemoryItem:
    return MemoryItem(**{**ITEM, **fields})


@pytest.mark.parametrize(
    ("fields", "field", "kind", "remedy"),
    [
        ({"id": ""}, "id", "str", "at least 1 character"),
        ({"user_id": ""}, "user_id", "str", "at least 1 character"),
        ({"user_id": None}, "user_id", "NoneType", "valid string"),
        ({"user_id": 7}, "user_id", "int", "valid string"),
        ({"timestamp": NAIVE}, "timestamp", "", "give an aware datetime"),
        ({"timestamp": SECRET}, "timestamp", "str", "valid datetime"),
        ({"text_content": SECRET.encode() + b"\xff"}, "text_content", "bytes", "UTF-8"),
        ({"embedding": []}, "embedding", "list", "at least 1 item"),
        ({"embedding": [0.5] * 2_049}, "embedding", "list", "at most 2048 items"),
        ({"embedding": [0.5, float("nan")]}, "embedding", "float", "finite"),
        ({"embedding": [0.5, float("inf")]}, "embedding", "float", "finite"),
        ({"embedding": SECRET}, "embedding", "str", "list"),
        ({"embedding": [SECRET]}, "embedding", "str", "number"),
        ({"metadata": {"tags": {SECRET}}}, "metadata", "set", "use a list"),
        ({"metadata": {"tags": frozenset({SECRET})}}, "metadata", "frozenset", "use a list"),
        ({"metadata": {"f": StringIO(SECRET)}}, "metadata", "StringIO", "use None, bool"),
        ({"metadata": {"f": object()}}, "metadata", "object", "use None, bool"),
        ({"metadata": {"d": date(2026, 1, 1)}}, "metadata", "date", "use None, bool"),
        ({"metadata": {"n": 2**63}}, "metadata", "int", "store it as a str"),
        ({"metadata": {"n": [[-(2**63) - 1]]}}, "metadata", "int", "store it as a str"),
        ({"metadata": {"t": NAIVE}}, "metadata", "", "give an aware datetime"),
        ({"metadata": {7: SECRET}}, "metadata", "int", "must be str"),
        ({"metadata": {None: SECRET}}, "metadata", "NoneType", "must be str"),
        ({"metadata": [SECRET]}, "metadata", "list", "use a dict"),
        ({"metadata": SECRET}, "metadata", "str", "use a dict"),
        ({"metadata": nested(21, SECRET)}, "metadata", "", "a record of its own"),
        ({"metadata": {"x": "a\ud800" + SECRET}}, "metadata", "", "errors='replace'"),
        ({"metadata": {"k" * 1_500: SECRET}}, "metadata", "", "shorten"),
        ({"no_such_field": SECRET}, "no_such_field", "str", "not permitted"),
        ({"id": "x" * 1_501}, "id", "", "hash it"),
        ({"id": "\ud800"}, "id", "", "errors='replace'"),
    ],
)
def test_a_record_that_cannot_be_stored_is_refused(fields, field, kind, remedy) -> None:
    with pytest.raises(InvalidRecord) as caught:
        # Some things show only when the id is asked for, or the record is put.
        Put(item(**fields))
    error = caught.value
    assert error.model == "MemoryItem"
    assert error.field == field
    assert field in str(error)
    assert kind in str(error)
    assert remedy.lower() in str(error).lower()
    assert isinstance(error, ValueError)
    assert not leaks(error)


def test_an_open_file_is_refused() -> None:
    with (
        Path(__file__).open() as file,
        pytest.raises(InvalidRecord, match="TextIOWrapper") as caught,
    ):
        AgentData(agent_id="a", content={"log": [file]})
    assert caught.value.field == "content"
    assert "log[0]: TextIOWrapper" in str(caught.value)


def test_missing_fields_are_named() -> None:
    with pytest.raises(InvalidRecord, match="user_id: Field required"):
        MemoryItem()  # type: ignore[call-arg]


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(InvalidRecord) as caught:
        AgentState(agent_type="", agent_id="", session_id="s", tools_enabled=SECRET)  # type: ignore[arg-type]
    assert all(name in str(caught.value) for name in ("agent_type", "agent_id", "tools_enabled"))
    assert not leaks(caught.value)


def test_evolve_is_as_strict_as_construction() -> None:
    with pytest.raises(InvalidRecord) as caught:
        item().evolve(metadata={"x": {SECRET}})
    assert not leaks(caught.value)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("record", "field"),
    [
        (MemoryItem(**ITEM, text_content=SECRET * 400_000), "text_content"),
        (MemoryItem(**ITEM, metadata={"x": SECRET * 120_000}), "metadata"),
        (MemoryRecord(content=SECRET * 400_000), "content"),
        (UserSession(user_id="u", session_id="s", metadata={"x": [1] * 45_000}), "metadata"),
    ],
)
async def test_a_record_over_the_limit_is_refused(record, field) -> None:
    with pytest.raises(InvalidRecord) as caught:
        await LocalMemory().put(record)
    assert caught.value.field == field
    assert "at most" in str(caught.value) or "more than" in str(caught.value)
    assert not leaks(caught.value)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("record", "field"),
    [
        (MemoryItem(**ITEM, text_content="\ud800" + SECRET), "text_content"),
        (MemoryItem(**ITEM, session_id=SECRET, persona_active="\ud800"), "persona_active"),
        (
            AgentState(agent_type="a", agent_id="b", session_id="c", tools_enabled=["\ud800"]),
            "tools_enabled",
        ),
    ],
)
async def test_text_that_is_not_utf_8_is_refused(record, field) -> None:
    with pytest.raises(InvalidRecord, match="errors='replace'") as caught:
        await LocalMemory().put(record)
    assert caught.value.field == field
    assert not leaks(caught.value)


@pytest.mark.parametrize("parts", [("",), ("", "s"), ("u", "")])
def test_an_empty_part_of_an_id_is_refused(parts) -> None:
    with pytest.raises(InvalidRecord):
        UserSession.key_of(*parts)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "empty"),
        (7, "int"),
        (None, "NoneType"),
        ("é" * 751, "1500 bytes"),
        ("\ud800", "surrogate"),
    ],
)
def test_a_ref_needs_an_id(key, reason) -> None:
    with pytest.raises(InvalidQuery, match=reason) as caught:
        Ref(MemoryItem, key)
    assert caught.value.field == "key"


ALICE = ("user_id", "==", "alice")


@pytest.mark.parametrize(
    ("query", "field", "says"),
    [
        ({"where": {"no_such_field": SECRET}}, "no_such_field", "it has id, user_id"),
        ({"where": {"user_id.x": SECRET}}, "user_id.x", "not a map"),
        ({"where": {"metadata.": SECRET}}, "metadata.", "empty part"),
        ({"where": {"metadata..x": SECRET}}, "metadata..x", "empty part"),
        ({"where": {"text_content": SECRET}}, "text_content", "large"),
        ({"where": {"metadata.x": {SECRET}}}, "metadata.x", "set"),
        ({"where": {"metadata.x": 2**63}}, "metadata.x", "64 bits"),
        ({"where": {"metadata.x": NAIVE}}, "metadata.x", "aware"),
        ({"where": {"metadata.x": float("nan")}}, "metadata.x", "NaN"),
        ({"where": {"metadata.x": SECRET * 200}}, "metadata.x", "1,500 bytes"),
        ({"where": {"metadata.x": SECRET.encode() * 200}}, "metadata.x", "1,500 bytes"),
        ({"where": {"metadata.x": "\ud800" + SECRET}}, "metadata.x", "surrogate"),
        ({"where": [("metadata.x", "<", None)]}, "metadata.x", "'=='"),
        ({"where": [("metadata.x", "!=", None)]}, "metadata.x", "'=='"),
        ({"where": [("metadata.x", "in", [None])]}, "metadata.x", "'=='"),
        ({"where": [("metadata.x", "in", [])]}, "metadata.x", "at least one"),
        ({"where": [("metadata.x", "in", SECRET)]}, "metadata.x", "str"),
        ({"where": [("metadata.x", ">", float("nan"))]}, "metadata.x", "NaN"),
        ({"where": [("metadata.x", "like", SECRET)]}, "metadata.x", "contains_any"),
        ({"where": [("user_id", "not-in", [SECRET])]}, "user_id", "use one of"),
        ({"where": [("user_id", SECRET)]}, "", "triple"),
        ({"where": [ALICE, ("metadata.x", "in", [*range(31)])]}, "", "several queries"),
        (
            {"where": [("metadata.x", "in", [*range(6)]), ("metadata.y", "in", [*range(6)])]},
            "",
            "36 cases",
        ),
        (
            {"where": [("metadata.x", "contains", 1), ("metadata.y", "contains", 1)]},
            "",
            "only one",
        ),
        ({"where": [("metadata.x", "!=", 1), ("metadata.y", "!=", 1)]}, "", "only one"),
        ({"order_by": "no_such_field"}, "no_such_field", "no field"),
        ({"order_by": "text_content"}, "text_content", "large"),
        ({"order_by": ["metadata.x", "-metadata.x"]}, "", "twice"),
        ({"order_by": "-timestamp"}, "timestamp", "declares"),
        ({"where": [("timestamp", ">", NAIVE.replace(tzinfo=UTC))]}, "timestamp", "declares"),
        ({"page_size": 0}, "page_size", "from 1"),
        ({"page_size": True}, "page_size", "bool"),
        ({"page_size": 2.0}, "page_size", "float"),
        ({"page_size": 10_001}, "page_size", "at most 10000"),
        ({"limit": 0}, "limit", "from 1"),
        ({"limit": "7"}, "limit", "str"),
        ({"namespace": "a/b"}, "namespace", "without '/'"),
    ],
)
def test_a_query_no_store_can_answer_is_refused(query, field, says) -> None:
    with pytest.raises(InvalidQuery) as caught:
        Query(MemoryItem, **query)
    assert caught.value.field == field
    assert says in str(caught.value)
    assert not leaks(caught.value)


@pytest.mark.parametrize(
    ("field", "vector", "options", "says"),
    [
        ("user_id", [1.0], {}, "no vectors"),
        ("no_such_field", [1.0], {}, "no field"),
        ("embedding", [], {}, "0 dimensions"),
        ("embedding", [1.0] * 2_049, {}, "2049 dimensions"),
        ("embedding", [float("nan")], {}, "finite"),
        ("embedding", [float("inf")], {}, "finite"),
        ("embedding", SECRET, {}, "list of numbers"),
        ("embedding", [SECRET], {}, "list of numbers"),
        ("embedding", None, {}, "list of numbers"),
        ("embedding", [1.0], {"limit": 0}, "from 1"),
        ("embedding", [1.0], {"limit": 1_001}, "at most 1000"),
        ("embedding", [1.0], {"metric": "manhattan"}, "cosine"),
    ],
)
def test_a_search_no_store_can_answer_is_refused(field, vector, options, says) -> None:
    with pytest.raises(InvalidQuery, match=says) as caught:
        Query(MemoryItem, where=[ALICE]).near(field, vector, **options)
    assert not leaks(caught.value)


@pytest.mark.parametrize(
    "query",
    [
        Query(MemoryItem, where=[ALICE], order_by="-timestamp"),
        Query(MemoryItem, where=[("item_type", "!=", "note")]),
        Query(MemoryItem, where=[("item_type", "in", ["note"])]),
    ],
)
def test_a_search_takes_equalities_only(query) -> None:
    with pytest.raises(InvalidQuery, match="equality"):
        query.near("embedding", [1.0])


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({}, "", "without changes"),
        ({"set": {"id": SECRET}}, "id", "key"),
        ({"set": {"user_id": SECRET}}, "user_id", "scope"),
        ({"set": {"text_content": SECRET}}, "text_content", "large"),
        ({"set": {"no_such_field": SECRET}}, "no_such_field", "no field"),
        ({"set": {"item_type.x": SECRET}}, "item_type.x", "not a map"),
        ({"set": {"item_type": 7}}, "item_type", "int"),
        ({"set": {"timestamp": NAIVE}}, "timestamp", "aware"),
        ({"set": {"embedding": [float("nan")]}}, "embedding", "finite"),
        ({"set": {"metadata.x": {SECRET}}}, "metadata.x", "set"),
        ({"set": {"metadata.x": 2**63}}, "metadata.x", "64 bits"),
        ({"set": {"metadata": {"x": 1}, "metadata.x": 1}}, "metadata.x", "twice"),
        ({"set": {"metadata.x": 1}, "unset": ["metadata.x"]}, "metadata.x", "twice"),
        ({"increment": {"metadata.x": SECRET}}, "metadata.x", "number"),
        ({"increment": {"metadata.x": True}}, "metadata.x", "number"),
        ({"increment": {"metadata.x": float("nan")}}, "metadata.x", "number"),
        ({"increment": {"item_type": 1}}, "item_type", "only a number"),
        ({"add": {"item_type": ["x"]}}, "item_type", "only a list"),
        ({"add": {"metadata.x": SECRET}}, "metadata.x", "list of elements"),
        ({"remove": {"metadata.x": [{SECRET}]}}, "metadata.x", "set"),
        ({"set": {"item_type": "x"}, "expect": None}, "", "or_create"),
        ({"set": {"item_type": "x"}, "expect": ABSENT}, "", "or_create"),
        ({"set": {"item_type": "x"}, "expect": ABSENT, "or_create": item()}, "", "or_create"),
        ({"set": {"item_type": "x"}, "or_create": item(id="j")}, "or_create", "another record"),
    ],
)
def test_a_patch_that_cannot_be_applied_is_refused(changes, field, says) -> None:
    with pytest.raises(InvalidRecord) as caught:
        Patch(REF, **changes)
    assert caught.value.field == field
    assert says in str(caught.value)
    assert not leaks(caught.value)


def test_a_required_field_cannot_be_unset() -> None:
    with pytest.raises(InvalidRecord, match="no default"):
        Patch(Ref(CoordinationEvent, "i"), unset=["event_type"])


def test_a_whole_number_takes_no_fraction() -> None:
    class Tally(Record, collection="tallies"):
        id: str
        count: int = 0

    with pytest.raises(InvalidRecord, match="fraction"):
        Patch(Ref(Tally, "t"), increment={"count": 0.5})


@pytest.mark.parametrize(
    "name", ["namespaces", "markers", "parts", "conflicts", ".", "..", "a/b", "__x__"]
)
def test_reserved_collections_are_refused(name) -> None:
    with pytest.raises(ConfigurationError, match="reserved"):

        class Bad(Record, collection=name):
            id: str


def test_a_type_without_a_collection_cannot_be_stored() -> None:
    class Bare(Record):
        id: str

    with pytest.raises(ConfigurationError, match="declare it"):
        Ref(Bare, "x")


@pytest.mark.parametrize(
    "keywords",
    [{"key": "nope"}, {"scopes": ["nope"]}, {"indexes": [("nope",)]}, {"large": ["nope"]}],
)
def test_class_keywords_must_name_fields(keywords) -> None:
    with pytest.raises(ConfigurationError, match="'nope'"):

        class Bad(Record, collection="bad", **keywords):
            id: str


def test_a_field_name_of_ours_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="schema_version"):

        class Bad(Record, collection="bad"):
            id: str
            schema_version: int = 1
