"""Record types of a user's own, as the contract stores them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import Field

from ...record import Record
from ...values import Embedding, JsonLike, JsonMap, NonEmpty, UtcDatetime, utc_now

SOME_TIME = datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=UTC)


class Mood(StrEnum):
    CALM = "calm"
    TENSE = "tense"


class Note(
    Record,
    collection="contract_notes",
    scopes=["owner"],
    indexes=[
        ("owner", "rank"),
        ("owner", "-rank"),
        ("owner", "-created"),
        ("rank", "-score"),
        ("-rank", "-score"),
        ("rank", "title"),
        ("tags", "rank"),
    ],
    unindexed=["created"],
    large=["body", "attachment"],
):
    """A bit of everything."""

    id: NonEmpty
    owner: str = "alice"
    title: str = ""
    rank: int = 0
    score: float | None = None
    done: bool = False
    mood: Mood = Mood.CALM
    tags: list[str] = Field(default_factory=list[str])
    created: UtcDatetime = SOME_TIME
    data: JsonMap = Field(default_factory=dict[str, JsonLike])
    vector: Embedding | None = None
    body: str = ""
    attachment: JsonLike = None
    expiration: UtcDatetime | None = None


class LooseNote(Record, collection="contract_notes"):
    """A writer that stores any ``rank``."""

    id: NonEmpty
    rank: JsonLike = None
    vector: Embedding | None = None


class Lease(Record, collection="contract_leases"):
    """It expires, and has nothing large."""

    id: NonEmpty
    rank: int = 0
    expiration: UtcDatetime | None = None


class Place(Record, collection="contract_places", key=["country", "town"]):
    """An id of two parts."""

    country: NonEmpty
    town: NonEmpty
    people: int = 0


class Ticket(Record, collection="contract_tickets"):
    """Types with a text form of their own."""

    id: NonEmpty
    serial: UUID
    price: Decimal


class Event(Record, collection="contract_events"):
    """Its time is invented at construction, which reading must not do."""

    id: NonEmpty
    at: UtcDatetime = Field(default_factory=utc_now)
    size: int = 0


class EventWithoutTime(Record, collection="contract_events"):
    """What wrote events before they had a time."""

    id: NonEmpty
    size: int = 0


class LooseEvent(Record, collection="contract_events"):
    """A writer that stores any ``size``, and one field more."""

    id: NonEmpty
    at: UtcDatetime = SOME_TIME
    size: JsonLike = None
    extra: JsonLike = None


class EventTomorrow(Record, collection="contract_events", schema_version=7):
    """An event as a later release writes it."""

    id: NonEmpty
    at: UtcDatetime = SOME_TIME
    size: int = 0


class EventOfOld(Record, collection="contract_events", schema_version=0):
    """An event from before there were versions: it had a weight."""

    id: NonEmpty
    at: UtcDatetime = SOME_TIME
    weight: int = 0


class EventUpgraded(Record, collection="contract_events", schema_version=2):
    """It can read those of old."""

    id: NonEmpty
    at: UtcDatetime = Field(default_factory=utc_now)
    size: int = 0
    read_from: int = 2

    @classmethod
    def upgrade(cls, data: dict[str, Any], from_version: int) -> dict[str, Any]:
        if from_version == 0:
            data["size"] = data.pop("weight")
        return {**data, "read_from": from_version}


class Arrival(Record, collection="contract_arrivals", commit_time="at"):
    """Something whose time the store tells."""

    id: str
    what: str = ""
    at: UtcDatetime | None = None
