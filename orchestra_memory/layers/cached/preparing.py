"""What the cache is going to keep of a record that is put, made before it is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final

from ...codec.document import Document, encode, free_fields
from ...operations import Put
from ...record import Record
from ...values import Vector, copied, same
from .entries import Text, text_of
from .scopes import Scope, sort_text

MEANWHILE: Final = 20
"""Operations of one commit that are prepared while Redis places their fences: with more, its answer
would wait for us."""


class PreparedPut:
    """A put, but for the revision it will get; `document` is what it stores, as it is now.

    Raises ``InvalidRecord`` for what no store can hold.
    """

    def __init__(self, put: Put, scopes: Sequence[Scope]) -> None:
        self.document: Document = copied(encode(put.record))
        self._ref = put.ref
        self._scopes = scopes

    @cached_property
    def text(self) -> Text | None:
        """``None`` if it is not to be kept."""
        return text_of(self._ref, self.document)

    @cached_property
    def sorts(self) -> Mapping[Scope, bytes]:
        """Its sort texts in the windows of its scopes."""
        return {scope: sort_text(scope, self.document) for scope in self._scopes}

    def is_still(self, record: Record) -> bool:
        """Whether it surely is what the record is now: maps and lists may have been changed."""
        free, values = free_fields(type(record)), record.__dict__
        for name, value in self.document.items():
            if type(value) is Vector:
                unchanged = value == values.get(name)
            elif isinstance(value, dict | list):
                # Only of free JSON is what is stored also what the record holds.
                unchanged = name in free and same(value, values[name])
            else:
                continue
            if not unchanged:
                return False
        return True
