"""Whether this machine's clock agrees with others."""

from __future__ import annotations

from typing import Final

from ..findings import Finding, fail, ok, warn

WHAT: Final = "clock"
TOLERATED: Final = 1.0
"""Seconds that nobody notices: by so much, records expire early or late here."""
REFUSED: Final = 60.0
"""Seconds beyond which Google is about to refuse what this machine signs."""
REMEDY: Final = (
    "have the system keep time (chrony or systemd-timesyncd; on its host, of a container)"
)


def clock_finding(whose: str, theirs: float, before: float, after: float) -> Finding:
    """What an answer with another clock's time tells, all times in seconds since 1970.

    Of the difference, only what the round trip does not explain counts.
    """
    skew = theirs - (before + after) / 2
    certain = max(0.0, abs(skew) - max(0.0, after - before) / 2)
    if certain <= TOLERATED:
        return ok(WHAT, f"within {max(certain, 0.1):.1f} s of {whose}")
    direction = "behind" if skew > 0 else "ahead of"
    detail = f"{certain:,.1f} s {direction} {whose}"
    if certain <= REFUSED:
        return warn(WHAT, f"{detail}: what expires does so early or late here", REMEDY)
    return fail(WHAT, f"{detail}: what expires is misjudged, and tokens may be refused", REMEDY)
