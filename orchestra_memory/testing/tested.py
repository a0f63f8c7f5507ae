"""The closing table of a test run: which backends it truly used, and how to enable the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Tally: TypeAlias = Mapping[str, Counter[str]]
"""Outcomes (passed, failed, error, skipped) and their number, by backend."""


@dataclass(frozen=True)
class Backend:
    """A line of the table."""

    name: str
    label: str
    enable: str


BACKENDS = (
    Backend("local", "local", "always on"),
    Backend("sqlite", "sqlite", "always on"),
    Backend(
        "firestore",
        "firestore emulator",
        "Docker; or Java and gcloud's emulator; or FIRESTORE_EMULATOR_HOST",
    ),
    Backend("redis", "redis", "Docker; or redis-server; or REDIS_URL"),
    Backend("live", "live firestore", "nox -s live, with GCP_PROJECT_ID and a credential"),
)
HEADER = ("backend", "tested", "how to enable")
OUTCOMES = ("failed", "error", "passed", "skipped")


def tally(uses: Iterable[tuple[str, str]]) -> Tally:
    """Count pairs of backend and outcome."""
    counts: dict[str, Counter[str]] = {}
    for backend, outcome in uses:
        counts.setdefault(backend, Counter())[outcome] += 1
    return counts


def verdict(outcomes: Mapping[str, int], origin: str = "") -> str:
    """What a run says of one backend: tested only where a test ran to its end."""
    counted = [f"{outcomes[outcome]} {outcome}" for outcome in OUTCOMES if outcomes.get(outcome)]
    if not counted:
        return "no: not in this run"
    ran = any(outcomes.get(outcome) for outcome in ("passed", "failed"))
    source = f" ({origin})" if ran and origin else ""
    return f"{'yes' if ran else 'no'}: {', '.join(counted)}{source}"


def table(counts: Tally, origins: Mapping[str, str]) -> list[str]:
    """The lines of the table: what this library knows, then what else the tests named."""
    known = {backend.name for backend in BACKENDS}
    others = [Backend(name, name, "") for name in sorted(counts) if name not in known]
    rows = [
        (each.label, verdict(counts.get(each.name, {}), origins.get(each.name, "")), each.enable)
        for each in (*BACKENDS, *others)
    ]
    return _aligned([HEADER, *rows])


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [" | ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
