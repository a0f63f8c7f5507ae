"""Invalidations that Redis has yet to be told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ...operations import Revision
from .scripts import Drop
from .steps import Step, Target

MOST: Final = 10_000
"""Invalidations that are remembered one by one, in all namespaces together."""


class Pending:
    """What was written while Redis could not be told, each with the floor its entry is to have.

    Beyond ``most`` a namespace is remembered as a whole: none of its entries may be used again.
    What is added again while it is being told is still pending afterwards.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._steps: dict[str | None, dict[Target, Step]] = {}
        self._overflowed: dict[str | None, int] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count + len(self._overflowed)

    def add(self, target: Target, floor: Revision) -> None:
        """Remember that ``target`` is to be dropped; of several floors the highest counts."""
        namespace = target.namespace
        if namespace in self._overflowed:
            self._overflowed[namespace] += 1
            return
        steps = self._steps.setdefault(namespace, {})
        if target in steps:
            steps[target] = Step(target, Drop(max(floor, steps[target].action.floor)))
        elif self._count < self._most:
            steps[target] = Step(target, Drop(floor))
            self._count += 1
        else:
            self._overflow(namespace)

    def add_all(self, namespace: str | None) -> None:
        """Remember that no entry of the namespace is to be used again."""
        if namespace in self._overflowed:
            self._overflowed[namespace] += 1
        else:
            self._overflow(namespace)

    def overflowed(self) -> list[tuple[str | None, int]]:
        """The namespaces of which no entry may be used again, and how much was added to each."""
        return list(self._overflowed.items())

    def replaced(self, namespace: str | None, added: int) -> None:
        """The namespace has got a new epoch since `overflowed` told how much was ``added``."""
        if self._overflowed.get(namespace) == added:
            del self._overflowed[namespace]

    def batches(self, size: int) -> Iterator[list[Step]]:
        """What is to be dropped now, by namespace, at most ``size`` at a time."""
        for by_target in list(self._steps.values()):
            steps = list(by_target.values())
            for start in range(0, len(steps), size):
                yield steps[start : start + size]

    def published(self, steps: Sequence[Step]) -> None:
        """These were told."""
        for step in steps:
            namespace = step.target.namespace
            by_target = self._steps.get(namespace, {})
            if by_target.get(step.target) is step:
                del by_target[step.target]
                self._count -= 1
                if not by_target:
                    del self._steps[namespace]

    def _overflow(self, namespace: str | None) -> None:
        self._overflowed[namespace] = 0
        self._count -= len(self._steps.pop(namespace, ()))
