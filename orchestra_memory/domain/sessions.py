"""Sessions: when a user's conversations began, were last active, and ended."""

from __future__ import annotations

from typing import Any, Unpack

from ..models import UserSession, random_id
from ..operations import Page, Patch, Ref
from ..protocol import MemoryManager
from ..values import JsonMap, utc_now
from . import issued
from .issued import Paging


class Sessions:
    """The sessions in `memory`."""

    def __init__(self, memory: MemoryManager) -> None:
        self._memory = memory

    def __repr__(self) -> str:
        return f"<Sessions in {self._memory!r}>"

    async def start(
        self, user_id: str, session_id: str | None = None, *, metadata: JsonMap | None = None
    ) -> UserSession:
        """Start a session, or go on with it: an existing one is active from now, and open again.

        Without an id it gets a random one. `metadata`, if given, replaces what an existing session
        has. Costs one write, and one read where an id is given. Safe to repeat.
        """
        if session_id is None:
            session = _new(user_id, random_id(), metadata or {})
            await self._memory.put(session)
            return session
        session = _new(user_id, session_id, metadata or {})
        await self._memory.write([_started(session, metadata)])
        return await self._memory.get(UserSession, session.key) or session

    async def touch(self, user_id: str, session_id: str) -> None:
        """Note that the session is active now. Raises ``Conflict`` if there is no such session."""
        ref = Ref(UserSession, UserSession.key_of(user_id, session_id))
        await self._memory.write([Patch(ref, set={"last_active": utc_now()})])

    async def get(self, user_id: str, session_id: str) -> UserSession | None:
        """The session, ``None`` if there is none."""
        return await self._memory.get(UserSession, UserSession.key_of(user_id, session_id))

    async def list(
        self, user_id: str, *, open_only: bool = False, **paging: Unpack[Paging]
    ) -> Page[UserSession]:
        """A page of the user's sessions, the last active one first; 50 by default.

        `open_only` leaves out those that have ended.
        """
        query = issued.sessions_of(user_id=user_id, open_only=open_only, **paging)
        return await self._memory.find(query)

    async def end(self, user_id: str, session_id: str) -> UserSession:
        """Note that the session has ended, and return it; ending it again changes nothing.

        Its items stay; :meth:`Conversations.forget_session` deletes them. Costs a read and, the
        first time, a write. Raises ``Conflict`` if there is no such session.
        """
        key = UserSession.key_of(user_id, session_id)
        return await self._memory.update(UserSession, key, _ended)


def _new(user_id: str, session_id: str, metadata: JsonMap) -> UserSession:
    now = utc_now()
    return UserSession(
        user_id=user_id, session_id=session_id, created_at=now, last_active=now, metadata=metadata
    )


def _started(session: UserSession, metadata: JsonMap | None) -> Patch:
    """What makes the session stored, whether it was before or not."""
    changes: dict[str, Any] = {"last_active": session.last_active}
    if metadata is not None:
        changes["metadata"] = metadata
    ref = Ref(UserSession, session.key)
    return Patch(ref, set=changes, unset=("ended_at",), or_create=session)


def _ended(session: UserSession) -> UserSession:
    return session if session.ended_at else session.evolve(ended_at=utc_now())
