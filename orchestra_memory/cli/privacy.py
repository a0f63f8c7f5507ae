"""``orchestra-memory privacy``: one user's records, written out or erased."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import typer

from ..domain.privacy import ErasureReceipt
from ..layers.fallback.kept import of_entry
from ..layers.fallback.queue import known_models
from ..plan import journal_directory
from ..stack import Memory, open_memory
from ..transfer.parts import part_of
from ..urls import LocalUrl
from .codes import Code
from .consent import consent
from .held import held_in
from .imports import import_all
from .opening import INVALIDATE, opened, plan_of, refuse_silence, settings_of
from .output import emit, note, plain, show_facts
from .private_file import write_lines
from .verb import Target


@dataclass(frozen=True, slots=True)
class Where:
    """Where to look beside the target's namespace, and modules that declare record types."""

    also: tuple[str, ...]
    imports: tuple[str, ...]

    def namespaces(self, target: Target) -> tuple[str | None, ...]:
        bound = plan_of(target, settings_of(target)).store.namespace
        if self.also and bound is not None:
            raise typer.BadParameter("--in and a namespace contradict each other; drop one")
        return (None, *self.also)


@dataclass(frozen=True, slots=True)
class Erase:
    """What the options of an erasure say."""

    where: Where
    receipt: Path | None
    yes: bool
    confirm: str | None
    no_cache: bool


def export(target: Target, user: str, file: Path, where: Where, resume: bool) -> None:
    import_all(where.imports)
    namespaces = where.namespaces(target)

    async def write() -> int:
        async with opened(target) as memory:
            return await memory.privacy.export(user, file, namespaces=namespaces, resume=resume)

    try:
        number = anyio.run(write)
    except BaseException:
        if part_of(file).exists():
            again = ["orchestra-memory", *sys.argv[1:], *([] if resume else ["--resume"])]
            note(f"stopped early; go on with: {shlex.join(again)}")
        raise
    if target.as_json:
        emit({"records": number, "file": str(file)})
    else:
        print(f"exported {number:,} records of user {user} to {file}")
    waiting = anyio.run(_waiting, target, user)
    if waiting:
        note(f"{waiting:,} writes for this user wait in journals and are not in it yet")


def erase(target: Target, user: str, choices: Erase) -> None:
    import_all(choices.where.imports)
    namespaces = choices.where.namespaces(target)
    if not choices.yes:
        _preview(target, user, namespaces)
    consent(target, f"erase all of user {user}", yes=choices.yes, confirm=choices.confirm)

    async def run() -> ErasureReceipt:
        async with _opened_to_erase(target, no_cache=choices.no_cache) as memory:
            return await memory.privacy.erase(user, namespaces=namespaces)

    receipt = anyio.run(run)
    facts = _facts(receipt)
    if choices.receipt is not None:
        write_lines(choices.receipt, [json.dumps(plain(facts)).encode() + b"\n"])
    _report(target, user, receipt, facts)
    waiting = anyio.run(_waiting, target, user)
    sys.stdout.flush()
    if waiting:
        note(
            f"{waiting:,} entries of this user are in journals that living processes have open: "
            "they will not be written, but lie there until these processes replay or end; erase "
            "again then"
        )
        raise typer.Exit(Code.PROBLEMS)


def _preview(target: Target, user: str, namespaces: tuple[str | None, ...]) -> None:
    async def count() -> Mapping[str, int]:
        async with opened(target) as memory:
            return await memory.privacy.count(user, namespaces=namespaces)

    found = anyio.run(count)
    if target.as_json:
        emit({"would_erase": dict(found)})
    else:
        show_facts(found or {"nothing is stored of user": user})


@asynccontextmanager
async def _opened_to_erase(target: Target, *, no_cache: bool) -> AsyncIterator[Memory]:
    """The memory with its fallback, so that what dead processes left is taken over, too."""
    settings = settings_of(target)
    plan = plan_of(target, settings, no_cache=no_cache)
    refuse_silence(plan, settings, no_cache=no_cache)
    if plan.cache is not None:
        settings = settings.model_copy(update={"cache_mode": "strict"})
    directory = journal_directory(settings)
    has_journals = directory.is_dir() and not isinstance(plan.store, LocalUrl)
    async with open_memory(
        target.url,
        cache="none" if no_cache else None,
        journal=directory if has_journals else None,
        settings=settings,
    ) as memory:
        yield memory
    if no_cache:
        note("if others read through a cache, run where it is configured: " + INVALIDATE)


async def _waiting(target: Target, user: str) -> int:
    """How many entries of the user journals hold; they may be of any store."""
    directory = journal_directory(settings_of(target))
    if not directory.is_dir():
        return 0
    held, _ = await held_in(directory)
    models = known_models()
    return sum(user in of_entry(each.entry, models).users for each in held)


def _facts(receipt: ErasureReceipt) -> dict[str, object]:
    return {
        "subject": receipt.subject,
        "namespaces": [
            {
                "namespace": each.namespace,
                "records": dict(each.records),
                "forgotten": dict(each.forgotten),
                "started_at": each.started_at,
                "finished_at": each.finished_at,
            }
            for each in receipt.namespaces
        ],
        "records": receipt.records,
        "billed": {
            "reads": receipt.billed.reads,
            "writes": receipt.billed.writes,
            "deletes": receipt.billed.deletes,
        },
    }


def _report(target: Target, user: str, receipt: ErasureReceipt, facts: object) -> None:
    if target.as_json:
        emit(facts)
        return
    print(f"erased {receipt.records:,} records of user {user}; a search finds none any more")
    for each in receipt.namespaces:
        where = "" if each.namespace is None else f"{each.namespace}/"
        counts = {f"{where}{name}": count for name, count in each.records.items()}
        counts |= {f"{where}{name} (forgotten)": n for name, n in each.forgotten.items() if n}
        if counts:
            show_facts(counts)
