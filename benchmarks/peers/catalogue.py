"""Which libraries are compared with, in which versions, and at what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Peer:
    """One library. ``module`` drives it; ``requirements`` are what its environment gets."""

    name: str
    module: str
    requirements: tuple[str, ...]
    note: str


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
OURS: Final = "orchestra-memory"
OUR_MODULE: Final = "with_ours"
