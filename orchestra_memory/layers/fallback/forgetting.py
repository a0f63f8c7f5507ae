"""Forgetting a user: in what waits, in what is kept out of replay, and in copies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ...errors import Unavailable
from ...ownership import users_in_op
from ...protocol import MemoryManager
from .kept import of_entry, of_user
from .queue import Queue, known_models
from .queued import Queued
from .standby import Standby

PASSES = 3
"""Replays after which what still waits is left to later ones."""


class Forgetting:
    """Has a queue and a standby forget. `replay` brings to the store what waits."""

    def __init__(
        self,
        primary: MemoryManager,
        queue: Queue,
        standby: Standby,
        replay: Callable[[], Awaitable[bool]],
    ) -> None:
        self._primary = primary
        self._queue = queue
        self._standby = standby
        self._replay = replay

    async def forget_user(self, user_id: str, namespace: str | None) -> dict[str, int]:
        """What this process keeps of a user whose erasure the store tells; how much that was.

        Raises ``Unavailable`` where writes of the user have to wait on.
        """
        # What dead processes left is somebody's, too.
        await self._queue.load()
        waited = len(self._waiting(user_id, namespace))
        for _ in range(PASSES):
            # Even if nothing is the user's: changes of records do not tell whose these are.
            if not len(self._queue):
                break
            await self._replay()
        if left := self._waiting(user_id, namespace):
            raise Unavailable(
                f"{len(left):,} writes of this user wait in the journal and cannot be brought to "
                "the store now; see the log, and erase again",
                operation="erase",
            )
        letters = await self._forget_letters(user_id, namespace)
        return {
            "journal": waited,
            "dead_letters": letters,
            "standby": self._standby.forget_user(user_id, namespace),
        }

    def _waiting(self, user_id: str, namespace: str | None) -> list[Queued]:
        return [
            item
            for item in self._queue.waiting()
            if item.document.namespace == namespace and user_id in users_in_op(item.op)
        ]

    async def _forget_letters(self, user_id: str, namespace: str | None) -> int:
        models = known_models()
        letters = [
            letter
            for letter in await self._queue.dead_letters()
            if letter.document.namespace == namespace
        ]
        kept = [of_entry(letter, models) for letter in letters]
        theirs = await of_user(self._primary, kept, user_id)
        found = [letter for letter, is_theirs in zip(letters, theirs, strict=True) if is_theirs]
        await self._queue.discard(found)
        return len(found)
