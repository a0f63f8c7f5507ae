"""The state of the whole system: counters, flags, and the emergency stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypedDict, Unpack

from ..models import GLOBAL_CONFIG, SystemState
from ..operations import Durability, Options, Patch, Ref
from ..protocol import MemoryManager
from ..values import JsonMap
from .emergency import EmergencyGuard, OnUnknown
from .entries import entry_of

_SURE: Final = Options(min_durability=Durability.COMMITTED)


class SystemFields(TypedDict, total=False):
    """The fields of :class:`~orchestra_memory.SystemState` that are assigned as a whole."""

    system_version: str
    system_metrics: JsonMap
    global_config: JsonMap


class Counters(TypedDict, total=False):
    """What is added to the counters; negative numbers are taken away."""

    active_sessions: int
    total_agents_spawned: int
    current_agent_count: int


class System:
    """The :class:`~orchestra_memory.SystemState` in `memory`, which is one for each namespace.

    It is made by the first change. ``clock`` tells the seconds for which :meth:`check` keeps an
    answer; the system's by default.
    """

    def __init__(
        self, memory: MemoryManager, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._memory = memory
        self._guard = EmergencyGuard(memory, clock=clock)

    def __repr__(self) -> str:
        return f"<System in {self._memory!r}>"

    async def get(self) -> SystemState:
        """The state; everything at its default if nothing was ever changed."""
        return await self._memory.get(SystemState, GLOBAL_CONFIG) or SystemState()

    async def update(self, **fields: Unpack[SystemFields]) -> None:
        """Assign these fields and leave the others as they are. Costs one write."""
        await self._memory.write([changed(set=dict(fields))])

    async def count(self, **counters: Unpack[Counters]) -> None:
        """Add to counters, so that nothing is lost where others count too. Costs one write."""
        await self._memory.write([addition(counters)])

    async def count_error(self, kind: str, by: int = 1) -> None:
        """Count errors of a kind in ``error_counts``; dots in it become underscores."""
        await self._memory.write([addition({error_counter(kind): by})])

    async def set_flag(self, name: str, on: bool) -> None:
        """Switch a feature on or off; the others stay as they are.

        Raises ``InvalidRecord`` for a name that is empty or has a dot in it.
        """
        await self._memory.write([changed(set={entry_of(SystemState, "feature_flags", name): on})])

    async def flag(self, name: str, *, default: bool = False) -> bool:
        """Whether a feature is on; `default` if nobody ever said. Costs one read, or the cache's.

        Raises ``Unavailable`` where an outage hides it.
        """
        return (await self.get()).feature_flags.get(name, default)

    async def emergency_stop(self, reason: str) -> None:
        """Have :meth:`check` raise, in every process, within a second.

        Returns when that is committed; otherwise raises, such as ``Unavailable`` or
        ``DurabilityUnavailable`` in an outage, and the system may not have been stopped.
        """
        await self._decide({"emergency_stop": True, "emergency_reason": reason})

    async def resume(self) -> None:
        """Let the system go on after an emergency stop; committed, or raises as that does."""
        await self._decide({"emergency_stop": False, "emergency_reason": None})

    async def check(self, *, on_unknown: OnUnknown = "continue") -> None:
        """Raise ``EmergencyStopped`` if the system was stopped; call it before each piece of work.

        The answer is at most a second old, read from the store itself once a second and shared by
        all who ask. In an outage `on_unknown` decides: ``"continue"``, the default, or ``"stop"``;
        either way it is logged once. What was stopped before an outage stays stopped in it. Raises
        ``ConfigurationError`` for another word.
        """
        await self._guard.check(on_unknown)

    async def _decide(self, fields: Mapping[str, Any]) -> None:
        try:
            await self._memory.write([changed(set=fields)], options=_SURE)
        finally:
            # Even where it failed: it may have been applied.
            self._guard.forget()


def changed(**changes: Mapping[str, Any]) -> Patch:
    """A change of the one document, or its creation."""
    return Patch(Ref(SystemState, GLOBAL_CONFIG), or_create=SystemState(), **changes)  # type: ignore[arg-type]  # parts of a patch


def addition(amounts: Mapping[str, Any]) -> Patch:
    """An addition to counters, for a write of one's own."""
    return changed(increment=amounts)


def error_counter(kind: str) -> str:
    """The path of the counter of a kind of errors."""
    return f"error_counts.{kind.replace('.', '_') or 'unknown'}"
