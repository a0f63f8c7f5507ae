"""Chat state files: a ``conversation_history``, and whose it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from ...codec.bytes import time_text
from ..chats import parse_chat
from ..entries import ChatOptions, Entry, Unit, as_list, as_map
from .found import Found, Origin, of_record
from .taking import snaked
from .times import moment_of

HISTORIES: Final = ("conversation_history", "chat_history", "messages")
_ROLES: Final = ("role", "sender", "speaker", "author", "from")
_CONTENTS: Final = ("content", "text", "message", "body")
_TIMES: Final = ("timestamp", "time", "created_at", "created", "create_time", "date")
_PAIRS: Final = (
    ("user", "user"),
    ("user_input", "user"),
    ("human", "user"),
    ("question", "user"),
    ("assistant", "assistant"),
    ("response", "assistant"),
    ("bot", "assistant"),
    ("answer", "assistant"),
)
"""What a turn that holds both sides calls them."""


def history_name(values: Mapping[str, Any]) -> str | None:
    """The field that holds the conversation."""
    found = (name for name in HISTORIES if as_list(values.get(name)) is not None)
    return next(found, None)


def chat_state(values: Mapping[str, Any], origin: Origin, inside: str) -> Iterator[Found]:
    """The messages of one chat state, as items of the user's."""
    name = history_name(values)
    turns = as_list(values[name]) if name is not None else None
    chat = {key: value for key, value in values.items() if key not in HISTORIES}
    naive = False
    messages: list[dict[str, Any]] = []
    for turn in turns or ():
        for message in _messages(turn):
            naive = _set_time(message) or naive
            messages.append(message)
    chat["messages"] = messages
    naive = _set_time(chat) or naive
    options = ChatOptions(name=origin.name, start=_start(messages) or origin.time)
    notes = _notes(chat, naive=naive)
    for parsed in parse_chat(Unit(1, value=chat), options):
        if isinstance(parsed, Entry):
            yield of_record(parsed.record, inside, notes)
        else:
            yield Found(inside, problem=f"{parsed.inside}: {parsed.message}")


def _start(messages: list[dict[str, Any]]) -> datetime | None:
    """The first time that is told; no message may be put behind it for want of one."""
    moments = (moment_of(message.get("timestamp")) for message in messages)
    return min((moment.value for moment in moments if moment is not None), default=None)


def _notes(chat: Mapping[str, Any], *, naive: bool) -> tuple[str, ...]:
    names = snaked(chat)
    notes: list[str] = []
    if not names & {"user_id", "user"}:
        notes.append("no user_id; the file's name is used")
    if not names & {"conversation_id", "session_id", "thread_id", "id"}:
        notes.append("no session_id; one is made of the conversation")
    if naive:
        notes.append("without a zone, read as UTC: timestamp")
    return tuple(notes)


def _messages(turn: object) -> list[dict[str, Any]]:
    """One or two messages with role and content, whatever the turn called them."""
    fields = as_map(turn)
    if fields is None:
        return [{"role": "unknown", "content": str(turn) if isinstance(turn, str) else None}]
    role = _first(fields, _ROLES)
    content = _first(fields, _CONTENTS)
    if role is not None and content is not None:
        kept = {key: value for key, value in fields.items() if key not in (role, content)}
        return [{**kept, "role": str(fields[role]), "content": fields[content]}]
    sides = [(key, side) for key, side in _PAIRS if isinstance(fields.get(key), str)]
    if sides:
        kept = {key: value for key, value in fields.items() if key not in dict(sides)}
        return [{**kept, "role": side, "content": fields[key]} for key, side in sides]
    if content is not None:
        return [{**fields, "role": "unknown", "content": fields[content]}]
    return [fields]


def _first(fields: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if isinstance(fields.get(name), str | list)), None)


def _set_time(fields: dict[str, Any]) -> bool:
    """Write the time of a message as the parser of chats reads it; whether it told no zone."""
    name = next((name for name in _TIMES if fields.get(name) is not None), None)
    moment = None if name is None else moment_of(fields[name])
    if name is None or moment is None:
        return False
    del fields[name]
    fields["timestamp"] = time_text(moment.value)
    return moment.naive
