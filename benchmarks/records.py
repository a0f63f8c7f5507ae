"""Sample records: what an agent remembers of a conversation, about 1 KB each, always the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final, TypeAlias
from uuid import UUID

from orchestra_memory import JsonMap, MemoryItem

Job: TypeAlias = Sequence[MemoryItem]
"""The records of one session."""

SEED: Final = 20_260_101
FIRST: Final = datetime(2026, 1, 1, 9, tzinfo=UTC)
EXPIRES_AFTER: Final = timedelta(days=365 * 50)
"""Far enough away for no sample to expire, whenever the benchmark is run."""

_VOCABULARY: Final = (
    "about account actually again agent already also always answer appointment before better "
    "booking budget calendar café call cancel change check city coffee compare could customer "
    "date deadline deliver details document draft earlier email evening every example expense "
    "file final find first flight follow forecast found friday friend from garden generate good "
    "group guest have hello hotel hour however idea important include invoice know language last "
    "later launch learn like list little long look maybe meeting memory message minute monday "
    "month morning move much naïve need never next note number offer office once open option "
    "order other paper parking people perhaps person phone plan please point possible prefer "
    "price problem project question quick quite rather read really recipe remember remind reply "
    "report request reserve result review right same schedule search second send session should "
    "show simple since small some soon sorry start still street summary sure table task team "
    "thank that their there these thing think this thought through time today together tomorrow "
    "travel trip tuesday under understand until update useful user usually very wait want weather "
    "week well what when where which while will with without work would write year yesterday your"
)
WORDS: Final = _VOCABULARY.split()


def sessions(count: int, size: int, *, embedding: int = 0) -> list[list[MemoryItem]]:
    """`count` sessions of `size` records; `embedding` numbers in each record's vector, 0 for none.

    The same arguments give the same records, on every machine.
    """
    source = Random(SEED)
    return [list(_session(source, size, embedding)) for _ in range(count)]


def streamed(size: int) -> Iterator[MemoryItem]:
    """One session of any size, each record made when it is asked for."""
    return _session(Random(SEED), size, embedding=0)


def _session(source: Random, size: int, embedding: int) -> Iterator[MemoryItem]:
    user, session = f"user-{source.randrange(10**6):06}", _uuid(source)
    start = FIRST + timedelta(microseconds=source.randrange(10**12))
    for turn in range(size):
        said = start + timedelta(seconds=7 * turn, microseconds=turn % 997)
        yield MemoryItem(
            id=_uuid(source),
            user_id=user,
            session_id=session,
            timestamp=said,
            text_content=_text(source, words=source.randint(60, 90)),
            persona_active=source.choice(("planner", "critic", "friend", None)),
            embedding=[source.gauss(0, 1) for _ in range(embedding)] or None,
            metadata=_metadata(source, turn),
            expiration=said + EXPIRES_AFTER,
            content_hash=f"{source.getrandbits(256):064x}",
        )


def _uuid(source: Random) -> str:
    return str(UUID(int=source.getrandbits(128), version=4))


def _text(source: Random, *, words: int) -> str:
    return " ".join(source.choices(WORDS, k=words)).capitalize() + "."


def _metadata(source: Random, turn: int) -> JsonMap:
    return {
        "channel": source.choice(("web", "phone", "email")),
        "turn": turn,
        "confidence": round(source.random(), 6),
        "edited": source.random() < 0.1,
        "model": {
            "name": "assistant-large",
            "temperature": 0.7,
            "tokens": {"prompt": source.randrange(4000), "completion": source.randrange(900)},
        },
        "tags": source.sample(WORDS, k=4),
    }


def mean_bytes(records: Sequence[MemoryItem]) -> float:
    """Mean size of a record as JSON, in bytes."""
    return sum(len(record.model_dump_json().encode()) for record in records) / len(records)
