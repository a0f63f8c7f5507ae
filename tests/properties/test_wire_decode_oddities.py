"""Bytes that no serializer writes, damaged ones and random ones are read as protobuf reads them."""

import random
from datetime import UTC, datetime

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from orchestra_memory.codec.firestore.encode import document_bytes
from orchestra_memory.codec.firestore.wire import GOTTEN, QUERIED
from orchestra_memory.testing.contract.oracle import exact
from orchestra_memory.values import Vector

from .wire_answers import GOT, agreed, answer, outcome, raw_answer, sized
from .wire_documents import ANY, DOCUMENT

BYTES = (0x00, 0x01, 0x02, 0x7F, 0x80, 0x81, 0xFF)
TAGS = (0x08, 0x0A, 0x10, 0x12, 0x19, 0x1A, 0x22, 0x2A, 0x32, 0x42, 0x4A, 0x52, 0x58, 0x8A, 0x92)


def damaged(data: bytes, source: random.Random) -> bytes:
    """The same with some of it changed, left out, said twice or put in between."""
    for _ in range(source.choice((1, 1, 1, 2, 3))):
        at = source.randrange(len(data) + 1)
        end = min(len(data), at + source.choice((0, 1, 1, 1, 2, 5, 30)))
        some = bytes(source.choices(BYTES + TAGS, k=source.choice((0, 1, 1, 1, 2))))
        piece = source.choice((some, some, data[at:end] * 2, b""))
        data = data[:at] + piece + data[end:]
    return data


@given(ANY, st.randoms(use_true_random=True), st.booleans())
def test_no_bytes_are_read_otherwise_than_protobuf_reads_them(document, source, query) -> None:
    data = answer(document_bytes(document), query=query)
    answers = QUERIED if query else GOTTEN
    assert agreed(answers, data)
    for _ in range(30):
        agreed(answers, damaged(data, source))
        agreed(answers, data[: source.randrange(len(data))])


EVERY_TYPE = {
    "t": "text",
    "u": "x" * 130,
    "b": b"\x00\xff",
    "i": 5,
    "j": -300,
    "k": 2**62,
    "y": True,
    "o": None,
    "f": 1.5,
    "w": datetime(2026, 2, 3, 4, 5, 6, 7, tzinfo=UTC),
    "m": {"a": {"b": "c"}, "d": {}},
    "l": ["e", 300, [], [1, [2]]],
    "v": Vector([0.5, -2.0]),
}


@pytest.mark.parametrize("name", EVERY_TYPE)
@pytest.mark.parametrize("query", [False, True])
def test_no_byte_that_is_changed_is_taken_for_what_it_was(name: str, query: bool) -> None:
    answers = QUERIED if query else GOTTEN
    data = answer(document_bytes({name: EVERY_TYPE[name]}), name="a/b", query=query)
    assert agreed(answers, data)
    for at, byte in enumerate(data):
        near = {byte ^ 0x80, (byte + 1) & 0xFF, (byte - 1) & 0xFF, (byte + 8) & 0xFF}
        for other in near.union(BYTES, TAGS):
            agreed(answers, b"%b%c%b" % (data[:at], other, data[at + 1 :]))
            agreed(answers, b"%b%c%b" % (data[:at], other, data[at:]))
        agreed(answers, data[:at] + data[at + 1 :])


@given(st.binary(max_size=40))
def test_random_bytes_are_a_message_or_an_error_that_says_so(data) -> None:
    agreed(GOTTEN, data)
    agreed(QUERIED, data)
    try:
        message = DOCUMENT.FromString(data)
    except DecodeError:
        return
    agreed(GOTTEN, GOT(found=message).SerializeToString())


def entry(name: bytes, value: bytes, *, tag: bytes = b"\x12") -> bytes:
    """A field of a document, or with another tag of a map."""
    return tag + sized(b"\x0a%b\x12%b" % (sized(name), sized(value)))


def a_map(*entries: bytes) -> bytes:
    return b"\x32" + sized(b"".join(entries))


ONE = b"\x10\x01"
IN_MAP = b"\x0a"


