"""Memory for agents: one async protocol over Firestore, SQLite and the process itself.

Names are imported on first use, so that importing the package costs next to nothing and pulls in
no database driver.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .backends.firestore.memory import FirestoreMemory as FirestoreMemory
    from .backends.local import LocalMemory as LocalMemory
    from .backends.sqlite.memory import SqliteMemory as SqliteMemory
    from .costs import Cost as Cost
    from .costs import Prices as Prices
    from .errors import BreakerOpen as BreakerOpen
    from .errors import CacheUnavailable as CacheUnavailable
    from .errors import ConfigurationError as ConfigurationError
    from .errors import Conflict as Conflict
    from .errors import CorruptRecord as CorruptRecord
    from .errors import DeadlineExceeded as DeadlineExceeded
    from .errors import DurabilityUnavailable as DurabilityUnavailable
    from .errors import EmergencyStopped as EmergencyStopped
    from .errors import IndexMissing as IndexMissing
    from .errors import InvalidBatch as InvalidBatch
    from .errors import InvalidQuery as InvalidQuery
    from .errors import InvalidRecord as InvalidRecord
    from .errors import JournalFull as JournalFull
    from .errors import OrchestraMemoryError as OrchestraMemoryError
    from .errors import Overloaded as Overloaded
    from .errors import PartialWrite as PartialWrite
    from .errors import PermissionDenied as PermissionDenied
    from .errors import SchemaTooNew as SchemaTooNew
    from .errors import StorageError as StorageError
    from .errors import Unauthenticated as Unauthenticated
    from .errors import Unavailable as Unavailable
    from .health import Health as Health
    from .health import Status as Status
    from .layers.cached import CachedMemory as CachedMemory
    from .layers.cached import CachePolicy as CachePolicy
    from .layers.fallback.conflicts import ConflictPolicy as ConflictPolicy
    from .layers.fallback.memory import FallbackMemory as FallbackMemory
    from .layers.fallback.standby import Standby as Standby
    from .layers.guarded import GuardedMemory as GuardedMemory
    from .layers.metered import MeteredMemory as MeteredMemory
    from .models import AgentData as AgentData
    from .models import AgentMemory as AgentMemory
    from .models import AgentState as AgentState
    from .models import AgentStatus as AgentStatus
    from .models import CoordinationEvent as CoordinationEvent
    from .models import CoordinationEventType as CoordinationEventType
    from .models import MemoryItem as MemoryItem
    from .models import MemoryRecord as MemoryRecord
    from .models import SystemState as SystemState
    from .models import TaskStatus as TaskStatus
    from .models import UserSession as UserSession
    from .operations import ABSENT as ABSENT
    from .operations import PRESENT as PRESENT
    from .operations import Average as Average
    from .operations import Billed as Billed
    from .operations import Count as Count
    from .operations import Delete as Delete
    from .operations import Durability as Durability
    from .operations import Options as Options
    from .operations import Page as Page
    from .operations import Patch as Patch
    from .operations import Put as Put
    from .operations import Receipt as Receipt
    from .operations import Ref as Ref
    from .operations import Snapshot as Snapshot
    from .operations import Source as Source
    from .operations import Stored as Stored
    from .operations import Sum as Sum
    from .operations import Totals as Totals
    from .protocol import MemoryManager as MemoryManager
    from .queries import Query as Query
    from .queries import recent as recent
    from .record import Record as Record
    from .resilience.breaker import Breaker as Breaker
    from .resilience.breaker import BreakerSettings as BreakerSettings
    from .resilience.fallback import Degraded as Degraded
    from .resilience.fallback import Fallback as Fallback
    from .resilience.fallback import fallback as fallback
    from .resilience.journal import Journal as Journal
    from .settings import Settings as Settings
    from .stack import Memory as Memory
    from .stack import open_memory as open_memory
    from .values import Embedding as Embedding
    from .values import JsonLike as JsonLike
    from .values import JsonMap as JsonMap
    from .values import UtcDatetime as UtcDatetime

__version__ = "0.1.0"

_HOMES = {
    ".backends.firestore.memory": ("FirestoreMemory",),
    ".backends.local": ("LocalMemory",),
    ".backends.sqlite.memory": ("SqliteMemory",),
    ".costs": ("Cost", "Prices"),
    ".errors": (
        "BreakerOpen",
        "CacheUnavailable",
        "ConfigurationError",
        "Conflict",
        "CorruptRecord",
        "DeadlineExceeded",
        "DurabilityUnavailable",
        "EmergencyStopped",
        "IndexMissing",
        "InvalidBatch",
        "InvalidQuery",
        "InvalidRecord",
        "JournalFull",
        "OrchestraMemoryError",
        "Overloaded",
        "PartialWrite",
        "PermissionDenied",
        "SchemaTooNew",
        "StorageError",
        "Unauthenticated",
        "Unavailable",
    ),
    ".health": ("Health", "Status"),
    ".layers.cached": ("CachePolicy", "CachedMemory"),
    ".layers.fallback.conflicts": ("ConflictPolicy",),
    ".layers.fallback.memory": ("FallbackMemory",),
    ".layers.fallback.standby": ("Standby",),
    ".layers.guarded": ("GuardedMemory",),
    ".layers.metered": ("MeteredMemory",),
    ".models": (
        "AgentData",
        "AgentMemory",
        "AgentState",
        "AgentStatus",
        "CoordinationEvent",
        "CoordinationEventType",
        "MemoryItem",
        "MemoryRecord",
        "SystemState",
        "TaskStatus",
        "UserSession",
    ),
    ".operations": (
        "ABSENT",
        "PRESENT",
        "Average",
        "Billed",
        "Count",
        "Delete",
        "Durability",
        "Options",
        "Page",
        "Patch",
        "Put",
        "Receipt",
        "Ref",
        "Snapshot",
        "Source",
        "Stored",
        "Sum",
        "Totals",
    ),
    ".protocol": ("MemoryManager",),
    ".queries": ("Query", "recent"),
    ".record": ("Record",),
    ".resilience.breaker": ("Breaker", "BreakerSettings"),
    ".resilience.fallback": ("Degraded", "Fallback", "fallback"),
    ".resilience.journal": ("Journal",),
    ".settings": ("Settings",),
    ".stack": ("Memory", "open_memory"),
    ".values": ("Embedding", "JsonLike", "JsonMap", "UtcDatetime"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
