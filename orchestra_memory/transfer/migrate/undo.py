"""Taking back a migration: what its report says it created, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from anyio import to_thread

from ...errors import Conflict
from ...operations import Delete, Options, Ref, Stored
from ...protocol import MemoryManager
from ...record import Record
from ..jsonl import named
from ..legacy.found import digest_of
from .ledger import Created, Header, created_in, header_of
from .result import SHOWN
from .stored import PATIENCE

_TRIES: Final = 10


@dataclass(slots=True)
class Undone:
    """What an undo came to, in records.

    ``gone`` were deleted before; ``changed`` are not as the migration made them, and stay. Of these
    ``kept`` names the first, as type and id.
    """

    deleted: int = 0
    gone: int = 0
    changed: int = 0
    kept: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])


def _ignore(_undone: Undone) -> None:
    pass


async def undo(
    report: str | Path,
    memory: MemoryManager,
    *,
    dry_run: bool = False,
    on_batch: Callable[[Undone], None] = _ignore,
) -> Undone:
    """Delete the records a migration created, in the namespace of its report.

    What somebody has changed since stays, and is counted. Safe to repeat after an interruption.
    Raises ``UnreadableFile`` for what is no report.
    """
    path = Path(report)
    header: Header = await to_thread.run_sync(header_of, path)
    view = memory.with_options(namespace=header.namespace)
    undone = Undone()
    commits = created_in(path)
    while commit := await to_thread.run_sync(next, commits, None):
        await _undo_commit(view, commit, undone, dry_run=dry_run)
        on_batch(undone)
    return undone


async def _undo_commit(
    memory: MemoryManager, commit: Sequence[Created], undone: Undone, *, dry_run: bool
) -> None:
    models = named()
    refs: list[Ref[Record]] = [Ref(models[one.type], one.key) for one in commit]
    for _ in range(_TRIES):
        options = Options(cache="bypass", timeout=PATIENCE)
        held = (await memory.read(refs, options=options)).items
        ours = await to_thread.run_sync(_ours, commit, held)
        ops = [
            Delete(ref, expect=stored.revision)
            for ref, stored, own in zip(refs, held, ours, strict=True)
            if stored is not None and own
        ]
        try:
            if ops and not dry_run:
                await memory.write(ops, options=Options(timeout=PATIENCE))
        except Conflict:
            # Somebody changed one of them in between: it stays.
            continue
        _count(undone, commit, held, ours)
        return
    raise Conflict("others kept writing the same records; undo again when they rest")


def _ours(commit: Sequence[Created], held: Sequence[Stored[Record] | None]) -> list[bool]:
    """Which of what is stored is as the migration made it."""
    return [
        stored is not None and digest_of(stored.record) == one.digest
        for one, stored in zip(commit, held, strict=True)
    ]


def _count(
    undone: Undone,
    commit: Sequence[Created],
    held: Sequence[Stored[Record] | None],
    ours: Sequence[bool],
) -> None:
    for one, stored, own in zip(commit, held, ours, strict=True):
        if stored is None:
            undone.gone += 1
        elif own:
            undone.deleted += 1
        else:
            undone.changed += 1
            undone.kept += [(one.type, one.key)] if len(undone.kept) < SHOWN else []
