"""Record ids as stores keep them: any id, reversibly, in what Firestore allows.

An id Firestore takes is stored as it is. Others begin with ``~e`` and have ``/`` and ``%``
percent-escaped; what then grows beyond 1,500 bytes begins with ``~h``, a hash, and the document
carries the id itself.
"""

from __future__ import annotations

import re
from hashlib import sha256

from ..record import MAX_KEY_BYTES

_FORBIDDEN = re.compile(r"\.\.?|__.*__|~.*|.*/.*", re.DOTALL)


def stored_id(key: str) -> str:
    """The id under which a store keeps `key`; different for different keys."""
    if _FORBIDDEN.fullmatch(key) is None:
        return key
    escaped = "~e" + key.replace("%", "%25").replace("/", "%2F")
    if len(escaped.encode()) <= MAX_KEY_BYTES:
        return escaped
    return "~h" + sha256(key.encode()).hexdigest()


def key_of_stored(stored: str) -> str | None:
    """The id a store keeps as `stored`; ``None`` if only the document can tell."""
    if not stored.startswith("~"):
        return stored
    if stored.startswith("~h"):
        return None
    return stored[2:].replace("%2F", "/").replace("%25", "%")
