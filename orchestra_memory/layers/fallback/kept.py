"""Whose what is kept of writes that were not applied is: dead letters, and versions that lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ...codec.bytes import loads
from ...codec.operations import Models
from ...operations import Options, Ref
from ...ownership import users_in, users_in_changes, users_in_key, users_of
from ...protocol import MemoryManager
from ...record import Record
from ...resilience.journal import DocumentKey, Entry
from ...values import is_map
from .conflicts import Conflicted

_PAST_CACHE: Final = Options(cache="bypass", corrupt="skip")


@dataclass(frozen=True, slots=True)
class Kept:
    """Something kept of a document; ``users`` are those whom it names."""

    document: DocumentKey
    model: type[Record] | None
    users: frozenset[str]

    @property
    def ref(self) -> Ref[Any] | None:
        """Where its document is; ``None`` if its record type is not known here."""
        if self.model is None:
            return None
        return Ref(self.model, self.document.key, self.document.namespace)


def of_entry(entry: Entry, models: Models) -> Kept:
    """What a journal keeps."""
    said = _loaded(entry.body)
    model = models.get((entry.document.collection, str(said.get("model"))))
    return _kept(entry.document, model, said)


def of_conflict(conflict: Conflicted, namespace: str | None, models: Models) -> Kept:
    """A version that lost."""
    document = DocumentKey(namespace, conflict.collection, conflict.document_key)
    said = _loaded(conflict.document)
    if conflict.side == "remote":
        said = {"document": said}
    return _kept(document, models.get((conflict.collection, conflict.model)), said)


def users_kept_in(record: Record) -> frozenset[str]:
    """Whose a record is, or what it keeps if it is a version that lost."""
    if isinstance(record, Conflicted):
        return of_conflict(record, None, {}).users
    return users_of(record)


async def of_user(memory: MemoryManager, kept: Sequence[Kept], user_id: str) -> list[bool]:
    """Whether each is of this user.

    What does not say whose it is, as a change of a record may not, is its record's owner's; asks
    for the record if nothing else tells.
    """
    told: dict[DocumentKey, frozenset[str]] = {}
    for each in kept:
        told[each.document] = told.get(each.document, frozenset()) | each.users
    refs = {each.ref for each in kept if not told[each.document] and each.ref is not None}
    for ref in refs:
        record = await memory.get(ref.model, ref.key, options=_PAST_CACHE)
        if record is not None:
            document = DocumentKey(ref.namespace, ref.collection, ref.key)
            told[document] = users_of(record)
    return [user_id in told[each.document] for each in kept]


def _kept(document: DocumentKey, model: type[Record] | None, said: Mapping[str, Any]) -> Kept:
    users = frozenset[str]() if model is None else users_in_key(model, document.key)
    for name in ("document", "or_create"):
        if is_map(part := said.get(name)):
            users |= users_in(part)
    changes = said.get("set")
    return Kept(document, model, users | (users_in_changes(changes) if is_map(changes) else users))


def _loaded(text: bytes | str) -> Mapping[str, Any]:
    """What is there; nothing if it is damaged, or in a form of another release."""
    try:
        found = loads(text)
    except ValueError:
        return {}
    return found if is_map(found) else {}
