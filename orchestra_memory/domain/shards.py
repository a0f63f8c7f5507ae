"""Spreading what grows in time, so that one moment's writes do not all go to one spot."""

from __future__ import annotations

from typing import Final
from zlib import crc32

from ..conditions import MAX_DISJUNCTIONS
from ..errors import ConfigurationError

SHARDS: Final = 8
"""Firestore takes about 500 writes a second in each."""


def all_shards(count: int = SHARDS) -> list[int]:
    """What to ask ``shard in`` for, so that nothing is left out."""
    return list(range(count))


def shard_of(key: str, count: int = SHARDS) -> int:
    """The shard of the record with this id, always the same one."""
    return crc32(key.encode()) % count


def checked_shards(count: int) -> int:
    """Raises ``ConfigurationError`` for a number of shards that no query could ask for."""
    if isinstance(count, bool) or not 1 <= count <= MAX_DISJUNCTIONS:
        raise ConfigurationError(f"shards must be 1 to {MAX_DISJUNCTIONS}, one query asks for all")
    return count
