"""Whether what is written to a directory outlives the machine it is written on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, TypeAlias

Medium: TypeAlias = Literal["persistent", "ephemeral"]

CLOUD_RUN: Final = ("K_SERVICE", "CLOUD_RUN_JOB")
"""Variables that Cloud Run sets; its local disk is memory and dies with the instance."""
_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
_MOUNTS: Final = Path("/proc/self/mountinfo")


def detect(directory: Path) -> Medium:
    """The medium under a directory, as far as it can be told; blocks for a look at the mounts."""
    device = directory.stat().st_dev
    mounts = _MOUNTS.read_text() if _MOUNTS.exists() else ""
    return decide(os.environ, f"{os.major(device)}:{os.minor(device)}", mounts)


def decide(environment: Mapping[str, str], device: str, mounts: str) -> Medium:
    """``ephemeral`` on Cloud Run and in memory, else ``persistent``.

    ``device`` is ``major:minor``; ``mounts`` is in the form of ``/proc/self/mountinfo``.
    """
    if any(environment.get(name) for name in CLOUD_RUN):
        return "ephemeral"
    return "ephemeral" if _file_system(device, mounts) in _IN_MEMORY else "persistent"


def _file_system(device: str, mounts: str) -> str:
    for line in mounts.splitlines():
        mount, _, source = line.partition(" - ")
        if mount.split()[2:3] == [device]:
            return source.partition(" ")[0]
    return ""
