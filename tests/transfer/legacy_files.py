"""Folders of legacy files, and what a store holds."""

import json
from pathlib import Path

from orchestra_memory import MemoryManager
from orchestra_memory.transfer.exporting import Selection, export_blocks

CORPUS = Path(__file__).resolve().parents[1] / "data" / "legacy"


def write(folder: Path, files: dict[str, object]) -> Path:
    """Files by their names: text and bytes as they are, anything else as JSON."""
    for name, value in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(value, bytes):
            path.write_bytes(value)
        else:
            path.write_text(value if isinstance(value, str) else json.dumps(value))
    return folder


def state(agent_id: str, **fields: object) -> dict[str, object]:
    """A complete agent state of an earlier system."""
    return {
        "agent_id": agent_id,
        "agent_type": "scout",
        "session_id": "s",
        "status": "running",
        "created_at": "2025-03-01T09:00:00Z",
        "last_active": "2025-03-01T10:00:00Z",
        **fields,
    }


async def dump(memory: MemoryManager) -> bytes:
    """Everything that is stored, byte for byte."""
    blocks = [block.lines async for block in export_blocks(memory, Selection())]
    return b"".join(blocks)
