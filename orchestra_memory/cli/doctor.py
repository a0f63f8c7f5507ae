"""``orchestra-memory doctor``: looks at everything once, and says how to mend it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from typing import Final, TypeAlias

import anyio
import anyio.to_thread
import typer

from ..errors import ConfigurationError, OrchestraMemoryError
from ..opening import cache_name
from ..plan import Plan
from ..settings import Settings
from ..stack import open_memory
from ..urls import FirestoreUrl, SqliteUrl
from .checks.cache import cache_findings
from .checks.credentials import credential_findings
from .checks.expiry import expiry_findings
from .checks.journal import journal_findings
from .checks.schemas import schema_findings
from .checks.setup import index_finding, settings_finding, stack_findings, version_finding
from .checks.store import STORE, store_findings
from .checks.tools import tool_findings
from .codes import Code
from .findings import Finding, Grade, fail, warn
from .opening import plan_of, settings_of
from .output import clean, console, emit, is_terminal
from .verb import Target

Tell: TypeAlias = Callable[[Finding], None]

PATIENCE: Final = 20.0
"""Seconds for one thing to be found."""
FIRST_CALL: Final = 10.0
"""Seconds for a call of the store at least: who is slow is told from who hangs."""
_STYLES: Final = {Grade.OK: "green", Grade.WARN: "yellow", Grade.FAIL: "bold red"}


def run(target: Target) -> None:
    findings: list[Finding] = []

    def tell(finding: Finding) -> None:
        findings.append(finding)
        if not target.as_json:
            _show(finding)

    anyio.run(_examine, target, tell)
    counts = Counter(found.grade for found in findings)
    worst = [grade for grade in Grade if counts[grade]][-1]
    if target.as_json:
        emit({"verdict": worst.value, "findings": [found.as_dict() for found in findings]})
    else:
        print(f"{counts[Grade.FAIL]} to mend, {counts[Grade.WARN]} to look at, the rest is well")
    sys.stdout.flush()
    raise typer.Exit(Code.FAILURE if worst is Grade.FAIL else Code.OK)


def _show(finding: Finding) -> None:
    remedy = f"-> {clean(finding.remedy)}" if finding.remedy else ""
    detail = clean(finding.detail)
    if is_terminal():
        _show_row(finding, "\n".join(filter(None, [detail, remedy])))
    else:
        lines = [
            f"{finding.grade.value:<4}  {finding.what}: {detail}",
            remedy and f"      {remedy}",
        ]
        print(*filter(None, lines), sep="\n", flush=True)


def _show_row(finding: Finding, text: str) -> None:
    from rich.table import Table
    from rich.text import Text

    row = Table.grid(padding=(0, 2))
    row.add_column(width=4, style=_STYLES[finding.grade])
    row.add_column(width=11)
    row.add_column(overflow="fold")
    row.add_row(finding.grade.value, finding.what, Text(text))
    console().print(row)


async def _examine(target: Target, tell: Tell) -> None:
    tell(version_finding())
    try:
        settings = settings_of(target)
        tell(settings_finding(settings))
        plan = plan_of(target, settings)
    except ConfigurationError as error:
        tell(fail("settings", str(error), "orchestra-memory config show lists them all"))
        return
    for finding in stack_findings(plan):
        tell(finding)
    if await _has_credentials(plan, settings, tell):
        await _told(STORE, _store(target, settings, plan), tell)
        if isinstance(plan.store, FirestoreUrl):
            await _told("expiry", expiry_findings(plan.store, settings), tell)
    await _told("redis", _cache(plan, settings), tell)
    await _told("journal", _journal(plan, settings), tell)
    tell(index_finding())
    for finding in await anyio.to_thread.run_sync(lambda: list(tool_findings(settings))):
        tell(finding)


async def _has_credentials(plan: Plan, settings: Settings, tell: Tell) -> bool:
    """Whether it is worth going to the store."""
    if not isinstance(plan.store, FirestoreUrl):
        return True
    look = partial(credential_findings, settings, emulator=plan.store.emulator)
    found = await anyio.to_thread.run_sync(lambda: list(look()))
    for finding in found:
        tell(finding)
    return all(finding.grade is not Grade.FAIL for finding in found)


async def _told(what: str, findings: AsyncGenerator[Finding], tell: Tell) -> None:
    """Tell what is found until all is, or something fails, or nobody answers."""
    async with aclosing(findings):
        while (finding := await _next(what, findings)) is not None:
            tell(finding)


async def _next(what: str, findings: AsyncGenerator[Finding]) -> Finding | None:
    # After an error a generator is at its end.
    try:
        with anyio.fail_after(PATIENCE):
            return await anext(findings, None)
    except TimeoutError:
        return fail(what, f"no answer in {PATIENCE:.0f} s", "is the address right?")
    except (OrchestraMemoryError, OSError) as error:
        return fail(what, f"{type(error).__name__}: {error}")


async def _store(target: Target, settings: Settings, plan: Plan) -> AsyncGenerator[Finding]:
    if isinstance(plan.store, SqliteUrl) and not await anyio.Path(plan.store.path).exists():
        yield warn(
            STORE,
            f"there was no {plan.store.path} here: an empty one is made",
            "does your program run here? ORCHESTRA_URL or ORCHESTRA_HOME says where its file is",
        )
    # The store alone: the cache is looked at by itself, and what a journal holds is not replayed by
    # who only looks.
    patient = settings.model_copy(update={"timeout": max(settings.timeout, FIRST_CALL)})
    async with open_memory(target.url, cache="none", fallback=False, settings=patient) as memory:
        down = False
        async for finding in store_findings(memory, plan, allowed=settings.timeout):
            down = down or finding.grade is Grade.FAIL
            yield finding
        if not down:
            async for finding in schema_findings(memory):
                yield finding


async def _cache(plan: Plan, settings: Settings) -> AsyncGenerator[Finding]:
    if plan.cache is not None:
        store = await cache_name(plan.store, settings)
        async for finding in cache_findings(plan.cache, store, settings):
            yield finding


async def _journal(plan: Plan, settings: Settings) -> AsyncGenerator[Finding]:
    if plan.journal is not None:
        target = await cache_name(plan.store, settings)
        async for finding in journal_findings(plan.journal, target, settings):
            yield finding
