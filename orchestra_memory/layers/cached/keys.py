"""Names of keys in Redis: one slot for each namespace, and never one name for two things."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

from ...codec.ids import stored_id
from ...operations import Ref
from .scopes import Scope

MAX_NAME_BYTES: Final = 200
"""What names a record or a window within its namespace is hashed beyond this, in UTF-8 bytes."""

_ESCAPES: Final = str.maketrans(
    {char: f"%{ord(char):02X}" for char in "%{}:/,"}  # what has a meaning in a key
)


class Keyspace:
    """The keys of one store, for example ``"project/database"``; any text will do.

    All keys of a namespace share a hash tag, so that on Redis Cluster one script may touch several.
    """

    def __init__(self, store: str) -> None:
        self._store = _escaped(store)

    def __repr__(self) -> str:
        return f"<Keyspace om:{{{self._store}/}}>"

    def epoch_key(self, namespace: str | None) -> str:
        """Where the epoch of a namespace is."""
        return self._tag(namespace) + ":epoch"

    def key(self, target: Ref[Any] | Scope, epoch: str) -> str:
        """Where a record, or the window of a scope, is in this epoch."""
        return f"{self._tag(target.namespace)}:{epoch}:{_name(target)}"

    def keys(
        self, namespace: str | None, targets: Iterable[Ref[Any] | Scope], epoch: str
    ) -> list[str]:
        """Where the epoch of a namespace is, and then those of its records and windows."""
        tag, kinds = self._tag(namespace), dict[type[Any], str]()
        head, keys = f"{tag}:{epoch}:", [tag + ":epoch"]
        for target in targets:
            if isinstance(target, Scope) or len(name := stored_id(target.key)) * 4 > MAX_NAME_BYTES:
                keys.append(head + _name(target))
                continue
            kind = kinds.get(target.model)
            if kind is None:
                kind = kinds[target.model] = f"{head}r:{_escaped(target.collection)}:"
            keys.append(kind + name)
        return keys

    def _tag(self, namespace: str | None) -> str:
        # A namespace is never empty text, so that none and all of them stay apart.
        return f"om:{{{self._store}/{_escaped(namespace) if namespace else ''}}}"


def _name(target: Ref[Any] | Scope) -> str:
    """What follows the epoch in a key."""
    if isinstance(target, Scope):
        return _window_name(target.collection, target.fields, target.values)
    kind, name = _short("r", stored_id(target.key))
    return f"{kind}:{_escaped(target.collection)}:{name}"


def may_list(name: str, field: str, value: str) -> bool:
    """Whether a window, by its key behind the epoch, may hold records with this value of a field.

    One of a scope without the field may, and so may one whose values are hashed.
    """
    kind, _, fields, values = name.split(":")
    named = fields.split(",")
    if kind != "w" or field not in named:
        return True
    return values.split(",")[named.index(field)] == _escaped(value)


@lru_cache(maxsize=4096)
def _window_name(collection: str, fields: tuple[str, ...], values: tuple[str, ...]) -> str:
    # A write names its windows twice.
    kind, name = _short("w", ",".join(map(_escaped, values)))
    return f"{kind}:{_escaped(collection)}:{','.join(map(_escaped, fields))}:{name}"


@lru_cache(maxsize=4096)
def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)


def _short(kind: str, name: str) -> tuple[str, str]:
    """The name, or its hash, which is of a kind of its own: some name might look like it."""
    if len(name) * 4 <= MAX_NAME_BYTES or len(encoded := name.encode()) <= MAX_NAME_BYTES:
        return kind, name
    return kind + "h", sha256(encoded).hexdigest()
