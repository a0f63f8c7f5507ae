"""Conversations of two speakers over dated sessions."""

import json
from datetime import UTC, datetime

import pytest

from orchestra_memory import LocalMemory, recent
from orchestra_memory.transfer.entries import ChatOptions, Entry, Problem
from orchestra_memory.transfer.importing import import_entries
from orchestra_memory.transfer.locomo import date_of
from orchestra_memory.transfer.sources import read


def turn(speaker, dia_id, text, **more):
    return {"speaker": speaker, "dia_id": dia_id, "text": text, **more}


CONVERSATION = {
    "speaker_a": "Ida",
    "speaker_b": "Otto",
    "session_1_date_time": "1:56 pm on 8 May, 2023",
    "session_1": [
        turn("Ida", "D1:1", "I have bought a canoe."),
        turn("Otto", "D1:2", "Does it float?", img_url=["https://example.org/c"], query="canoe"),
        turn("Ida", "D1:3", "So far.", blip_caption="a canoe on a lake"),
    ],
    "session_10_date_time": "12:48 am on 1 February, 2024",
    "session_10": [turn("Otto", "D10:1", "Is it still afloat?")],
    "session_2_date_time": "12:05 pm on 25 May, 2023",
    "session_2": [turn("Ida", "D2:1", "It is a submarine now.")],
    "session_11_date_time": "9:00 am on 2 February, 2024",
    "session_1_summary": "A canoe.",
    "qa": [{"question": "What did Ida buy?", "evidence": ["D1:1"]}],
}


def parsed(value, options=None):
    reading = read([json.dumps(value).encode()], options or ChatOptions(name="26"))
    return reading, [found for unit in reading.units for found in reading.parse(unit)]


def test_turns_become_items_in_their_sessions():
    reading, found = parsed(CONVERSATION)
    items = [entry.record for entry in found]
    assert reading.format == "locomo"
    assert [item.metadata["dia_id"] for item in items] == ["D1:1", "D1:2", "D1:3", "D2:1", "D10:1"]
    assert [item.session_id for item in items] == ["session_1"] * 3 + ["session_2", "session_10"]
    assert {item.user_id for item in items} == {"26"}
    assert items[1].metadata == {
        "speaker": "Otto",
        "dia_id": "D1:2",
        "img_url": ["https://example.org/c"],
        "query": "canoe",
        "session_date_time": "1:56 pm on 8 May, 2023",
    }


@pytest.mark.anyio
async def test_history_has_the_order_of_the_turns():
    memory = LocalMemory()
    reading = read([json.dumps(CONVERSATION).encode()], ChatOptions(name="26"))
    await import_entries(memory, reading)
    found = [item async for item in memory.scan(recent(user_id="26"))]
    said = [item.metadata["dia_id"] for item in reversed(found)]
    assert said == ["D1:1", "D1:2", "D1:3", "D2:1", "D10:1"]


@pytest.mark.parametrize(
    ("value", "options", "owner"),
    [
        (CONVERSATION, ChatOptions(user_id="me", name="26"), "me"),
        ({"sample_id": "conv-7", "conversation": CONVERSATION}, ChatOptions(name="26"), "conv-7"),
        ([{"sample_id": 7, "conversation": CONVERSATION}], ChatOptions(name="26"), "7"),
        ([CONVERSATION], ChatOptions(name="26"), "26"),
    ],
)
def test_the_owner_is_given_or_told_by_the_file_or_its_name(value, options, owner):
    _, found = parsed(value, options)
    assert {entry.record.user_id for entry in found} == {owner}


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1:56 pm on 8 May, 2023", datetime(2023, 5, 8, 13, 56, tzinfo=UTC)),
        ("12:48 am on 1 February, 2023", datetime(2023, 2, 1, 0, 48, tzinfo=UTC)),
        ("12:05 pm on 29 february, 2024", datetime(2024, 2, 29, 12, 5, tzinfo=UTC)),
        ("12:05 pm on 29 February, 2023", None),
        ("13:05 on 1 May, 2023", None),
        ("1:05 pm on 1 Smarch, 2023", None),
        (None, None),
        (7, None),
    ],
)
def test_dates_are_read_in_any_locale(text, moment):
    assert date_of(text) == moment


def test_a_session_without_a_date_and_a_turn_without_text_are_problems():
    broken = {**CONVERSATION, "session_2_date_time": "some day"}
    broken["session_1"] = [*CONVERSATION["session_1"], {"speaker": "Ida"}, "what?"]
    _, found = parsed(broken)
    problems = [str(entry) for entry in found if isinstance(entry, Problem)]
    assert len([entry for entry in found if isinstance(entry, Entry)]) == 4
    assert problems[0].startswith("conversation 1, session_1, turn 4: a turn needs speaker")
    assert problems[1].startswith("conversation 1, session_1, turn 5: ")
    assert problems[2].startswith("conversation 1, session_2: no date such as")
