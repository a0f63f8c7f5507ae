"""What goes wrong with which call: decided in a plain class, one call at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, TypeAlias, get_args

Verb: TypeAlias = Literal["read", "write", "find", "aggregate", "health"]

VERBS: Final[tuple[Verb, ...]] = get_args(Verb)


class Way(StrEnum):
    """How a call goes wrong."""

    FAIL = "fail"
    LOSE = "lose"
    HANG = "hang"
    DELAY = "delay"


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of one call.

    ``Way.FAIL`` fails it before anything is done, with ``error`` or with ``Unavailable``.
    ``Way.LOSE`` carries it out and loses the answer. ``Way.HANG`` answers nothing until the
    deadline of the call; ``applied`` says that it is carried out before. ``Way.DELAY`` begins it so
    many ``seconds`` later.
    """

    way: Way
    seconds: float = 0.0
    applied: bool = False
    error: Callable[[], Exception] | None = None


class Script:
    """Which fault the next call of each verb meets.

    What is planned for a verb comes first, call by call; then what stands, so many times or until
    it is taken back.
    """

    def __init__(self) -> None:
        self._planned: dict[Verb, deque[Fault | None]] = {verb: deque() for verb in VERBS}
        self._standing: dict[Verb, tuple[Fault, int | None]] = {}

    def stand(self, fault: Fault, verbs: Sequence[Verb], times: int | None) -> None:
        """Let `fault` meet the next ``times`` calls of each of these verbs, or all of them."""
        if times is not None and times < 1:
            raise ValueError("times must be 1 or more, or None for until healed")
        for verb in _known(verbs):
            self._standing[verb] = (fault, times)

    def plan(self, verb: Verb, faults: Iterable[Fault | None]) -> None:
        """Let one call of `verb` after another meet these, ``None`` standing for none."""
        (known,) = _known((verb,))
        self._planned[known].extend(faults)

    def heal(self, verbs: Sequence[Verb]) -> None:
        """Forget all that is planned and stands for these verbs."""
        for verb in _known(verbs):
            self._planned[verb].clear()
            self._standing.pop(verb, None)

    def take(self, verb: Verb) -> Fault | None:
        """What meets a call that is made now."""
        if self._planned[verb]:
            return self._planned[verb].popleft()
        fault, times = self._standing.get(verb, (None, None))
        if fault is not None and times is not None:
            if times > 1:
                self._standing[verb] = (fault, times - 1)
            else:
                del self._standing[verb]
        return fault


def _known(verbs: Sequence[Verb]) -> Sequence[Verb]:
    for verb in verbs:
        if verb not in VERBS:
            raise ValueError(f"there is no such verb; verbs are {', '.join(VERBS)}")
    return verbs or VERBS
