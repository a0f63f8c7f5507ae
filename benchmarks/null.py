"""The null backend, from the side of those who use it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from orchestra_memory.backends.firestore.access import gapic

from . import process
from .null_server import FORGET
from .store import Store


@contextmanager
def started() -> Iterator[process.Child]:
    """The null backend in a process of its own."""
    with (
        TemporaryDirectory(prefix="orchestra-") as home,
        process.serving("null_server", str(Path(home, "null.sock"))) as child,
    ):
        yield child


async def forget(store: Store) -> None:
    """Drop the collection, so that the backend does not grow with every turn."""
    channel = gapic(store.client).transport.grpc_channel
    await channel.unary_unary(FORGET)(store.path.encode())
