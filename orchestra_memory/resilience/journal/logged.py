"""What a journal tells, as lines of a log."""

from __future__ import annotations

import logging
from typing import Final

from .events import Damaged, Died, Event, FillingUp

log: Final = logging.getLogger("orchestra_memory.journal")


def log_event(event: Event) -> None:
    """One line for each event; a hook for `Journal.open`."""
    match event:
        case FillingUp(share, entries, size):
            log.warning(
                "the journal is %.0f %% full: %s writes, %s bytes",
                share * 100,
                f"{entries:,}",
                f"{size:,}",
            )
        case Damaged(number):
            log.error("write %d in the journal is damaged, and is passed over", number)
        case Died(reason):
            log.error(
                "the journal cannot be written any more, writes of an outage are refused (%s)",
                reason,
            )
