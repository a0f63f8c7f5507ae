"""What the cache is going to keep of a record that is put, made before it is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final

from ...codec.document import Document, encode, free_fields
from ...operations import Put
from ...record import Record
from ...values import copied, same
from .entries import Text, text_of
from .scopes import Scope, sort_text

MEANWHILE: Final = 20
"""Puts that are prepared while Redis places their fences; with more it would answer first."""


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
        """Whether it is what the record is now: free JSON can be changed by whoever holds it."""
        document, values = self.document, record.__dict__
        return all(same(document[name], values[name]) for name in free_fields(type(record)))
