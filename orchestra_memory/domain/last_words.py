"""What is still noted of work that an exception ends."""

from __future__ import annotations

from typing import Final

SECONDS: Final = 2.0
"""How long noting it is tried, even where the work was cancelled."""


def words_of(error: BaseException, length: int) -> str:
    """The kind and the message of `error`, cut to `length` characters; never raises."""
    kind = type(error).__name__
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 -- code of others; what it was to tell of matters more
        message = ""
    return storable(f"{kind}: {message}" if message else kind, length)


def storable(text: str, length: int) -> str:
    """At most `length` characters of `text`, without those that no store takes."""
    return text[:length].encode(errors="replace").decode()
