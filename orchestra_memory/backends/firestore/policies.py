"""Which fields a database removes documents by, once their time has passed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import anyio.to_thread

from ...errors import StorageError
from .credentials import CredentialSource, load_credentials
from .errors import translated

SECONDS: Final = 5.0
"""For all of the policies to be listed."""
EVERY_COLLECTION: Final = "-"


@asynccontextmanager
async def administration(source: CredentialSource) -> AsyncIterator[Any]:
    """A client of Firestore's administration. Raises ``ConfigurationError``."""
    client = await anyio.to_thread.run_sync(_client, source, abandon_on_cancel=True)
    try:
        yield client
    finally:
        await client.transport.close()


def _client(source: CredentialSource) -> Any:
    from google.cloud.firestore_admin_v1.services.firestore_admin import FirestoreAdminAsyncClient

    return cast("Any", FirestoreAdminAsyncClient)(credentials=load_credentials(source))


async def expiry_policies(
    client: Any, project: str, database: str
) -> Mapping[tuple[str, str], bool]:
    """By collection and field, whether the policy is at work already, or being set up.

    Raises ``PermissionDenied`` where the credential may not list them, and other
    ``StorageError``s.
    """
    parent = f"projects/{project}/databases/{database}/collectionGroups/{EVERY_COLLECTION}"
    found: dict[tuple[str, str], bool] = {}
    with translated("policies"):
        pages = await client.list_fields(
            request={"parent": parent, "filter": "ttlConfig:*"}, retry=None, timeout=SECONDS
        )
        async for field in pages:
            *_, collection, _, path = _parts(field.name)
            found[collection, path] = field.ttl_config.state.name == "ACTIVE"
    return found


def _parts(name: str) -> list[str]:
    parts = name.split("/")
    if len(parts) < 3:
        raise StorageError("Firestore names a field in a form this release does not know")
    return parts
