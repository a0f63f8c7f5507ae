"""What goes wrong, and when: decided from a seed before anything runs."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass

STORE = ("refuse", "hole", "mute", "slow", "narrow", "cut", "lost", "hang", "restart")
"""What happens to the store: it is refused, black-holed both ways or only on the way back, late,
narrow, cut in mid-answer, its answers lost, stopped, or killed and started again."""
REDIS = ("refuse", "hole", "slow", "cut", "hang", "restart")
OUTAGES = frozenset({"refuse", "hole", "mute", "hang", "restart"})
"""After these nothing answers until they are healed."""
DEATHS = ("kill", "kill", "kill", "leave", "full")
"""How a worker ends: killed, asked to leave, or killed after the disk was full for its journal."""


@dataclass(frozen=True)
class Death:
    """What becomes of the worker in ``slot``, so many seconds ``after`` the trouble began."""

    kind: str
    slot: int
    after: float


@dataclass(frozen=True)
class Trouble:
    """After a ``rest`` of so many seconds, so many ``seconds`` in which something is wrong.

    ``store`` and ``redis`` say with what, ``slot`` for which worker alone, if not for all.
    """

    rest: float
    seconds: float
    store: str | None
    redis: str | None
    slot: int | None
    deaths: tuple[Death, ...] = ()

    @property
    def is_outage(self) -> bool:
        """Whether nobody gets an answer from the store meanwhile."""
        return self.store in OUTAGES and self.slot is None


def schedule(
    seed: str,
    seconds: float,
    *,
    slots: int,
    unrest: float = 1.0,
    without: Collection[str] = (),
) -> list[Trouble]:
    """The troubles of about so many seconds; ``unrest`` is how often workers die, 1 by default.

    What the store is to go ``without`` does not happen to it.
    """
    chance, troubles, left = random.Random(seed), list[Trouble](), seconds
    kinds = [kind for kind in STORE if kind not in without]
    while left > 0:
        trouble = _trouble(chance, slots, unrest, kinds)
        troubles.append(trouble)
        left -= trouble.rest + trouble.seconds
    return troubles


def _trouble(chance: random.Random, slots: int, unrest: float, kinds: Sequence[str]) -> Trouble:
    where = chance.choices(("store", "redis", "both"), (6, 1, 3))[0]
    store = chance.choice(kinds) if where != "redis" else None
    redis = chance.choice(REDIS) if where != "store" else None
    # One server serves all: it hangs and dies for all of them.
    common = {"hang", "restart"} & {store, redis}
    alone = None if common or chance.random() < 0.7 else chance.randrange(slots)
    seconds = 0.5 + 2.5 * chance.random()
    return Trouble(
        rest=0.3 + 1.5 * chance.random(),
        seconds=seconds,
        store=store,
        redis=redis,
        slot=alone,
        deaths=_deaths(chance, range(slots), seconds, unrest),
    )


def _deaths(
    chance: random.Random, slots: Sequence[int], seconds: float, unrest: float
) -> tuple[Death, ...]:
    """Some while it lasts, some just after it, when what was kept is replayed."""
    deaths: list[Death] = []
    for slot in slots:
        if chance.random() < 0.35 * unrest:
            after = chance.choice((chance.random() * seconds, seconds + 0.4 * chance.random()))
            deaths.append(Death(chance.choice(DEATHS), slot, after))
    return tuple(deaths)
