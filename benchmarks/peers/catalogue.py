"""Which libraries are compared with, in which versions, and at what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Peer:
    """One library. ``module`` drives it; ``requirements`` are what its environment gets.

    ``ours`` is the module of this library that does the same.
    """

    name: str
    module: str
    requirements: tuple[str, ...]
    note: str
    ours: str = "with_ours"


FIRESTORE: Final = "google-cloud-firestore==2.34.1"
"""All of them stand on it."""
PEERS: Final = (
    Peer(
        "google-adk",
        "with_adk",
        ("google-adk==2.13.0", FIRESTORE),
        "append_event is a transaction, which reads and changes the session with each event, and "
        "get_session reads the session and its shared state besides the events; "
        "orchestra-memory's conversations have no such state.",
    ),
    Peer(
        "firedantic",
        "with_firedantic",
        ("firedantic==0.12.0", FIRESTORE),
        "It keeps each field as a field of the document, as orchestra-memory does.",
    ),
    Peer(
        "py-key-value",
        "with_key_value",
        ("py-key-value-aio[firestore,pydantic]==0.5.0", FIRESTORE),
        "It keeps each record as one text of JSON, which no query can look into.",
    ),
)
REDIS: Final = ("redis==8.1.0", "hiredis==3.5.0", "pydantic==2.14.3")
"""What the caches stand on besides, in the versions that we have ourselves."""
CACHES: Final = (
    Peer(
        "cashews",
        "with_cashews",
        ("cashews==7.6.0", *REDIS, FIRESTORE),
        "It is run without timeouts, checks and signatures, as is quickest. Its write drops the "
        "entry after Firestore has it; nothing holds off a reader that puts the old value back.",
        ours="with_cache",
    ),
    Peer(
        "aiocache",
        "with_aiocache",
        ("aiocache==0.12.3", "ujson==6.1.0", *REDIS, FIRESTORE),
        "It is run without timeouts, as is quickest. Its write drops the entry after Firestore has "
        "it; nothing holds off a reader that puts the old value back.",
        ours="with_cache",
    ),
)
OURS: Final = "orchestra-memory"
