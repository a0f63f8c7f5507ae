"""Long JSON documents are parsed as the standard library does, in pieces."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_memory.transfer import long_json as module
from orchestra_memory.transfer.entries import plain_json
from orchestra_memory.transfer.long_json import let_go, long_json

numbers = st.integers() | st.floats(allow_nan=False)
scalars = st.none() | st.booleans() | numbers | st.text()
values = st.recursive(scalars, lambda v: st.lists(v) | st.dictionaries(st.text(), v), max_leaves=40)
pieces = st.integers(1, 60)
layouts = st.sampled_from([None, 0, 3, "\t"])


@pytest.fixture(autouse=True, scope="module")
def pieces_can_be_chosen():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PIECE", module.PIECE)
        yield


@settings(deadline=None)
@given(values, pieces, layouts, st.booleans(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_a_document_is_the_same_in_pieces_of_any_size(value, piece, indent, ascii_only, encoding):
    module.PIECE = piece
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    raw = text.encode(encoding, "surrogatepass")
    assert long_json(raw) == json.loads(raw) == value


@settings(deadline=None)
@given(values, pieces, layouts, st.data())
def test_what_is_no_json_is_refused_at_the_same_place(value, piece, indent, data):
    module.PIECE = piece
    text = json.dumps(value, indent=indent)
    at = data.draw(st.integers(0, len(text)))
    broken = (
        text[:at]
        + data.draw(st.sampled_from(["", "]", "}", ",", ":", "x", '"']))
        + text[at + data.draw(st.integers(0, 3)) :]
    ).encode()
    assert outcome(long_json, broken) == outcome(json.loads, broken)


def outcome(parse, raw):
    """What it is parsed to, or where it cannot be."""
    try:
        return parse(raw)
    except json.JSONDecodeError as error:
        return error.lineno, error.colno


def test_no_call_of_the_parser_goes_through_more_than_a_piece(monkeypatch):
    module.PIECE = 1_000
    gone_through = []

    def spied(text, at):
        found = module.JSONDecoder().raw_decode(text, at)
        gone_through.append(found[1] - at)
        return found

    monkeypatch.setattr(module, "_parse", spied)
    agents = {f"a{number}": {"status": "idle", "notes": ["x"] * 20} for number in range(500)}
    raw = json.dumps({"version": 1, "agents": agents}).encode()
    assert long_json(raw) == {"version": 1, "agents": agents}
    assert max(gone_through) <= 1_000
    assert sum(gone_through) > 0.9 * len(raw)


@pytest.mark.parametrize("size", [10, 200_000])
def test_what_is_wrong_is_told_without_the_text_however_long(size):
    filler = '"' + "x" * size + '"'
    for text, problem in (
        (f"[{filler},\n secret]", "not JSON at line 2, column 2"),
        (f"[{filler}," + "[" * 200_000, "nested too deep"),
    ):
        with pytest.raises(ValueError, match=problem) as refused:
            plain_json(text.encode())
        assert "secret" not in str(refused.value)
    with pytest.raises(ValueError, match="not UTF-8"):
        plain_json(f"[{filler}".encode() + b"\xff]")


@settings(deadline=None)
@given(values)
def test_what_is_let_go_of_is_empty(value):
    let_go(value)
    assert not isinstance(value, list | dict) or not value
