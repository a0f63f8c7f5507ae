"""What a migration came to, counted line by line of its report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

SHOWN: Final = 100
"""Problems and warnings that a result holds; a report holds all."""


class Result(StrEnum):
    """What became of a record."""

    MIGRATED = "migrated"
    UNCHANGED = "unchanged"
    KEPT = "kept"
    FAILED = "failed"
    LEFT_OUT = "left out"
    MERGED = "merged"
    VERIFIED = "verified"
    DIFFERS = "differs"
    MISSING = "missing"


_TROUBLE: Final = (Result.FAILED, Result.KEPT, Result.DIFFERS, Result.MISSING)


@dataclass(slots=True)
class Migration:
    """What a migration came to.

    ``records`` are counted by what became of them: ``migrated``, ``unchanged`` (the same was
    there), ``kept`` (the store has another record under the id, which stays), ``failed``,
    ``left out``, ``merged`` (into the state of the system); of a verification ``verified``,
    ``differs`` and ``missing``. ``files``, or collections, are ``read``, ``passed`` (they hold no
    records) or ``unreadable``. ``problems`` and ``warnings`` are the first of each, in words.
    """

    dry_run: bool = False
    report: Path | None = None
    records: Counter[str] = field(default_factory=Counter[str])
    types: Counter[str] = field(default_factory=Counter[str])
    files: Counter[str] = field(default_factory=Counter[str])
    warned: int = 0
    problems: list[str] = field(default_factory=list[str])
    warnings: list[str] = field(default_factory=list[str])

    @property
    def migrated(self) -> int:
        return self.records[Result.MIGRATED]

    @property
    def troubled(self) -> int:
        """Records and files that were left behind, or are not as the source has them."""
        return self.files["unreadable"] + sum(self.records[result] for result in _TROUBLE)

    def as_dict(self) -> dict[str, Any]:
        """A plain form for JSON."""
        return {
            "dry_run": self.dry_run,
            "report": None if self.report is None else str(self.report),
            "records": dict(self.records),
            "types": dict(self.types),
            "files": dict(self.files),
            "warned": self.warned,
            "problems": self.problems,
            "warnings": self.warnings,
        }

    def add(self, line: Mapping[str, Any]) -> None:
        """Count a line of the report; those that tell of no record and no file do not matter."""
        place = ", ".join(filter(None, (line.get("place"), line.get("inside"))))
        if (file := line.get("file")) is not None:
            self.files[file] += 1
            if file == "unreadable":
                _add(self.problems, f"{place}: {line['why']}")
        elif (result := line.get("result")) is not None:
            self._add_record(line, result, place)

    def _add_record(self, line: Mapping[str, Any], result: str, place: str) -> None:
        self.records[result] += 1
        if result in _TROUBLE:
            _add(self.problems, f"{place}: {result}: {line.get('why', line.get('key'))}")
        elif "type" in line and result != Result.MERGED:
            self.types[line["type"]] += 1
        warnings = line.get("warnings", ())
        self.warned += bool(warnings)
        for warning in warnings:
            _add(self.warnings, f"{place}: {warning}")


def _add(texts: list[str], text: str) -> None:
    if len(texts) < SHOWN:
        texts.append(text)
