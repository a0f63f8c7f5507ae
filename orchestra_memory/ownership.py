"""Whose a record is: told by its field ``user_id``, or by one of that name in a map of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import sha256
from typing import Any, Final, TypeGuard

from .fieldpaths import kinds
from .operations import Op, Patch, Put
from .record import Record, spec_of

USER: Final = "user_id"
MAPS: Final = ("metadata", "context", "task_context", "agent_config", "collaboration_context")
"""The maps in which a record may say whose it is, where it has no field for that."""


@cache
def owner_paths(model: type[Record]) -> tuple[str, ...]:
    """The paths by which a store can be asked for a user's records of this type; none, perhaps."""
    if USER in model.model_fields:
        return (USER,)
    spec = spec_of(model)
    asked = (name for name in MAPS if name in model.model_fields and name not in spec.large)
    return tuple(
        f"{name}.{USER}"
        for name in asked
        if name not in spec.unindexed and kinds(model, name) & {dict, Mapping}
    )


def users_of(record: Record) -> frozenset[str]:
    """Whose a record is; mostly one user's, or nobody's."""
    return users_in(record.__dict__)


def users_in(document: Mapping[str, Any]) -> frozenset[str]:
    """The same of a document: what a record holds, by its fields."""
    return frozenset(_users_in(document))


def _users_in(document: Mapping[str, Any]) -> Iterator[str]:
    owner = document.get(USER)
    if isinstance(owner, str):
        yield owner
        return
    for name in MAPS:
        found = document.get(name)
        if _is_map(found) and isinstance(owner := found.get(USER), str):
            yield owner


def _is_map(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)


def users_in_key(model: type[Record], key: str) -> frozenset[str]:
    """Users that the id of a record of this type names."""
    names = spec_of(model).key
    parts = model.key_parts(key)
    return frozenset(part for name, part in zip(names, parts, strict=False) if name == USER)


def users_in_op(op: Op) -> frozenset[str]:
    """Whose it is what an operation stores; nobody's if it does not say."""
    if isinstance(op, Put):
        return users_of(op.record)
    named = users_in_key(op.ref.model, op.ref.key)
    if not isinstance(op, Patch):
        return named
    created = frozenset[str]() if op.or_create is None else users_of(op.or_create)
    return named | created | users_in_changes(op.set)


def users_in_changes(changes: Mapping[str, Any]) -> frozenset[str]:
    """The same of what a patch sets."""
    single = {f"{name}.{USER}" for name in MAPS} & changes.keys()
    told = frozenset(changes[name] for name in single if isinstance(changes[name], str))
    return users_in(changes) | told


def digest(user_id: str) -> str:
    """What stands for a user where the user is not to be named."""
    return sha256(user_id.encode("utf-8", "surrogatepass")).hexdigest()
