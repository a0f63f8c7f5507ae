"""Chats in the form of OpenAI's API: ``{"messages": [{"role": ..., "content": ...}, ...]}``.

One conversation, a list of them, or one a line. Ids come from what is imported, so that importing
a file twice stores the same records once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Any, Final
from uuid import UUID, uuid5

from ..codec.bytes import dumps
from ..domain.conversations import content_hash
from ..models import MemoryItem
from ..values import MICROSECOND
from .entries import ChatOptions, Parsed, Problem, Unit, as_list, as_map, entry_of, plain_json
from .jsonl import line_value

IDS: Final = UUID("5f5f4b39-8a55-4d30-9a0c-6d1c0ba4ab44")
"""The space of ids of imported items."""
_CONVERSATION_IDS = ("conversation_id", "session_id", "thread_id", "id")
_OWNERS = ("user_id", "user")
_TIMES = ("timestamp", "created_at", "create_time", "created")


def is_chat(value: object) -> bool:
    return as_list((as_map(value) or {}).get("messages")) is not None


def is_message(value: object) -> bool:
    return "role" in (as_map(value) or {})


@dataclass(frozen=True, slots=True)
class _Scope:
    """What the messages of one conversation share."""

    identity: str
    user_id: str
    session_id: str


def parse_chat(unit: Unit, options: ChatOptions) -> Iterator[Parsed]:
    """The messages of one conversation, in order, each later than the one before it."""
    found = unit.value if unit.raw is None else line_value(unit, plain_json)
    if isinstance(found, Problem):
        yield found
        return
    chat = as_map(found)
    if chat is None or not is_chat(chat):
        yield Problem(unit, 'no conversation; it needs "messages", a list')
        return
    scope = _scope(chat, options)
    base = _time(chat) or options.start + timedelta(seconds=unit.number - 1)
    moment = base - MICROSECOND
    for index, message in enumerate(chat["messages"]):
        if problem := _problem_with(message):
            yield Problem(unit, problem, f"message {index + 1}")
            continue
        # What was said in one second would otherwise lose its order.
        moment = max(_time(message) or base, moment + MICROSECOND)
        yield entry_of(
            unit,
            partial(_item, scope, index, message, moment),
            f"message {index + 1}",
        )


def _scope(chat: dict[str, Any], options: ChatOptions) -> _Scope:
    given = _first_text(chat, _CONVERSATION_IDS)
    identity = given or sha256(dumps(chat).encode()).hexdigest()
    return _Scope(
        identity=identity,
        user_id=options.user_id or _first_text(chat, _OWNERS) or options.name,
        session_id=given or f"conversation-{identity[:12]}",
    )


def _first_text(found: dict[str, Any], names: tuple[str, ...]) -> str | None:
    texts = (found.get(name) for name in names)
    return next((text for text in texts if isinstance(text, str) and text), None)


def _problem_with(message: object) -> str | None:
    found = as_map(message)
    if found is None:
        return f"a message is a map, not {type(message).__name__}"
    if not isinstance(found.get("role"), str):
        return 'no "role"'
    if not isinstance(found.get("content"), str | list | None):
        return f'"content" is {type(found["content"]).__name__}; it must be text or a list of parts'
    return None


def _item(scope: _Scope, index: int, message: dict[str, Any], moment: datetime) -> MemoryItem:
    content = message.get("content")
    kept = {name: value for name, value in message.items() if name != "content"}
    parts = as_list(content)
    if parts is not None and None in map(_text_of, parts):
        kept["content"] = content
    text = _text(content)
    return MemoryItem(
        id=item_id(scope.user_id, scope.identity, index),
        user_id=scope.user_id,
        session_id=scope.session_id,
        timestamp=moment,
        text_content=text,
        content_hash=content_hash(text),
        metadata=kept,
    )


def item_id(*parts: str | int) -> str:
    """An id that is always the same for the same parts."""
    return str(uuid5(IDS, dumps(list(parts))))


def _text_of(part: object) -> str | None:
    """What a part of a message says; ``None`` for an image, a sound, a file."""
    text = part if isinstance(part, str) else (as_map(part) or {}).get("text")
    return text if isinstance(text, str) else None


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    texts = map(_text_of, as_list(content) or ())
    return "\n".join(text for text in texts if text is not None)


def _time(found: dict[str, Any]) -> datetime | None:
    moments = (_moment(found.get(name)) for name in _TIMES)
    return next((moment for moment in moments if moment is not None), None)


def _moment(value: object) -> datetime | None:
    """Seconds since 1970, or ISO 8601; a time without a zone is in UTC."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None
