"""Servers that a test stops and kills: they have to be processes of this machine."""

import pytest

from orchestra_memory.testing.service import Kind, Program


def skip_without_program(kind: Kind) -> None:
    """Skip where only a container, or nothing at all, could serve."""
    if not isinstance(kind.find_program(), Program):
        pytest.skip(f"no {kind.name} that is a process of this machine")
