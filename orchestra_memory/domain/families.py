"""Who spawned whom: the tree of agents beneath one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..models import AgentState
from ..operations import Options
from ..protocol import MemoryManager

_AS_STORED = Options(cache="bypass")


@dataclass(frozen=True, slots=True)
class Branch:
    """An agent and what it spawned; ``state`` is ``None`` if it is not stored any more."""

    key: str
    state: AgentState | None
    children: tuple[Branch, ...] = ()

    def __iter__(self) -> Iterator[tuple[int, Branch]]:
        """All agents, each before its children, with how deep they lie."""
        left: list[tuple[int, Branch]] = [(0, self)]
        while left:
            depth, branch = left.pop()
            yield depth, branch
            left += [(depth + 1, child) for child in reversed(branch.children)]


async def tree(memory: MemoryManager, key: str) -> Branch | None:
    """The tree beneath the agent whose state has this key; ``None`` if it is not stored.

    Costs a read for each agent, in one round trip for each generation.
    """
    found: dict[str, AgentState | None] = {}
    generations: list[list[str]] = []
    keys = [key]
    while keys:
        states = await memory.get_many(AgentState, keys, options=_AS_STORED)
        found.update(zip(keys, states, strict=True))
        generations.append(keys)
        children = [child for state in states if state for child in state.child_agents]
        # An agent that two name, or that is its own forebear, stands where it was met first.
        keys = [child for child in dict.fromkeys(children) if child not in found]
    return None if found[key] is None else _grown(generations, found)[key]


def _grown(
    generations: list[list[str]], found: Mapping[str, AgentState | None]
) -> Mapping[str, Branch]:
    """The branches, made from the youngest to the oldest: there may be many generations."""
    younger: dict[str, Branch] = {}
    for keys in reversed(generations):
        branches: dict[str, Branch] = {}
        for key in keys:
            state = found[key]
            children = () if state is None else state.child_agents
            grown = tuple(younger.pop(child) for child in children if child in younger)
            branches[key] = Branch(key, state, grown)
        younger = branches
    return younger
