"""Google's errors as ours, in one table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypedDict

from google.api_core import exceptions as google
from google.auth import exceptions as auth

from ...errors import (
    ConfigurationError,
    DeadlineExceeded,
    IndexMissing,
    OrchestraMemoryError,
    Overloaded,
    PermissionDenied,
    StorageError,
    Unauthenticated,
    Unavailable,
)
from ..rows import PreconditionFailed
from .query import index_for

_LINK = re.compile(r"https://console\S+")
_WRONG_VERSION = ("base version", "stored version")
_NOT_CONNECTED = ("failed to connect", "Connection refused", "DNS resolution failed")
_RESET = "RST_STREAM"
_TOO_BIG = ("Transaction too big", "message larger than max", "exceeds maximum size")
_TOO_OLD = "too old"
_WRITES = frozenset({"write"})


class TooBig(StorageError):
    """A commit is more than Firestore takes in one transaction; nothing of it was applied."""


@contextmanager
def translated(operation: str, query: Any = None) -> Iterator[None]:
    """Raise what Google's library raises as an error of ours, the cause chained.

    `query` is the ``StructuredQuery`` that is asked, if any.
    """
    try:
        yield
    except (google.GoogleAPICallError, auth.GoogleAuthError) as error:
        raise translate(error, operation, query) from error


def translate(error: Exception, operation: str, query: Any) -> Exception:
    """Our error for one of Google's; the server's text may quote content and stays in the cause."""
    if isinstance(error, auth.GoogleAuthError):
        return _credential_error(error, operation)
    if operation in _WRITES and _is_precondition(error):
        return PreconditionFailed()
    if operation in _WRITES and any(text in str(error) for text in _TOO_BIG):
        return TooBig("Firestore finds the transaction too big", operation=operation)
    refused = isinstance(error, google.FailedPrecondition | google.InvalidArgument)
    if refused and operation not in _WRITES and _TOO_OLD in str(error):
        return StorageError(
            "Firestore no longer knows the moment asked for: it keeps an hour, and seven days of "
            "whole minutes where point-in-time recovery is on",
            operation=operation,
        )
    if query is not None and isinstance(error, google.FailedPrecondition):
        return _index_missing(error, query)
    # Reads tell what is absent by an answer: not found is the database, whatever the words.
    if isinstance(error, google.NotFound) and (
        operation not in _WRITES or "database" in str(error)
    ):
        return ConfigurationError(
            "the Firestore database does not exist in this project; create it "
            "(gcloud firestore databases create) or name another"
        )
    collection = "" if query is None else str(query.from_[0].collection_id)
    return _by_code(error, operation, collection)


class _Where(TypedDict):
    operation: str
    collection: str


def _by_code(error: Exception, operation: str, collection: str) -> OrchestraMemoryError:
    where = _Where(operation=operation, collection=collection)
    sent = operation in _WRITES and not any(text in str(error) for text in _NOT_CONNECTED)
    match error:
        case google.DeadlineExceeded():
            return DeadlineExceeded("Firestore did not answer in time", ambiguous=sent, **where)
        case google.ServiceUnavailable() | google.Cancelled():
            return Unavailable("Firestore cannot be reached", ambiguous=sent, **where)
        case google.InternalServerError() if _RESET in str(error):
            return Unavailable("Firestore's answer broke off", ambiguous=sent, **where)
        case google.ResourceExhausted():
            return Overloaded("Firestore refuses more load: a quota or a size is exceeded", **where)
        case google.Aborted():
            return Overloaded("too many writers at one document; nothing was applied", **where)
        case google.Unauthenticated():
            return _credential_error(error, operation)
        case google.Forbidden():
            return PermissionDenied(
                "the credential may not do this; grant it roles/datastore.user on the project",
                **where,
            )
        case _:
            name = type(error).__name__
            return StorageError(f"Firestore refuses the {operation}: {name}", **where)


def _is_precondition(error: Exception) -> bool:
    if isinstance(error, google.FailedPrecondition | google.InvalidArgument):
        return any(text in str(error) for text in _WRONG_VERSION)
    return isinstance(error, google.AlreadyExists) or (
        isinstance(error, google.NotFound) and "database" not in str(error).partition(":")[0]
    )


def _credential_error(error: Exception, operation: str) -> StorageError:
    if isinstance(error, auth.TransportError):
        return Unavailable("no token can be fetched: Google cannot be reached", operation=operation)
    return Unauthenticated(
        "Firestore does not accept the credential; renew it, or see which one wins with "
        "`orchestra-memory doctor`",
        operation=operation,
    )


def _index_missing(error: Exception, query: Any) -> IndexMissing:
    index, link = index_for(query), _LINK.search(str(error))
    fields = ", ".join(field["fieldPath"] for field in index["fields"])
    return IndexMissing(
        f"Firestore lacks a composite index on {index['collectionGroup']} ({fields}); create it "
        "from the error's index or link, or all that are needed with `orchestra-memory indexes`",
        index=index,
        link=link[0] if link else "",
    )
