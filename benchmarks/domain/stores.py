"""Where everything is measured: stores by their URLs, opened as users do, each empty at first."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeAlias

from orchestra_memory import Memory, Settings, open_memory

TIMEOUT: Final = 30.0
"""Seconds of a call: a hundred at once share an emulator, and none of them is to be given up."""

Fresh: TypeAlias = Callable[[], str]
"""Gives the URL of a store that nobody has used."""


def in_folder(folder: Path) -> Fresh:
    return lambda: f"sqlite:///{folder.resolve() / secrets.token_hex(8)}.db"


def on_emulator(host: str) -> Fresh:
    """Projects of this run alone: the emulator may keep what others stored."""
    return lambda: f"firestore://{new_project()}?emulator={host}"


def new_project() -> str:
    return f"domain-{secrets.token_hex(6)}"


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Memory]:
    """What ``open_memory`` makes for a URL, whatever else the environment names."""
    settings = Settings(timeout=TIMEOUT)
    async with open_memory(url, cache="none", fallback=False, settings=settings) as memory:
        yield memory
