"""Bringing what earlier systems kept, in JSON files or a database, into a memory."""

from __future__ import annotations

from .files import FolderSource
from .result import Migration, Result
from .run import Legacy, MigrateOptions, migrate, verify
from .schema import SchemaReport, UpgradeOptions, schema_status, upgrade_schema
from .stored import StoreSource
from .undo import Undone, undo

__all__ = [
    "FolderSource",
    "Legacy",
    "MigrateOptions",
    "Migration",
    "Result",
    "SchemaReport",
    "StoreSource",
    "Undone",
    "UpgradeOptions",
    "migrate",
    "schema_status",
    "undo",
    "upgrade_schema",
    "verify",
]
