"""Asking Firestore how it is costs nothing: no document is asked for."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.cloud.firestore_v1.types import BeginTransactionResponse
from google.protobuf.empty_pb2 import Empty

import orchestra_memory as om

pytestmark = pytest.mark.anyio

SERVICE = "google.firestore.v1.Firestore"


class Transactions(grpc.GenericRpcHandler):
    """A server that begins transactions, gives them up, and knows nothing else."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def service(self, handler_call_details: Any) -> Any:
        method = handler_call_details.method.rpartition("/")[2]
        self.asked.append(method)
        answers: dict[str, bytes] = {
            "BeginTransaction": BeginTransactionResponse.serialize(
                BeginTransactionResponse(transaction=b"t")
            ),
            "Rollback": Empty().SerializeToString(),
        }
        if method not in answers:
            return None

        async def answer(request: bytes, context: Any) -> bytes:
            return answers[method]

        return grpc.unary_unary_rpc_method_handler(answer)


@pytest.fixture
async def transactions() -> AsyncIterator[tuple[str, Transactions]]:
    handler = Transactions()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"firestore://p/d?emulator=127.0.0.1:{port}", handler
    await server.stop(None)


async def test_no_document_is_asked_for(transactions: tuple[str, Transactions]) -> None:
    url, handler = transactions
    async with om.open_memory(url) as memory:
        health = await memory.health()
        with pytest.raises(om.StorageError):
            await memory.get(om.MemoryItem, "i")
    assert health.status is om.Status.OK
    assert handler.asked[:2] == ["BeginTransaction", "Rollback"]
    assert handler.asked[2:] == ["GetDocument"]


async def test_the_emulator_says_ok(firestore_emulator: Any, firestore_project: str) -> None:
    url = f"firestore://{firestore_project}?emulator={firestore_emulator.host}"
    async with om.open_memory(url) as memory:
        health = await memory.health()
    assert (health.component, health.status) == ("firestore", om.Status.OK)
    assert health.detail == f"projects/{firestore_project}/databases/(default)"
