"""What the cache is going to keep of a record that is put, made before it is stored."""

from __future__ import annotations

from collections.abc import Sequence
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

_CHANGING: Final = frozenset({dict, list, Vector})


class PreparedPut:
    """A put, but for the revision it will get; `document` is what it stores, as it is now.

    Raises ``InvalidRecord`` for what no store can hold.
    """

    def __init__(self, put: Put, scopes: Sequence[Scope]) -> None:
        self.document: Document = encode(put.record)
        self._changing = {
            name: copied(value) for name, value in self.document.items() if type(value) in _CHANGING
        }
        self.document.update(self._changing)
        self._ref = put.ref
        self._text: Text | None = None
        self._sorts = dict.fromkeys(scopes, b"")

    def text(self) -> Text | None:
        """``None`` if it is not to be kept."""
        self._text = self._text or text_of(self._ref, self.document)
        return self._text

    def sort_in(self, scope: Scope) -> bytes:
        """Its sort text in the window of one of its scopes."""
        self._sorts[scope] = self._sorts[scope] or sort_text(scope, self.document)
        return self._sorts[scope]

    def make_all(self) -> None:
        """Make ready all that can be asked for."""
        self.text()
        for scope in self._sorts:
            self.sort_in(scope)

    def is_still(self, record: Record) -> bool:
        """Whether it surely is what the record is now: maps and lists may have been changed."""
        free, values = free_fields(type(record)), record.__dict__
        for name, value in self._changing.items():
            if type(value) is Vector:
                unchanged = value == values.get(name)
            else:
                # Only of free JSON is what is stored also what the record holds.
                unchanged = name in free and same(value, values[name])
            if not unchanged:
                return False
        return True
