"""`python -m benchmarks.null_server PATH`: a Firestore that answers at once, on a unix socket.

It stands in for the network and the server, so that what is timed is the client.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc

from .null_store import NullStore

SERVICE: Final = "/google.firestore.v1.Firestore/"
FORGET: Final = "/benchmarks.Null/Forget"
THREADS: Final = 16
"""Streams served at once: as many as any way has under way, lest one wait for another."""


class _Handlers(grpc.GenericRpcHandler):
    """Requests and answers stay bytes."""

    def __init__(self, store: NullStore) -> None:
        self._handlers = {
            SERVICE + "Commit": _unary(store.commit),
            SERVICE + "GetDocument": grpc.unary_unary_rpc_method_handler(_get(store)),
            SERVICE + "BatchGetDocuments": _stream(store.get_all),
            SERVICE + "RunQuery": _stream(store.query),
            FORGET: _unary(store.forget),
        }

    def service(self, handler_call_details: Any) -> Any:
        return self._handlers.get(handler_call_details.method)


def _unary(answer: Callable[[bytes], bytes]) -> Any:
    return grpc.unary_unary_rpc_method_handler(lambda request, _: answer(request))


def _stream(answers: Callable[[bytes], Iterator[bytes]]) -> Any:
    return grpc.unary_stream_rpc_method_handler(lambda request, _: answers(request))


def _get(store: NullStore) -> Callable[[bytes, Any], bytes | None]:
    def get(request: bytes, context: Any) -> bytes | None:
        document = store.get(request)
        if document is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such document")
        return document

    return get


def main(path: str) -> None:
    """Serve until stdin closes."""
    server = grpc.server(
        ThreadPoolExecutor(THREADS),
        handlers=[_Handlers(NullStore())],
        options=[("grpc.max_receive_message_length", -1)],
    )
    address = f"unix:{path}"
    server.add_insecure_port(address)
    server.start()
    print(address, flush=True)
    sys.stdin.read()
    server.stop(None)


if __name__ == "__main__":
    main(sys.argv[1])
