"""The indexes that are declared are those the queries need, and the printers name them all."""

import json
import re
import shlex

import pytest
from pydantic import Field

from orchestra_memory import (
    AgentData,
    ConfigurationError,
    Count,
    Embedding,
    JsonMap,
    MemoryItem,
    Query,
    Record,
    Sum,
    UtcDatetime,
)
from orchestra_memory.domain.indexes import needs, render_indexes, undeclared, unneeded
from orchestra_memory.domain.issued import Issued, history, issued
from orchestra_memory.models import SHIPPED
from orchestra_memory.record import spec_of

FORMATS = ["firebase", "gcloud", "terraform"]
PLANS = {name: render_indexes(name, dimensions=768) for name in FORMATS}


class Note(
    Record,
    collection="notes",
    indexes=[("owner", "-created"), ("owner", "tags"), ("data.kind", "-created"), ("owner",)],
    vector_indexes=[("owner", "vector")],
    unindexed=["created"],
):
    id: str
    owner: str
    created: UtcDatetime
    tags: tuple[str, ...] = ()
    data: JsonMap = Field(default_factory=dict)
    vector: Embedding | None = None
    size: int = 0
    expiration: UtcDatetime | None = None


def needed(query: Query, *measures) -> list[tuple[str, ...]]:
    return [need.index for need in needs(Issued("test", query, measures))]


def declared_of(text: str, collection: str) -> list[tuple[str, ...]]:
    """Composite indexes in the firebase form, as the record types write them."""
    return [
        tuple(
            ("-" if field.get("order") == "DESCENDING" else "") + field["fieldPath"]
            for field in index["fields"]
        )
        for index in json.loads(text)["indexes"]
        if index["collectionGroup"] == collection
    ]


def rules_of(text: str) -> dict[tuple[str, str], dict]:
    overrides = json.loads(text)["fieldOverrides"]
    return {(rule["collectionGroup"], rule["fieldPath"]): rule for rule in overrides}


def test_every_query_the_library_issues_has_its_indexes_declared():
    assert undeclared(issued()) == []


@pytest.mark.parametrize("model", SHIPPED)
def test_every_declared_index_is_needed_by_some_query(model):
    asked = {example.query.model for example in issued()}
    if model not in asked:
        pytest.skip("no service asks for these yet")
    assert unneeded(model, issued()) == []


def test_a_query_without_its_index_is_noticed():
    query = history(user_id="x", persona="x")
    example = Issued("test", query.with_(where=query.where[1:]))
    (need,) = undeclared([example])
    assert need.index == ("persona_active", "-timestamp")


def test_the_indexes_of_conversations_include_these():
    found = declared_of(PLANS["firebase"], "memory_items")
    assert ("user_id", "item_type", "-timestamp") in found
    assert ("user_id", "session_id", "-timestamp") in found


def test_no_index_begins_with_a_time_or_a_word_that_many_records_share():
    for index in (*spec_of(MemoryItem).indexes, *spec_of(MemoryItem).vector_indexes):
        assert index[0] == "user_id"
    assert all(index[0] == "agent_id" for index in spec_of(AgentData).indexes)


def test_equalities_alone_need_nothing():
    assert needed(Query(Note, where={"owner": "a", "size": 1})) == []
    assert needed(Query(Note)) == []
    assert needed(Query(Note, order_by="-size")) == []
    assert needed(Query(Note, where=[("size", ">", 1)])) == []


def test_an_order_behind_equalities_needs_an_index_in_that_direction():
    down = Query(Note, where={"owner": "a"}, order_by="-created")
    assert needed(down) == [("owner", "-created")]
    assert undeclared([Issued("test", down)]) == []
    up = Query(Note, where={"owner": "a"}, order_by="size")
    assert [need.index for need in undeclared([Issued("test", up)])] == [("owner", "size")]


def test_one_direction_does_not_serve_the_other():
    query = Query(Note, where={"owner": "a"}, order_by="-created")
    order = query.order_by[0]
    flipped = query.with_(order_by=(type(order)(order.field),))
    assert len(undeclared([Issued("test", flipped)])) == 1


def test_indexes_with_equal_ends_are_merged():
    query = Query(Note, where={"owner": "a", "data.kind": "b"}, order_by="-created")
    assert undeclared([Issued("test", query)]) == []


def test_a_count_asks_for_the_expired_ones_too():
    query = Query(Note, where={"owner": "a", "size": 1})
    assert needed(query, Count()) == [("owner", "size", "expiration")]
    assert needed(Query(Note, where={"owner": "a"}, include_expired=True), Count()) == []


def test_a_sum_reads_its_field_from_the_index():
    query = Query(Note, where={"owner": "a"}, include_expired=True)
    assert needed(query, Sum("total", of="size")) == [("owner", "size")]


def test_vector_indexes_are_not_merged():
    near = Query(Note, where={"owner": "a"}).near("vector", [1.0])
    assert needed(near) == [("owner", "vector")]
    assert undeclared([Issued("test", near)]) == []
    both = Query(Note, where={"owner": "a", "size": 1}).near("vector", [1.0])
    assert len(undeclared([Issued("test", both)])) == 1


