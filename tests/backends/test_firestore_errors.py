"""Google's errors come out as ours."""

import pytest
from google.api_core import exceptions as google
from google.auth import exceptions as auth

from orchestra_memory import (
    ConfigurationError,
    DeadlineExceeded,
    IndexMissing,
    MemoryItem,
    Overloaded,
    PermissionDenied,
    Query,
    StorageError,
    Unauthenticated,
    Unavailable,
    recent,
)
from orchestra_memory.backends.firestore.errors import translated
from orchestra_memory.backends.firestore.query import structured

LINK = "https://console.firebase.google.com/project/p/firestore/indexes?create=abc"


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (google.ServiceUnavailable("gone"), Unavailable),
        (google.Cancelled("cut"), Unavailable),
        (google.DeadlineExceeded("late"), DeadlineExceeded),
        (auth.TransportError("no network"), Unavailable),
        (google.ResourceExhausted("quota"), Overloaded),
        (google.Aborted("contention"), Overloaded),
        (google.Unauthenticated("expired"), Unauthenticated),
        (auth.RefreshError("revoked"), Unauthenticated),
        (auth.DefaultCredentialsError("none"), Unauthenticated),
        (google.PermissionDenied("no"), PermissionDenied),
        (
            google.NotFound("The database (default) does not exist for project p"),
            ConfigurationError,
        ),
        (google.InvalidArgument("bad"), StorageError),
        (google.InternalServerError("bug"), StorageError),
        (google.InternalServerError("Received RST_STREAM with error code 2"), Unavailable),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
@pytest.mark.parametrize("operation", ["read", "write"])
def test_each_error_is_translated_with_its_cause(
    error: Exception, ours: type[Exception], operation: str
) -> None:
    with pytest.raises(ours) as caught, translated(operation):
        raise error
    assert type(caught.value) is ours
    assert caught.value.__cause__ is error


def test_not_found_where_absence_is_an_answer_is_about_the_database() -> None:
    with pytest.raises(ConfigurationError), translated("read"):
        raise google.NotFound("")


@pytest.mark.parametrize(
    ("text", "ambiguous"),
    [("failed to connect to all addresses", False), ("Stream removed (Connection reset)", True)],
)
def test_a_write_is_ambiguous_unless_it_was_never_sent(text: str, ambiguous: bool) -> None:
    with pytest.raises(Unavailable) as caught, translated("write"):
        raise google.ServiceUnavailable(text)
    assert caught.value.ambiguous is ambiguous


def test_the_servers_text_stays_out_of_the_message() -> None:
    with pytest.raises(StorageError) as caught, translated("write"):
        raise google.InvalidArgument("value 'my secret' is bad")
    assert "secret" not in str(caught.value)


def test_a_missing_index_comes_with_its_definition_and_link() -> None:
    message = structured(recent(user_id="u", session_id="s"), "memory_items")
    with pytest.raises(IndexMissing) as caught, translated("find", message):
        raise google.FailedPrecondition(f"The query requires an index. Create it here: {LINK}")
    assert caught.value.link == LINK
    assert caught.value.index == {
        "collectionGroup": "memory_items",
        "queryScope": "COLLECTION",
        "fields": [
            {"fieldPath": "user_id", "order": "ASCENDING"},
            {"fieldPath": "session_id", "order": "ASCENDING"},
            {"fieldPath": "timestamp", "order": "DESCENDING"},
        ],
    }
    assert "user_id, session_id, timestamp" in str(caught.value)


@pytest.mark.parametrize("error", [google.FailedPrecondition, google.InvalidArgument])
def test_a_moment_that_is_too_old_is_no_missing_index(error: type[Exception]) -> None:
    message = structured(recent(user_id="alice"), "memory_items")
    told = pytest.raises(StorageError, match="no longer knows the moment")
    with told, translated("find", message):
        raise error("The requested snapshot version is too old.")
    with pytest.raises(Unauthenticated), translated("find", message):
        raise google.Unauthenticated("the token is too old")


def test_names_that_need_it_are_quoted() -> None:
    query = Query(MemoryItem, where={"metadata.a-b": 1, "metadata.__x__": None})
    filters = structured(query, "c").where.composite_filter.filters
    assert filters[0].field_filter.field.field_path == "metadata.`a-b`"
    assert filters[1].unary_filter.field.field_path == "metadata.`~:__x__`"
