"""What the workers of an outage write: each type shows something else that can go wrong.

Every change carries the id of the operation that made it.
"""

from __future__ import annotations

from uuid import uuid4

from pydantic import Field

from orchestra_memory import Record
from orchestra_memory.values import NonEmpty


def random_id() -> str:
    return uuid4().hex


class Fact(Record, collection="outage_facts"):
    """Made once, under an id of its own."""

    id: NonEmpty = Field(default_factory=random_id)
    by: str = ""


class Tally(Record, collection="outage_tallies"):
    """Counted up by all: ``count`` is as many as there are ``ops``, or one was applied twice."""

    id: NonEmpty
    count: int = 0
    ops: list[str] = Field(default_factory=list[str])


class Chapter(Record, collection="outage_chapters"):
    """Read, changed and written back: ``ops`` in the order in which they were made."""

    id: NonEmpty
    ops: list[str] = Field(default_factory=list[str])


class State(Record, collection="outage_states"):
    """Put, patched and deleted by one task: what it is now is by the last of them."""

    id: NonEmpty
    seq: int = 0
    by: str = ""


class Half(Record, collection="outage_halves"):
    """Written together with another one: both are by the same operation."""

    id: NonEmpty
    seq: int = 0
    by: str = ""


class Line(Record, collection="outage_lines", scopes=["session"], indexes=[("session", "-seq")]):
    """One line of a session, which is read as a list."""

    id: NonEmpty = Field(default_factory=random_id)
    session: str
    seq: int = 0
    by: str = ""


RECORDS = (Fact, Tally, Chapter, State, Half, Line)
