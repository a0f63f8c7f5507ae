"""Every error the library raises, and nothing else.

Messages name the field, the type of the value and the remedy. They never contain
stored content or credentials.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Reference(Protocol):
    """What an error needs to know of a :class:`~orchestra_memory.Ref`."""

    @property
    def collection(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def namespace(self) -> str | None: ...


class OrchestraMemoryError(Exception):
    """Base of every error of this library."""


class ConfigurationError(OrchestraMemoryError):
    """The settings cannot make a working memory; the message says which one to change."""


class InvalidRecord(OrchestraMemoryError, ValueError):
    """A record, or a value meant for one, cannot be stored. Raised before any I/O."""

    def __init__(self, message: str, *, model: str = "", field: str = "") -> None:
        super().__init__(message)
        self.model = model
        self.field = field


class InvalidQuery(OrchestraMemoryError, ValueError):
    """A query or reference that no backend can answer. Raised before any I/O."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class InvalidBatch(OrchestraMemoryError, ValueError):
    """Too much for one atomic write. ``bound`` names the limit: ``operations`` or ``bytes``."""

    def __init__(self, message: str, *, bound: str) -> None:
        super().__init__(message)
        self.bound = bound


class EmergencyStopped(OrchestraMemoryError):
    """The system is to do nothing more until somebody resumes it. ``reason`` is why.

    Where that could not be found out and unknown counts as stopped, ``known`` is false.
    """

    def __init__(self, message: str, *, reason: str | None = None, known: bool = True) -> None:
        super().__init__(message)
        self.reason: str | None = reason
        self.known: bool = known


class StorageError(OrchestraMemoryError):
    """A backend failed. ``operation``, ``collection`` and ``key`` say where."""

    def __init__(
        self, message: str, *, operation: str = "", collection: str = "", key: str = ""
    ) -> None:
        super().__init__(message)
        self.operation = operation
        self.collection = collection
        self.key = key


class Unavailable(StorageError, ConnectionError):
    """The store did not answer. The only failure that an outage fallback may act on.

    ``ambiguous`` is true when a write may have been applied all the same.
    ``known`` holds what could be answered of a read, keyed by reference.
    """

    def __init__(
        self,
        message: str,
        *,
        operation: str = "",
        collection: str = "",
        key: str = "",
        ambiguous: bool = False,
        known: Mapping[Any, Any] | None = None,
    ) -> None:
        super().__init__(message, operation=operation, collection=collection, key=key)
        self.ambiguous = ambiguous
        self.known: Mapping[Any, Any] = known or {}


class DeadlineExceeded(Unavailable, TimeoutError):
    """The store did not answer within the deadline of the call."""


class BreakerOpen(Unavailable):
    """Nothing was asked, as it failed too often of late; it is tried again before long."""


class CacheUnavailable(StorageError):
    """The cache did not answer and the caller asked never to go without it."""


class Overloaded(StorageError):
    """A quota is exhausted or too much is in flight; nothing was applied."""


class Conflict(StorageError):
    """A precondition did not hold; nothing was applied. ``refs`` names what it was asked of."""

    def __init__(
        self, message: str, *, refs: Sequence[Reference] = (), operation: str = ""
    ) -> None:
        first = refs[0] if refs else None
        super().__init__(
            message,
            operation=operation,
            collection=first.collection if first else "",
            key=first.key if first else "",
        )
        self.refs: tuple[Reference, ...] = tuple(refs)


class PartialWrite(StorageError):
    """A chunked write stopped half way.

    ``committed`` holds the operations that are stored, ``remaining`` those that are not, both in
    their given order; write ``remaining`` again to finish. Where the cause is an ambiguous
    :class:`Unavailable`, operations of the chunks it hit are among ``remaining``. ``stored`` is how
    many are stored: of what came from an iterator nothing that is stored is kept, so ``committed``
    is empty, and ``remaining`` holds what had been taken from it.
    """

    def __init__(
        self,
        message: str,
        *,
        committed: Sequence[Any],
        remaining: Sequence[Any],
        stored: int | None = None,
    ) -> None:
        super().__init__(message, operation="write")
        self.committed: tuple[Any, ...] = tuple(committed)
        self.remaining: tuple[Any, ...] = tuple(remaining)
        self.stored: int = len(self.committed) if stored is None else stored


class PermissionDenied(StorageError):
    """The credential is known but may not do this."""


class Unauthenticated(StorageError):
    """The credential is missing, expired or refused; the message names which and what to do."""


class IndexMissing(StorageError):
    """The database lacks the composite index of a query.

    ``index`` is its definition as in ``firestore.indexes.json``; ``link`` opens the console on it.
    """

    def __init__(self, message: str, *, index: Mapping[str, Any], link: str = "") -> None:
        super().__init__(message, operation="find")
        self.index = index
        self.link = link


class DurabilityUnavailable(StorageError):
    """The write cannot be kept as safely as the caller demands; it was not accepted."""


class JournalFull(DurabilityUnavailable):
    """The outage journal has reached its bound; the write was not accepted."""


class CorruptRecord(StorageError):
    """A stored document does not fit its record type. ``fields`` names what does not fit.

    ``Options(corrupt="skip")`` has queries leave such documents out and list these errors.
    """

    def __init__(
        self, message: str, *, collection: str = "", key: str = "", fields: Sequence[str] = ()
    ) -> None:
        super().__init__(message, operation="decode", collection=collection, key=key)
        self.fields: tuple[str, ...] = tuple(fields)


class SchemaTooNew(StorageError):
    """A stored document was written by a newer version of its record type; upgrade the reader."""

    def __init__(
        self, message: str, *, collection: str = "", key: str = "", stored: int, known: int
    ) -> None:
        super().__init__(message, operation="decode", collection=collection, key=key)
        self.stored = stored
        self.known = known
