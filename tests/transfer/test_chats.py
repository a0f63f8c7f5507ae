"""Chats in the form of OpenAI's API."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from orchestra_memory import MemoryItem
from orchestra_memory.transfer.entries import ChatOptions, Entry, Problem, UnreadableFile
from orchestra_memory.transfer.sources import read

HELLO = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi there"}]


def parsed(text, options=None):
    raw = text if isinstance(text, bytes) else text.encode()
    reading = read(raw.splitlines(keepends=True), options or ChatOptions(user_id="ann"))
    return [found for unit in reading.units for found in reading.parse(unit)]


def items(text, options=None):
    found = parsed(text, options)
    assert all(isinstance(entry, Entry) for entry in found), found
    return [entry.record for entry in found]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"messages": HELLO}),
        json.dumps({"messages": HELLO}, indent=2),
        json.dumps([{"messages": HELLO}]),
        json.dumps([{"messages": HELLO}], indent=1),
        json.dumps(HELLO),
        "\ufeff" + json.dumps({"messages": HELLO}),
    ],
    ids=["one line", "indented", "list", "indented list", "messages only", "byte order mark"],
)
def test_the_same_chat_in_any_layout_gives_the_same_items(text):
    assert items(text) == items(json.dumps({"messages": HELLO}))


def test_an_item_holds_what_was_said_and_by_whom():
    first, second = items(
        json.dumps({"id": "c1", "user_id": "bob", "messages": HELLO}), ChatOptions()
    )
    assert (first.user_id, first.session_id, first.text_content) == ("bob", "c1", "hello")
    assert second.metadata == {"role": "assistant"}
    assert isinstance(first, MemoryItem)


def test_importing_twice_gives_the_same_ids_and_another_user_gives_others():
    text = json.dumps({"messages": HELLO})
    again = [item.id for item in items(text)]
    assert [item.id for item in items(text)] == again
    others = [item.id for item in items(text, ChatOptions(user_id="bob"))]
    assert not set(others) & set(again)


def test_messages_without_times_keep_their_order():
    messages = [{"role": "user", "content": str(n)} for n in range(50)]
    found = items(json.dumps({"messages": messages}))
    by_time = sorted(found, key=lambda item: item.timestamp)
    assert [item.text_content for item in by_time] == [str(n) for n in range(50)]
    assert len({item.timestamp for item in found}) == 50


def test_messages_of_one_second_keep_their_order_and_their_second():
    messages = [{"role": "user", "content": str(n), "created": 1_700_000_000} for n in range(3)]
    times = [item.timestamp for item in items(json.dumps({"messages": messages}))]
    start = datetime.fromtimestamp(1_700_000_000, UTC)
    assert times == [start + timedelta(microseconds=n) for n in range(3)]


@pytest.mark.parametrize("when", [1_700_000_000, "2023-11-14T22:13:20Z", "2023-11-14T22:13:20"])
def test_times_are_read_as_seconds_or_iso_text(when):
    (item,) = items(json.dumps({"messages": [{"role": "user", "content": "x", "timestamp": when}]}))
    assert item.timestamp == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


def test_parts_become_text_and_what_is_no_text_is_kept():
    image = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    parts = [{"type": "text", "text": "look:"}, image, {"type": "text", "text": "nice?"}]
    (item,) = items(json.dumps({"messages": [{"role": "user", "content": parts}]}))
    assert item.text_content == "look:\nnice?"
    assert item.metadata["content"][1] == image


def test_tool_calls_are_kept_unchanged():
    schema = {"$ref": "#/$defs/x", "$defs": {"x": {}}}
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "t", "function": schema}],
    }
    (item,) = items(json.dumps({"messages": [message]}))
    assert item.text_content == ""
    assert item.metadata["tool_calls"] == [{"id": "t", "function": schema}]


def test_a_chat_per_line_is_told_apart_and_broken_ones_are_named():
    lines = [json.dumps({"id": f"c{n}", "messages": HELLO}) for n in range(4)]
    lines[2] = lines[2][:-9]
    found = parsed("\n".join(lines))
    (problem,) = [entry for entry in found if isinstance(entry, Problem)]
    assert str(problem).startswith("line 3: not JSON")
    assert {e.record.session_id for e in found if isinstance(e, Entry)} == {"c0", "c1", "c3"}


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("text", "a message is a map, not str"),
        ({"content": "x"}, 'no "role"'),
        ({"role": "user", "content": 7}, '"content" is int; it must be text or a list of parts'),
        ({"role": "user", "content": "x", "n": 2**70}, "an int beyond 64 bits cannot be stored"),
        ({"role": "user", "content": "x", "big": "y" * 2_000_000}, "metadata"),
    ],
)
def test_a_message_that_does_not_fit_is_a_problem_of_its_own(message, reason):
    found = parsed(json.dumps({"messages": [HELLO[0], message, HELLO[1]]}))
    first, problem, last = found
    assert isinstance(first, Entry)
    assert isinstance(last, Entry)
    assert str(problem).startswith("line 1, message 2: ")
    assert reason in str(problem)


@pytest.mark.parametrize("text", ["", "\n\n", "hello", "{}", "[]", "[1, 2]", '{"a": ', "\x00\x01"])
def test_what_is_no_known_format_is_refused(text):
    with pytest.raises(UnreadableFile):
        parsed(text)


def test_errors_never_show_what_the_file_says():
    with pytest.raises(UnreadableFile) as caught:
        parsed('{"messages": [{"role": "user", "content": "the secret"')
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
