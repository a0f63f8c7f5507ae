"""google-adk's session service on Firestore: events appended to sessions, and sessions read.

Events of one session are appended one after another, which the service calls for: it refuses an
event for a session that has changed since. Sessions are worked on side by side.
"""

# The peer is installed in an environment of its own: its types are not known where this is checked.
# mypy: disable-error-code="import-not-found, import-untyped, misc, no-any-return"
# pyright: reportMissingImports=false, reportMissingModuleSource=false, reportAttributeAccessIssue=false
# pyright: reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownParameterType=false, reportUnknownArgumentType=false
# pyright: reportUntypedBaseClass=false, reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from google.adk.events.event import Event
from google.adk.integrations.firestore import FirestoreSessionService
from google.adk.sessions.base_session_service import GetSessionConfig
from google.adk.sessions.session import Session
from google.cloud.firestore import AsyncClient
from google.genai import types

from ..gathering import AT_ONCE, gathered
from .way import RECENT, Jobs, Plain, Way

PACKAGES: Final = ("google-adk", "google-genai")
APP: Final = "benchmark"


@dataclass(frozen=True, slots=True)
class Said:
    """An event, and the session it belongs to, which the event does not name."""

    user: str
    session: str
    event: Event


@dataclass(frozen=True, slots=True)
class Store:
    service: FirestoreSessionService
    sessions: list[Session]


async def prepare(client: AsyncClient, place: str, jobs: Jobs, *, new: bool) -> Store:
    service = FirestoreSessionService(client, root_collection=place)
    return Store(service, [await _create(service, job[0]) for job in jobs] if new else [])


async def _create(service: FirestoreSessionService, said: Said) -> Session:
    return await service.create_session(app_name=APP, user_id=said.user, session_id=said.session)


async def append(store: Store, jobs: Jobs) -> Jobs:
    async def append_all(session: Session, job: Sequence[Said]) -> None:
        for said in job:
            await store.service.append_event(session, said.event)

    await gathered(map(append_all, store.sessions, jobs), AT_ONCE)
    return ()


async def newest(store: Store, jobs: Jobs) -> Jobs:
    config = GetSessionConfig(num_recent_events=RECENT)
    return await gathered((_events(store, job[0], config) for job in jobs), AT_ONCE)


async def sessions(store: Store, jobs: Jobs) -> Jobs:
    return await gathered((_events(store, job[0]) for job in jobs), AT_ONCE)


async def _events(store: Store, said: Said, config: GetSessionConfig | None = None) -> list[Said]:
    session = await store.service.get_session(
        app_name=APP, user_id=said.user, session_id=said.session, config=config
    )
    return [Said(said.user, said.session, event) for event in session.events]


def native(plain: Plain) -> Said:
    part = types.Part(text=plain["text_content"])
    event = Event(
        id=plain["id"],
        author=plain["persona_active"] or "user",
        timestamp=datetime.fromisoformat(plain["timestamp"]).timestamp(),
        content=types.Content(role="user", parts=[part]),
        custom_metadata={name: plain[name] for name in KEPT_AS_METADATA},
    )
    return Said(plain["user_id"], plain["session_id"], event)


def plain(said: Said) -> Plain:
    event = said.event
    metadata: dict[str, Any] = event.custom_metadata
    return {
        "id": event.id,
        "user_id": said.user,
        "session_id": said.session,
        "timestamp": datetime.fromtimestamp(event.timestamp, UTC).isoformat(),
        "text_content": event.content.parts[0].text,
        "persona_active": None if event.author == "user" else event.author,
        **metadata,
    }


KEPT_AS_METADATA: Final = ("item_type", "metadata", "expiration", "content_hash")
"""Fields that an event has no other place for."""

read_back: Final = sessions
WAYS: Final = (
    Way("append", "append_event", append, writes=True),
    Way("newest", "get_session of the newest", newest),
    Way("session", "get_session", sessions),
)
