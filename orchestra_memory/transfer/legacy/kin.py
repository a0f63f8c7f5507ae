"""Parents and children: here they go by their keys, in earlier systems by their bare ids."""

from __future__ import annotations

from collections import defaultdict

from ...models import AgentState
from .found import Found, of_record

_LOST = "of another agent than any that was found, or of several; kept as it is"


class Kin:
    """The agents of a source by their bare ids."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}
        # Of those with several keys. Most have one, and there may be very many.
        self._by_session: defaultdict[str, defaultdict[str, set[str]]]
        self._by_session = defaultdict(lambda: defaultdict(set))

    def add(self, found: Found) -> None:
        if isinstance(state := found.record, AgentState):
            first = self._first.setdefault(state.agent_id, found.key)
            # An agent is the same in all its sessions, unless another has its id.
            for key in () if first == found.key else (first, found.key):
                self._by_session[state.agent_id][AgentState.key_parts(key)[-1]].add(key)

    def resolved(self, found: Found) -> Found:
        """The same with the keys of parent and children, where these are known."""
        state = found.record
        if not isinstance(state, AgentState) or not (state.parent_agent or state.child_agents):
            return found
        named = (state.parent_agent,) if state.parent_agent else ()
        keys = {name: self._key(name, state.session_id) for name in (*named, *state.child_agents)}
        notes = [
            f"{field}: {_LOST}"
            for field, names in (("parent_agent", named), ("child_agents", state.child_agents))
            if any(keys[name] is None for name in names)
        ]
        record = state.evolve(
            parent_agent=state.parent_agent and (keys[state.parent_agent] or state.parent_agent),
            child_agents=[keys[name] or name for name in state.child_agents],
        )
        return of_record(record, found.inside, (*found.warnings, *notes), found.defaulted)

    def _key(self, name: str, session_id: str) -> str | None:
        """The key of the one agent with this id in the session, or of the only one there is."""
        if name not in self._by_session:
            return self._first.get(name)
        keys = self._by_session[name].get(session_id, set())
        return min(keys) if len(keys) == 1 else None
