"""Ids and names as stores keep them: any, reversibly, in what Firestore allows.

An id Firestore takes is stored as it is. Others begin with ``~e`` and have ``/`` and ``%``
percent-escaped; what then grows beyond 1,500 bytes begins with ``~h``, a hash, and the document
carries the id itself. A field name or map key that is empty, reserved (``__x__``) or begins with
``~`` gets ``~:`` in front.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

from ..record import MAX_KEY_BYTES

WRAPPED_LIST: Final = "~list"
"""The one key of the map that stands for a list in a list."""
_ESCAPE = "~:"
_FORBIDDEN = re.compile(r"\.\.?|__.*__|~.*|.*/.*", re.DOTALL)


def stored_id(key: str) -> str:
    """The id under which a store keeps `key`; different for different keys."""
    if (key[0] not in "._~" and "/" not in key) or _FORBIDDEN.fullmatch(key) is None:
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


def escaped_name(name: str) -> str:
    """A field name or map key in what Firestore takes."""
    if name and name[0] not in "_~":
        return name
    if not name or name[0] == "~" or (name.startswith("__") and name.endswith("__")):
        return _ESCAPE + name
    return name


def unescaped_name(name: str) -> str:
    """The name that :func:`escaped_name` was given."""
    return name.removeprefix(_ESCAPE)
