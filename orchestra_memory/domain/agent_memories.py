"""What agents learn over all their sessions: patterns, decisions, insights, counts."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Final, TypedDict, Unpack

from ..models import AgentMemory
from ..operations import Patch, Ref
from ..protocol import MemoryManager
from ..values import JsonLike, JsonMap, utc_now
from .bounded import ENTRIES, Bounded, checked_entries
from .entries import check_names, entry_of

LISTS: Final[tuple[str, ...]] = ("learned_patterns", "decision_history", "recent_activity")


class Learned(TypedDict, total=False):
    """What an agent has learned: ``insights`` by name, the others as entries of their own."""

    patterns: Iterable[JsonMap]
    decisions: Iterable[JsonMap]
    insights: JsonMap
    activity: Iterable[JsonMap]


class AgentMemories:
    """The :class:`~orchestra_memory.AgentMemory` of each agent in `memory`.

    ``entries`` is how many of its newest patterns, decisions and activities each keeps, nearly:
    100 by default.
    """

    def __init__(self, memory: MemoryManager, *, entries: int = ENTRIES) -> None:
        self._memory = memory
        self._bounded = Bounded(memory, dict.fromkeys(LISTS, entries))

    def __repr__(self) -> str:
        return f"<AgentMemories in {self._memory!r}>"

    async def get(self, agent_type: str, agent_id: str) -> AgentMemory | None:
        """What the agent has learned, ``None`` if nothing was ever kept."""
        return await self._memory.get(AgentMemory, AgentMemory.key_of(agent_type, agent_id))

    async def save(self, learned: AgentMemory) -> AgentMemory:
        """Store all of it, over what there was; returns it."""
        await self._memory.put(learned)
        return learned

    async def learn(self, agent_type: str, agent_id: str, **learned: Unpack[Learned]) -> None:
        """Add what the agent learned. Costs one write.

        A pattern that is known already is not kept twice. Decisions and activities get the time as
        ``at``, unless they have one. An insight replaces the one of its name. Raises
        ``InvalidRecord`` for an entry of more than 100,000 bytes.
        """
        check_names(learned, Learned, "learn")
        now = utc_now()
        grown: dict[str, list[JsonMap]] = {
            "learned_patterns": list(learned.get("patterns", ())),
            "decision_history": [{"at": now, **each} for each in learned.get("decisions", ())],
            "recent_activity": [{"at": now, **each} for each in learned.get("activity", ())],
        }
        empty = AgentMemory(agent_type=agent_type, agent_id=agent_id)
        change = Patch(
            Ref(AgentMemory, empty.key),
            set=_insights(learned.get("insights", {})),
            add={name: entries for name, entries in grown.items() if entries},
            or_create=empty,
        )
        await self._memory.write([checked_entries(change)])
        await self._bounded.grown(change.ref, chain.from_iterable(change.add.values()))

    async def noted(
        self,
        agent_type: str,
        agent_id: str,
        memory_type: str,
        *,
        importance: str | None = None,
        count: int = 1,
    ) -> None:
        """Count memories that the agent has stored, by type and, if given, by importance.

        Costs one write. Raises ``InvalidRecord`` for names that are empty or have a ``.`` in them.
        """
        counted = ["memory_count", entry_of(AgentMemory, "memory_types_count", memory_type)]
        if importance is not None:
            counted.append(entry_of(AgentMemory, "importance_distribution", importance))
        empty = AgentMemory(agent_type=agent_type, agent_id=agent_id)
        change = Patch(
            Ref(AgentMemory, empty.key),
            set={"last_memory_sync": utc_now()},
            increment=dict.fromkeys(counted, count),
            or_create=empty,
        )
        await self._memory.write([change])


def _insights(insights: JsonMap) -> dict[str, JsonLike]:
    path = "performance_insights"
    return {entry_of(AgentMemory, path, name): value for name, value in insights.items()}
