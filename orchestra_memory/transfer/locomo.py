"""Conversations in the form of the LoCoMo benchmark: two speakers over many dated sessions.

A conversation has ``session_1``, a list of turns, and ``session_1_date_time``, such as
``1:56 pm on 8 May, 2023``, taken as UTC; and so on for the next sessions. A turn comes one second
after the one before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from ..domain.conversations import content_hash
from ..models import MemoryItem
from .chats import item_id
from .entries import ChatOptions, Parsed, Problem, Unit, as_map, entry_of

_SESSION = re.compile(r"session_([0-9]+)")
_DATE = re.compile(
    r"([0-9]{1,2}):([0-9]{2}) *([ap])m +on +([0-9]{1,2}) +([a-z]+),? +([0-9]{4})", re.IGNORECASE
)
_MONTHS: Final = {
    "january": 1,
    "february": 2,
    "march": 3,
    "april": 4,
    "may": 5,
    "june": 6,
    "july": 7,
    "august": 8,
    "september": 9,
    "october": 10,
    "november": 11,
    "december": 12,
}
_TURN = ("speaker", "dia_id", "text")


def is_locomo(value: object) -> bool:
    return bool(_sessions(_conversation(value)))


@dataclass(frozen=True, slots=True)
class _Session:
    user_id: str
    session_id: str
    date_text: str
    start: datetime


def parse_locomo(unit: Unit, options: ChatOptions) -> Iterator[Parsed]:
    """The turns of one conversation, session by session.

    They belong to ``options.user_id``, else to the conversation's ``sample_id``, else to
    ``options.name``.
    """
    conversation = _conversation(unit.value)
    user_id = options.user_id or _sample_id(unit.value) or options.name
    names = _sessions(conversation)
    if not names:
        yield Problem(unit, 'no conversation; it needs "session_1", a list of turns')
    for name in names:
        date_text = conversation.get(f"{name}_date_time")
        start = date_of(date_text)
        if start is None:
            yield Problem(
                unit, "no date such as '1:56 pm on 8 May, 2023'; its turns are left out", name
            )
            continue
        yield from _turns(unit, _Session(user_id, name, str(date_text), start), conversation[name])


def _conversation(value: object) -> dict[str, Any]:
    outer = as_map(value) or {}
    return as_map(outer.get("conversation")) or outer


def _sessions(conversation: dict[str, Any]) -> list[str]:
    found = {
        int(match[1]): name
        for name, turns in conversation.items()
        if isinstance(turns, list) and (match := _SESSION.fullmatch(name))
    }
    return [found[number] for number in sorted(found)]


def _sample_id(value: object) -> str | None:
    sample = (as_map(value) or {}).get("sample_id")
    return str(sample) if isinstance(sample, str | int) and str(sample) else None


def date_of(text: object) -> datetime | None:
    """The time in ``1:56 pm on 8 May, 2023``, in UTC; ``None`` if there is none."""
    match = _DATE.fullmatch(text.strip()) if isinstance(text, str) else None
    month = _MONTHS.get(match[5].lower()) if match else None
    if match is None or month is None:
        return None
    hour = int(match[1]) % 12 + (12 if match[3].lower() == "p" else 0)
    try:
        return datetime(int(match[6]), month, int(match[4]), hour, int(match[2]), tzinfo=UTC)
    except ValueError:
        return None


def _turns(unit: Unit, session: _Session, turns: list[Any]) -> Iterator[Parsed]:
    for index, turn in enumerate(turns):
        inside = f"{session.session_id}, turn {index + 1}"
        found = as_map(turn) or {}
        if all(isinstance(found.get(name), str) for name in _TURN):
            yield entry_of(unit, partial(_item, session, index, found), inside)
        else:
            yield Problem(unit, "a turn needs speaker, dia_id and text, each a text", inside)


def _item(session: _Session, index: int, turn: dict[str, Any]) -> MemoryItem:
    kept = {name: value for name, value in turn.items() if name != "text"}
    return MemoryItem(
        id=item_id(session.user_id, session.session_id, turn["dia_id"], index, turn["text"]),
        user_id=session.user_id,
        session_id=session.session_id,
        timestamp=session.start + timedelta(seconds=index),
        text_content=turn["text"],
        content_hash=content_hash(turn["text"]),
        metadata={**kept, "session_date_time": session.date_text},
    )
