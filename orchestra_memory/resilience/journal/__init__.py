"""Writes that their store cannot take now, kept on the disk in order, until they are replayed."""

from .bounds import Bounds as Bounds
from .entries import DocumentKey as DocumentKey
from .entries import Draft as Draft
from .entries import Entry as Entry
from .events import Damaged as Damaged
from .events import Died as Died
from .events import Event as Event
from .events import FillingUp as FillingUp
from .events import Hook as Hook
from .journal import Journal as Journal
from .journal import entries_in as entries_in
from .journal import journals as journals
from .journal import orphans as orphans
from .medium import Medium as Medium
from .status import Adoption as Adoption
from .status import JournalFile as JournalFile
from .status import JournalStatus as JournalStatus
from .volatile import VolatileJournal as VolatileJournal