def deep(levels: int) -> bytes:
    """Lists in lists."""
    value = ONE
    for _ in range(levels):
        value = b"\x4a" + sized(b"\x0a" + sized(value))
    return value


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(b"\x12\x07\x12\x02\x10\x01\x0a\x01n", {"n": 1}, id="value before name"),
        pytest.param(entry(b"n", b"\x10\x02") + entry(b"n", ONE), {"n": 1}, id="said twice"),
        pytest.param(entry(b"n", b"\x08\x01\x10\x01"), {"n": 1}, id="of two types, the last"),
        pytest.param(entry(b"n", b"\xa8\x1f\x07\x10\x01"), {"n": 1}, id="field unknown here"),
        pytest.param(entry(b"n", ONE + b"\xa8\x1f\x07"), {"n": 1}, id="field unknown here, behind"),
        pytest.param(entry(b"n", b""), {"n": None}, id="no type"),
        pytest.param(entry(b"n", b"\x4a\x02\x0a\x00"), {"n": [None]}, id="no type in a list"),
        pytest.param(b"\x12\x03\x0a\x01n", {"n": None}, id="no value"),
        pytest.param(b"\x12\x04\x12\x02\x10\x01", {"": 1}, id="no name"),
        pytest.param(entry(b"n", b"\x10\x81\x00"), {"n": 1}, id="longer than need be"),
        pytest.param(entry(b"n", b"\x10" + b"\xff" * 9 + b"\x01"), {"n": -1}, id="negative"),
        pytest.param(
            entry(b"n", b"\x10" + b"\xff" * 9 + b"\x02"), {"n": 2**63 - 1}, id="more than 64 bits"
        ),
        pytest.param(entry(b"n", b"\x08\x05"), {"n": True}, id="a boolean above one"),
        pytest.param(entry(b"n", b"\x58\x05"), {"n": None}, id="a null above zero"),
        pytest.param(entry(b"n", b"\x52\x00"), {"n": datetime(1970, 1, 1, tzinfo=UTC)}, id="epoch"),
        pytest.param(
            entry(b"n", b"\x52\x04\x10\x07\x08\x01"),
            {"n": datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)},
            id="nanoseconds before seconds",
        ),
        pytest.param(
            entry(b"n", b"\x52\x82\x00\x08\x01"),
            {"n": datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)},
            id="a time whose length takes two bytes",
        ),
        pytest.param(entry(b"n" * 127, ONE), {"n" * 127: 1}, id="a long name"),
        pytest.param(entry(b"~list", ONE), {"~list": 1}, id="a field named as the mark of lists"),
        pytest.param(
            entry(b"n", a_map(entry(b"~list", ONE, tag=IN_MAP), entry(b"m", ONE, tag=IN_MAP))),
            {"n": {"~list": 1, "m": 1}},
            id="more than a wrapped list",
        ),
    ],
)
def test_what_no_serializer_writes_is_read_all_the_same(fields: bytes, expected) -> None:
    data = raw_answer(fields)
    assert outcome(GOTTEN.unusual, data).document == exact(expected)
    assert outcome(GOTTEN.read, data).document == exact(expected)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(entry(b"n", b"\x10\x81" + b"\x80" * 9 + b"\x00"), id="too many groups"),
        pytest.param(entry(b"n", b"\x4a\x03\x0a\x02\x10") + entry(b"m", ONE), id="beyond a list"),
        pytest.param(entry(b"n", b"\x32\x05\x0a\x06\x0a\x01a"), id="beyond a map"),
        pytest.param(entry(b"n", b"\x8a\x01\x02\xed\xa0"), id="no UTF-8"),
        pytest.param(entry(b"\xff", ONE), id="a name that is no UTF-8"),
        pytest.param(entry(b"n", deep(5_000)), id="deeper than can be followed"),
    ],
)
def test_what_is_no_message_is_refused(fields: bytes) -> None:
    assert outcome(GOTTEN.unusual, raw_answer(fields)) is None
    assert outcome(GOTTEN.read, raw_answer(fields)) is None
