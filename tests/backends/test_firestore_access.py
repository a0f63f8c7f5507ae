"""What is used of Google's library without being promised by it; a new version may change it."""

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.firestore import AsyncClient
from google.cloud.firestore_v1.services.firestore import FirestoreAsyncClient

from orchestra_memory.backends.firestore.access import (
    call_metadata,
    close_client,
    database_path,
    gapic,
    use_emulator,
)

pytestmark = pytest.mark.anyio


async def test_the_private_ways_into_the_client_still_lead_where_they_did(monkeypatch) -> None:
    monkeypatch.delenv("FIRESTORE_EMULATOR_HOST", raising=False)
    client = AsyncClient("p", database="d", credentials=AnonymousCredentials())
    use_emulator(client, "127.0.0.1:1")
    api = gapic(client)
    assert isinstance(api, FirestoreAsyncClient)
    assert database_path(client) == "projects/p/databases/d"
    metadata = dict(call_metadata(client))
    assert metadata["google-cloud-resource-prefix"] == "projects/p/databases/d"
    assert metadata["authorization"] == "Bearer owner"
    assert api.transport.grpc_channel is not None
    await close_client(client)
    assert api.transport.grpc_channel.get_state().name == "SHUTDOWN"
