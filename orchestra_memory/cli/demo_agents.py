"""The cast of the demo: three agents who read one conversation and remember what concerns them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from ..domain.conversations import content_hash
from ..models import AgentState, AgentStatus, MemoryItem, UserSession
from ..transfer.chats import item_id

USER: Final = "maya"
SESSION: Final = "rehearsal-week"
NOTE: Final = "note"
QUESTION: Final = "What is there to eat?"
QUESTION_VECTOR: Final = (0.0, 0.1, 0.9, 0.2)
_START: Final = datetime(2026, 6, 15, 19, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Agent:
    """Who it is and what it remembers, each with a vector of time, music, food and people."""

    name: str
    notes: Sequence[tuple[str, tuple[float, float, float, float]]]

    def items(self) -> list[MemoryItem]:
        """Its notes; the same on every run, ids and times included."""
        return [self._item(index) for index in range(len(self.notes))]

    def _item(self, index: int) -> MemoryItem:
        text, vector = self.notes[index]
        return MemoryItem(
            id=item_id(USER, self.name, index),
            user_id=USER,
            session_id=SESSION,
            item_type=NOTE,
            timestamp=_START + timedelta(seconds=10 * index + AGENTS.index(self)),
            text_content=text,
            persona_active=self.name,
            embedding=vector,
            metadata={"agent": self.name},
            content_hash=content_hash(text),
        )

    def state(self) -> AgentState:
        """What it leaves behind, so that another process can take over."""
        return AgentState(
            agent_type=self.name,
            agent_id="demo",
            session_id=SESSION,
            status=AgentStatus.IDLE,
            created_at=_START,
            last_active=_START + timedelta(minutes=1),
            memory_context={"notes": len(self.notes)},
        )


AGENTS: Final[Sequence[Agent]] = (
    Agent(
        "scheduler",
        (
            ("Saturday 20 June, seven o'clock; the garden closes at ten.", (0.9, 0.0, 0.0, 0.1)),
            ("Jonas lands at four: warm up at half past six.", (0.8, 0.2, 0.0, 0.6)),
            ("Rain from eight on? Then the reading room, 80 seats.", (0.7, 0.1, 0.0, 0.2)),
        ),
    ),
    Agent(
        "librarian",
        (
            ("Telemann opens, the Dvořák serenade closes. No harp.", (0.1, 0.9, 0.0, 0.0)),
            ("Lena plays the oboe in the slow movement.", (0.0, 0.8, 0.0, 0.7)),
            ("Lamps on the stands for the second half.", (0.4, 0.6, 0.0, 0.0)),
        ),
    ),
    Agent(
        "caterer",
        (
            ("No nuts anywhere: Aiko.", (0.0, 0.0, 0.8, 0.7)),
            ("Strings bring salads, winds bring bread.", (0.0, 0.2, 0.9, 0.3)),
            ("The cellos' cheesecake is safe.", (0.0, 0.2, 0.9, 0.1)),
        ),
    ),
)


def session_of(items: Sequence[MemoryItem]) -> UserSession:
    """The session that these items, in their order, make up."""
    first, last = items[0], items[-1]
    return UserSession(
        user_id=first.user_id,
        session_id=first.session_id or "",
        created_at=first.timestamp,
        last_active=last.timestamp,
        metadata={"title": (first.session_id or "").replace("-", " ")},
    )
