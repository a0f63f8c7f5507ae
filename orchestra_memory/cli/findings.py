"""What a doctor finds, one thing at a time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, what was seen, and what to do about it if anything."""

    grade: Grade
    what: str
    detail: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        """A plain form for JSON."""
        return {
            "grade": self.grade.value,
            "what": self.what,
            "detail": self.detail,
            "remedy": self.remedy,
        }


def ok(what: str, detail: str) -> Finding:
    return Finding(Grade.OK, what, detail)


def warn(what: str, detail: str, remedy: str) -> Finding:
    return Finding(Grade.WARN, what, detail, remedy)


def fail(what: str, detail: str, remedy: str = "") -> Finding:
    return Finding(Grade.FAIL, what, detail, remedy)
