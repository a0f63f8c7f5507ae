"""The text in which documents are stored, made in haste, is what plainer code would make."""

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta, timezone
from math import inf, isfinite, nan
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestra_memory.backends.sqlite.query import KEY_LENGTH, keys_of, keys_text
from orchestra_memory.codec.bytes import dumps, loads
from orchestra_memory.values import Vector

from .test_codecs import STORED, TIMES

NAMES = st.one_of(st.text('$a_\x00\x01\x02\x03é"\\', max_size=4), st.sampled_from(["$time", "id"]))
FIELDS = st.sampled_from(["id", "owner", "text", "a b", "é", "$a", ""])
LONG_TEXTS = st.builds(
    lambda text, times: text * times,
    st.text("ab\x00\x02\x03é\\u", min_size=1, max_size=3),
    st.sampled_from([1, KEY_LENGTH // 3, KEY_LENGTH // 2 + 1, KEY_LENGTH, KEY_LENGTH + 1]),
)
VALUES = st.recursive(
    STORED | NAMES | LONG_TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


class Text(str):
    __slots__ = ()


class Time(datetime):
    pass


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def marked(value: Any) -> Any:
    match value:
        case dict():
            return {"$" * name.startswith("$") + name: marked(v) for name, v in value.items()}
        case Vector():
            return {"$vector": list(value)}
        case list():
            return [marked(item) for item in value]
        case datetime():
            return {"$time": f"{value.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"}
        case bytes():
            return {"$bytes": b64encode(value).decode()}
        case float() if not isfinite(value):
            return {"$float": str(value)}
    return value


@given(st.dictionaries(NAMES, VALUES, max_size=4))
@example({"a": [nan, inf, -inf, -0.0, 1e22]})
def test_documents_are_stored_as_the_json_module_writes_marked_values(document) -> None:
    assert dumps(document) == compact(marked(document))


@given(st.dictionaries(FIELDS, VALUES, max_size=4), st.frozensets(FIELDS, max_size=1))
@example({"id": "é" * (KEY_LENGTH + 1)}, frozenset())
def test_keys_are_stored_as_the_json_module_writes_them(document, left_out) -> None:
    assert keys_text(document, left_out) == compact(keys_of(document, left_out))


@given(TIMES, st.integers(-14 * 60, 14 * 60))
def test_times_are_stored_in_utc_whatever_their_zone_and_class(time, minutes) -> None:
    if not timedelta(days=1) < time - datetime.min.replace(tzinfo=UTC):
        time += timedelta(days=2)
    if not timedelta(days=1) < datetime.max.replace(tzinfo=UTC) - time:
        time -= timedelta(days=2)
    local = time.astimezone(timezone(timedelta(minutes=minutes)))
    heir = Time.fromisoformat(local.isoformat())
    assert dumps(time) == dumps(local) == dumps(heir)
    assert loads(dumps(local)) == time


@pytest.mark.parametrize("value", [(1,), {1}, Text("a"), 1j, object(), Text])
@pytest.mark.parametrize("at", [lambda v: v, lambda v: [v], lambda v: {"a": {"b": [1, v]}}])
def test_what_no_store_can_hold_is_refused_wherever_it_lies(value, at) -> None:
    with pytest.raises(TypeError, match=f"{type(value).__name__} cannot be stored"):
        dumps(at(value))


@pytest.mark.parametrize(
    "text", [b'\xff"secret"', '{"a": secret}', '{"$time": "secret"}', "[" * 100_000]
)
def test_text_that_is_not_ours_is_refused_without_showing_it(text) -> None:
    with pytest.raises(ValueError, match=r"not UTF-8|not JSON|no such value|too deep") as caught:
        loads(text)
    assert type(caught.value) is ValueError
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__