def test_a_vector_index_carries_its_dimensions():
    indexes = json.loads(PLANS["firebase"])["indexes"]
    vectors = [i["fields"][-1] for i in indexes if "vectorConfig" in i["fields"][-1]]
    assert len(vectors) == len(spec_of(MemoryItem).vector_indexes)
    assert vectors[0] == {
        "fieldPath": "embedding",
        "vectorConfig": {"dimension": 768, "flat": {}},
    }
    assert "vectorConfig" not in render_indexes("firebase")


def test_long_texts_and_rising_times_have_no_automatic_indexes():
    rules = rules_of(PLANS["firebase"])
    for name in ("text_content", "timestamp", "embedding", "expiration"):
        assert rules["memory_items", name]["indexes"] == []
    assert rules["memory_records", "content"]["indexes"] == []
    assert rules["parts", "data"]["indexes"] == []
    assert ("memory_items", "content_hash") not in rules


def test_what_expires_has_a_ttl_policy_its_parts_too():
    policies = {key for key, rule in rules_of(PLANS["firebase"]).items() if rule.get("ttl") is True}
    expected = {("memory_items", "expiration"), ("agent_data", "expiration")}
    assert policies == {*expected, ("parts", "expiration"), ("markers", "expiration")}


def test_what_an_outage_fallback_keeps_is_in_the_plan():
    rules = rules_of(PLANS["firebase"])
    assert rules["markers", "expiration"]["ttl"] is True
    # They only rise, and would make one spot of the database hot.
    assert rules["markers", "expiration"]["indexes"] == rules["markers", "at"]["indexes"] == []
    assert rules["conflicts", "document"]["indexes"] == []
    assert rules["parts", "data"]["indexes"] == []


def test_a_ttl_field_that_may_be_asked_for_keeps_its_automatic_indexes():
    rule = rules_of(render_indexes("firebase", record_types=[Note]))["notes", "expiration"]
    assert rule["ttl"] is True
    assert len(rule["indexes"]) == 3


def test_records_of_ones_own_are_printed_like_the_shipped():
    (down, tags, nested, vector) = json.loads(
        render_indexes("firebase", record_types=[Note], dimensions=3)
    )["indexes"]
    assert down["fields"][1] == {"fieldPath": "created", "order": "DESCENDING"}
    assert tags["fields"][1] == {"fieldPath": "tags", "arrayConfig": "CONTAINS"}
    assert nested["fields"][0] == {"fieldPath": "data.kind", "order": "ASCENDING"}
    assert vector["fields"][1]["vectorConfig"]["dimension"] == 3


@pytest.mark.parametrize("name", FORMATS)
def test_renamed_collections_are_printed_under_their_new_names(name):
    text = render_indexes(name, collections={"memory_items": "chat_items"})
    assert "chat_items" in text
    assert "memory_items" not in text
    assert "agent_data" in text


@pytest.mark.parametrize("name", ["gcloud", "terraform"])
def test_the_database_is_named(name):
    text = render_indexes(name, database="memories")
    assert "memories" in text
    assert "(default)" not in text


def test_gcloud_commands_survive_the_shell_and_match_the_plan():
    commands = [shlex.split(line) for line in PLANS["gcloud"].splitlines()]
    plan = json.loads(PLANS["firebase"])
    created = [c for c in commands if c[1:5] == ["firestore", "indexes", "composite", "create"]]
    assert len(created) == len(plan["indexes"])
    first = [word for word in created[0] if word.startswith("--field-config")]
    assert first == [
        "--field-config=field-path=user_id,order=ascending",
        "--field-config=field-path=timestamp,order=descending",
    ]
    vector = next(c for c in created if "vector-config" in " ".join(c))
    assert any(w.endswith('vector-config={"dimension":"768","flat":"{}"}') for w in vector)
    exempt = [c for c in commands if "--disable-indexes" in c]
    assert len(exempt) == len(plan["fieldOverrides"])
    assert len([c for c in commands if "--enable-ttl" in c]) == 4
    assert all("--database=(default)" in c for c in commands)


def test_terraform_resources_have_labels_of_their_own_and_match_the_plan():
    text = PLANS["terraform"]
    plan = json.loads(PLANS["firebase"])
    labels = re.findall(r'^resource "(\w+)" "(\w+)" \{$', text, flags=re.MULTILINE)
    assert len(labels) == len(set(labels))
    kinds = [kind for kind, _ in labels]
    assert kinds.count("google_firestore_index") == len(plan["indexes"])
    assert kinds.count("google_firestore_field") == len(plan["fieldOverrides"])
    assert text.count("{") == text.count("}")
    assert text.count("ttl_config {}") == 4


def test_every_name_is_quoted_where_a_tool_would_misread_it():
    class Odd(Record, collection="odd ${x}", indexes=[("größe", "-id")]):
        id: str
        größe: int = 0  # noqa: PLC2401

    assert "`größe`" in render_indexes("firebase", record_types=[Odd]).encode().decode(
        "unicode_escape"
    )
    assert "'--field-config=field-path=`größe`,order=ascending'" in render_indexes(
        "gcloud", record_types=[Odd]
    )
    assert '"odd $${x}"' in render_indexes("terraform", record_types=[Odd])


def test_an_unknown_format_is_refused_with_the_known_ones():
    with pytest.raises(ConfigurationError, match="firebase, gcloud, terraform"):
        render_indexes("yaml")  # type: ignore[arg-type]
