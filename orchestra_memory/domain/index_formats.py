"""An index plan as text for the tools that apply it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from shlex import quote
from typing import Final, Literal, TypeAlias

from .index_plan import FieldRule, Index, IndexField, Mode, Plan

Format: TypeAlias = Literal["firebase", "gcloud", "terraform"]

_FIREBASE: Final[Mapping[Mode, Mapping[str, object]]] = {
    Mode.ASCENDING: {"order": "ASCENDING"},
    Mode.DESCENDING: {"order": "DESCENDING"},
    Mode.CONTAINS: {"arrayConfig": "CONTAINS"},
}
_AUTOMATIC: Final = [
    {**_FIREBASE[mode], "queryScope": "COLLECTION"}
    for mode in (Mode.ASCENDING, Mode.DESCENDING, Mode.CONTAINS)
]


def firebase(plan: Plan, database: str) -> str:
    """The text of ``firestore.indexes.json``; its place in ``firebase.json`` names the database."""
    del database
    content = {
        "indexes": [_firebase_index(index) for index in plan.indexes],
        "fieldOverrides": [_firebase_rule(rule) for rule in plan.rules],
    }
    return json.dumps(content, indent=2) + "\n"


def _firebase_index(index: Index) -> dict[str, object]:
    return {
        "collectionGroup": index.collection,
        "queryScope": "COLLECTION",
        "fields": [{"fieldPath": field.path, **_firebase_mode(field)} for field in index.fields],
    }


def _firebase_mode(field: IndexField) -> Mapping[str, object]:
    if field.mode is Mode.VECTOR:
        return {"vectorConfig": {"dimension": field.dimension, "flat": {}}}
    return _FIREBASE[field.mode]


def _firebase_rule(rule: FieldRule) -> dict[str, object]:
    return {
        "collectionGroup": rule.collection,
        "fieldPath": rule.path,
        **({"ttl": True} if rule.ttl else {}),
        "indexes": _AUTOMATIC if rule.indexed else [],
    }


def gcloud(plan: Plan, database: str) -> str:
    """Shell commands, one a line. An index that is there already is an error that harms nothing."""
    commands = [
        *(_gcloud_index(index) for index in plan.indexes),
        *(_gcloud_exemption(rule) for rule in plan.rules if not rule.indexed),
        *(_gcloud_ttl(rule) for rule in plan.rules if rule.ttl),
    ]
    ending = f" --database={quote(database)} --async\n"
    return "".join(command + ending for command in commands)


def _gcloud_index(index: Index) -> str:
    fields = " ".join(
        quote(f"--field-config=field-path={field.path},{_gcloud_mode(field)}")
        for field in index.fields
    )
    return (
        f"gcloud firestore indexes composite create --collection-group={quote(index.collection)} "
        f"--query-scope=collection {fields}"
    )


def _gcloud_mode(field: IndexField) -> str:
    if field.mode is Mode.VECTOR:
        return f'vector-config={{"dimension":"{field.dimension}","flat":"{{}}"}}'
    if field.mode is Mode.CONTAINS:
        return "array-config=contains"
    return f"order={field.mode.value}"


def _gcloud_exemption(rule: FieldRule) -> str:
    return (
        f"gcloud firestore indexes fields update {quote(rule.path)} "
        f"--collection-group={quote(rule.collection)} --disable-indexes"
    )


def _gcloud_ttl(rule: FieldRule) -> str:
    return (
        f"gcloud firestore fields ttls update {quote(rule.path)} "
        f"--collection-group={quote(rule.collection)} --enable-ttl"
    )


def terraform(plan: Plan, database: str) -> str:
    """Resources of the ``google`` provider, in the provider's own project."""
    return "\n".join(
        [
            *(_terraform_index(index, database) for index in plan.indexes),
            *(_terraform_rule(rule, database) for rule in plan.rules),
        ]
    )


def _terraform_index(index: Index, database: str) -> str:
    label = _label([index.collection, *(f"{f.path}_{f.mode.value}" for f in index.fields)])
    lines = [f"  collection = {_hcl(index.collection)}", f"  database   = {_hcl(database)}"]
    for field in index.fields:
        lines += [
            "  fields {",
            f"    field_path = {_hcl(field.path)}",
            *_terraform_mode(field),
            "  }",
        ]
    return _resource("google_firestore_index", label, lines)


def _terraform_mode(field: IndexField) -> list[str]:
    if field.mode is Mode.VECTOR:
        return [
            "    vector_config {",
            f"      dimension = {field.dimension}",
            "      flat {}",
            "    }",
        ]
    if field.mode is Mode.CONTAINS:
        return ['    array_config = "CONTAINS"']
    return [f'    order      = "{field.mode.value.upper()}"']


def _terraform_rule(rule: FieldRule, database: str) -> str:
    lines = [
        f"  collection = {_hcl(rule.collection)}",
        f"  database   = {_hcl(database)}",
        f"  field      = {_hcl(rule.path)}",
    ]
    if not rule.indexed:
        lines.append("  index_config {}")
    if rule.ttl:
        lines.append("  ttl_config {}")
    return _resource("google_firestore_field", _label([rule.collection, rule.path]), lines)


def _resource(kind: str, label: str, lines: Iterable[str]) -> str:
    return "\n".join([f'resource "{kind}" "{label}" {{', *lines, "}", ""])


def _label(names: Iterable[str]) -> str:
    label = re.sub(r"\W", "_", "__".join(names), flags=re.ASCII)
    return label if label[0].isalpha() or label[0] == "_" else f"_{label}"


def _hcl(text: str) -> str:
    """A quoted string; ``${`` and ``%{`` would begin templates."""
    return json.dumps(text, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")


FORMATS: Final[Mapping[str, Callable[[Plan, str], str]]] = {
    "firebase": firebase,
    "gcloud": gcloud,
    "terraform": terraform,
}
