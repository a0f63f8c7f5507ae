"""A Firestore that only commits, on a real gRPC server, and fails as it is told to."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from google.auth.credentials import AnonymousCredentials
from google.cloud.firestore import AsyncClient
from google.cloud.firestore_v1 import types

from orchestra_memory import FirestoreMemory
from orchestra_memory.backends.firestore.access import close_client

CommitRequest: Any = types.CommitRequest.pb()
CommitResponse: Any = types.CommitResponse.pb()
COMMIT = "/google.firestore.v1.Firestore/Commit"
THREADS = 16
"""Commits answered at once."""


@dataclass(frozen=True)
class Refusal:
    """How a commit ends; ``applied`` though the answer says that it failed."""

    code: grpc.StatusCode
    text: str
    applied: bool = False


TOO_BIG = Refusal(
    grpc.StatusCode.INVALID_ARGUMENT, "Transaction too big. Decrease transaction size."
)
OVERLOADED = Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "Quota exceeded.")
LOST = Refusal(grpc.StatusCode.UNAVAILABLE, "Connection reset by peer", applied=True)
FORBIDDEN = Refusal(grpc.StatusCode.PERMISSION_DENIED, "Missing or insufficient permissions.")


@dataclass(frozen=True)
class Commit:
    """One request as it came in."""

    data: bytes
    message: Any
    at_once: int
    """Requests under way, this one among them."""
    at: float
    """Seconds on the monotonic clock."""

    @property
    def ids(self) -> list[str]:
        """The ids of the documents it is about, parts left out."""
        names = [write.update.name or write.delete for write in self.message.writes]
        return [name.rpartition("/")[2] for name in names if "/parts/" not in name]


class Server(grpc.GenericRpcHandler):
    """Counts how often each document was written; `refuses` says which commits fail.

    It runs on threads of its own: what it still has to do when a test ends needs no event loop.
    """

    def __init__(
        self, refuses: Callable[[Commit], Refusal | None] = lambda _: None, *, delay: float = 0.0
    ) -> None:
        self.refuses = refuses
        self.delay = delay
        self.commits: list[Commit] = []
        self.applied: Counter[str] = Counter()
        self.revisions: dict[str, int] = {}
        self.asked, self.open = threading.Event(), threading.Event()
        self.open.set()
        self._lock = threading.Lock()
        self._now = 0
        self._clock = 1_000_000

    @property
    def sizes(self) -> list[int]:
        """How many writes there were in each commit that was asked for."""
        return [len(commit.message.writes) for commit in self.commits]

    def service(self, details: Any) -> Any:
        if details.method == COMMIT:
            return grpc.unary_unary_rpc_method_handler(self._commit)
        return None

    def _commit(self, data: bytes, context: Any) -> bytes:
        with self._lock:
            self._now += 1
            message = CommitRequest.FromString(data)
            commit = Commit(data, message, self._now, time.monotonic())
            self.commits.append(commit)
            refusal = self.refuses(commit)
        try:
            self.asked.set()
            self.open.wait()
            time.sleep(self.delay)
        finally:
            with self._lock:
                self._now -= 1
        with self._lock:
            response = self._apply(commit) if refusal is None or refusal.applied else b""
        if refusal is not None:
            context.abort(refusal.code, refusal.text)
        return response

    def _apply(self, commit: Commit) -> bytes:
        response = CommitResponse()
        self.applied.update(commit.ids)
        for write in commit.message.writes:
            self._clock += 1
            name = (write.update.name or write.delete).rpartition("/")[2]
            self.revisions[name] = self._clock
            response.write_results.add().update_time.FromMicroseconds(self._clock)
        response.commit_time.FromMicroseconds(self._clock)
        return bytes(response.SerializeToString())


@contextmanager
def served(server: Server) -> Iterator[str]:
    """Its address."""
    with ThreadPoolExecutor(THREADS) as threads:
        limit = [("grpc.max_receive_message_length", -1)]
        running = grpc.server(threads, handlers=[server], options=limit)
        port = running.add_insecure_port("127.0.0.1:0")
        running.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.open.set()
            running.stop(None).wait()


@asynccontextmanager
async def connected(
    host: str, monkeypatch: Any, project: str = "p", **how: bool
) -> AsyncIterator[tuple[FirestoreMemory, AsyncClient]]:
    """A memory on a client of its own."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", host)
    client = AsyncClient(project, credentials=AnonymousCredentials())
    memory = FirestoreMemory(client, **how)
    try:
        yield memory, client
    finally:
        await memory.aclose()
        await close_client(client)
