"""Processes that live one after the other in a state machine, each with what the last one left."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from .parts import MEMORY, Clock, crashed


class Lives(RuleBasedStateMachine):
    """Each life has a directory; `start` begins one, in a directory with journals or without."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.root = Path(tempfile.mkdtemp(dir=MEMORY))
        self.lives = 0
        self.clock = Clock()
        self.exits = AsyncExitStack()
        self.directory = self.root / "0"
        self.start(self.directory)

    def start(self, directory: Path) -> None:
        raise NotImplementedError

    def teardown(self) -> None:
        self.run(self.exits.aclose())
        self.runner.close()
        shutil.rmtree(self.root)

    def run(self, awaitable: Any) -> Any:
        return self.runner.run(awaitable)

    def copy(self) -> Path:
        """What a crash at this moment would leave."""
        self.lives += 1
        return crashed(self.directory, self.root / f"{self.lives}")

    def end(self) -> None:
        self.run(self.exits.aclose())
        self.exits = AsyncExitStack()
