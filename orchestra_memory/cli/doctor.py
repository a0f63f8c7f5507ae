"""``orchestra-memory doctor``: looks at everything once, and says how to mend it."""

from __future__ import annotations

import platform
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Final

import anyio
import typer

from .. import __version__
from ..domain.indexes import undeclared
from ..domain.issued import issued
from ..errors import ConfigurationError, OrchestraMemoryError
from ..health import Health, Status
from ..models import MemoryRecord, random_id
from ..operations import ABSENT, Options
from ..plan import Plan
from ..protocol import MemoryManager
from ..settings import Settings
from ..stack import open_memory
from ..urls import FirestoreUrl
from .codes import Code
from .credentials import credential_findings
from .findings import Finding, Grade, fail, ok, warn
from .opening import plan_of, settings_of
from .output import clean, console, emit, is_terminal
from .verb import Target

PATIENCE: Final = 20.0
"""Seconds for the store to be opened, probed and closed."""
_STYLES: Final = {Grade.OK: "green", Grade.WARN: "yellow", Grade.FAIL: "bold red"}


def run(target: Target) -> None:
    findings: list[Finding] = []
    for finding in _examine(target):
        findings.append(finding)
        if not target.as_json:
            _show(finding)
    worst = [grade for grade in Grade if any(found.grade is grade for found in findings)][-1]
    if target.as_json:
        emit({"verdict": worst.value, "findings": [found.as_dict() for found in findings]})
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


def _examine(target: Target) -> Iterator[Finding]:
    yield ok("version", f"orchestra-memory {__version__} on Python {platform.python_version()}")
    try:
        settings = settings_of(target)
        yield ok("settings", _set_by(settings))
        plan = plan_of(target, settings)
    except ConfigurationError as error:
        yield fail("settings", str(error), "orchestra-memory config show lists them all")
        return
    for reason in plan.reasons:
        unused = " unused" in reason.partition(":")[0]
        yield (
            warn("stack", reason, "unset it, or say what it is for")
            if unused
            else ok("stack", reason)
        )
    usable = True
    if isinstance(plan.store, FirestoreUrl):
        credentials = list(credential_findings(settings, emulator=plan.store.emulator))
        yield from credentials
        usable = all(found.grade is not Grade.FAIL for found in credentials)
    if usable:
        yield from anyio.run(_examine_store, target, settings, plan)
    yield _declared()
    yield from _tools(settings)


def _set_by(settings: Settings) -> str:
    given = {name: origin for name, origin in settings.origins().items() if origin != "default"}
    if not given:
        return "all at their defaults"
    return ", ".join(f"{settings.variable(name)} ({origin})" for name, origin in given.items())


async def _examine_store(target: Target, settings: Settings, plan: Plan) -> list[Finding]:
    try:
        with anyio.fail_after(PATIENCE):
            async with open_memory(target.url, settings=settings) as memory:
                found = await memory.health()
                findings = list(_health(found))
                if found.status is Status.DOWN:
                    return findings
                return [*findings, await _probe(memory, plan.store.namespace)]
    except TimeoutError:
        return [fail("store", f"no answer in {PATIENCE:.0f} s", "is the address right?")]
    except OrchestraMemoryError as error:
        return [fail("store", f"{type(error).__name__}: {error}")]


def _health(found: Health) -> Iterator[Finding]:
    latency = "" if found.latency is None else f", {found.latency * 1000:.1f} ms"
    detail = f"{found.status.value}{latency}" + (f" ({found.detail})" if found.detail else "")
    if found.status is Status.OK:
        yield ok(found.component, detail)
    elif found.status is Status.DEGRADED:
        cache = found.component == "cache"
        look = "orchestra-memory cache status" if cache else "see its parts below"
        yield warn(found.component, detail, look)
    else:
        yield fail(found.component, detail, "start it, or correct its address")
    for part in found.parts:
        yield from _health(part)


async def _probe(memory: MemoryManager, bound: str | None) -> Finding:
    """Write, read and delete one record, away from everybody's data."""
    key = f"doctor-{random_id()}"
    view = memory if bound is not None else memory.with_options(namespace=key)
    record = MemoryRecord(record_id=key, context="doctor", content="a probe; safe to delete")
    started = time.perf_counter()
    try:
        await view.put(record, expect=ABSENT)
        same = await view.get(MemoryRecord, key, options=Options(cache="bypass")) == record
    finally:
        with anyio.CancelScope(shield=True):
            await view.delete(MemoryRecord, key)
    elapsed = (time.perf_counter() - started) * 1000
    if not same:
        return fail("probe", "what was written did not come back", "please report this")
    place = f"in namespace {bound}" if bound else "in a namespace of its own"
    return ok("probe", f"written, read and deleted {place} in {elapsed:.0f} ms")


def _declared() -> Finding:
    missing = undeclared(issued())
    if missing:
        named = "; ".join(f"{need.model.__name__} ({', '.join(need.index)})" for need in missing)
        return fail("indexes", f"not declared: {named}", "declare them on the record types")
    return ok("indexes", "every query of the services has its index declared")


def _tools(settings: Settings) -> Iterable[Finding]:
    from ..testing.emulator import is_ready
    from ..testing.service import Address

    host = settings.firestore_emulator_host
    if host is not None:
        try:
            answers = is_ready(Address.parse(host))
        except ValueError:
            answers = False
        yield (
            ok("emulator", f"{host} answers")
            if answers
            else fail("emulator", f"{host} does not answer", "orchestra-memory emulator start")
        )
    remedies = {
        "java": "install Java 17 or newer; only the emulator needs it",
        "gcloud": "install the Google Cloud CLI; only the emulator and deployments need it",
    }
    for tool, remedy in remedies.items():
        path = shutil.which(tool)
        yield ok(tool, path) if path else warn(tool, "not on the PATH", remedy)
