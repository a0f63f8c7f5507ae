"""Parents and children: here they go by their keys, in earlier systems by their bare ids."""

from __future__ import annotations

from collections import defaultdict

from ...models import AgentState
from .found import Found, of_record

_LOST = "of another agent than any that was found, or of several; kept as it is"


class Kin:
    """The agents of a source by their bare ids."""

    def __init__(self) -> None:
        self._keys: defaultdict[str, dict[str, str]] = defaultdict(dict)

    def add(self, found: Found) -> None:
        if isinstance(state := found.record, AgentState):
            # An agent is the same in all its sessions, unless another has its id.
            place = f"{state.session_id}\0{state.agent_type}"
            self._keys[state.agent_id][place] = state.key

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
        known = self._keys.get(name, {})
        here = [key for place, key in known.items() if place.startswith(f"{session_id}\0")]
        (key,) = here if len(here) == 1 else tuple(known.values()) if len(known) == 1 else (None,)
        return key
