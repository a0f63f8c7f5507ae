"""What the parts of the contract share."""

from __future__ import annotations

from typing import ClassVar

import pytest

from ...protocol import MemoryManager


class Contract:
    """A part of the contract; the subclass gives the fixture ``memory``."""

    shows_commits_whole: ClassVar[bool] = True
    """A capability: whether a reader never meets a write half applied. Stores that lack it, such as
    the Firestore emulator, say so here; their writes are whole once they are acknowledged."""

    pytestmark: ClassVar[list[pytest.MarkDecorator]] = [pytest.mark.anyio]

    @pytest.fixture
    def another(self, memory: MemoryManager) -> MemoryManager:
        """The same store through another instance, where there can be one."""
        return memory
