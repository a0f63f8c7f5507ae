"""Taking a map of an earlier system apart, field by field."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, TypeVar

from ..entries import as_list, as_map
from .times import moment_of

T = TypeVar("T")

_LISTED: Final = 20
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Fields:
    """The fields of a map. Each is taken once, by any of its names; notes say what was odd.

    Names are told apart by neither case nor style: ``agentId`` is ``agent_id``. A value of a type
    that does not fit is not taken, so that it is among :meth:`rest`.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._left: dict[str, Any] = dict(values)
        self._spelled: dict[str, str] = {}
        for name in values:
            self._spelled.setdefault(_snake(name), name)
        self._naive: list[str] = []
        self._notes: list[str] = []

    def take(self, read: Callable[[Any], T | None], *names: str) -> T | None:
        """What `read` makes of the first field with one of these names that fits."""
        value = self.take_if(read, *names)
        if value is None:
            for name in filter(self._spelled.__contains__, names):
                if (left := self._left.get(self._spelled[name])) is not None:
                    self.note(f"{name} is {type(left).__name__} and does not fit")
        return value

    def take_if(self, read: Callable[[Any], T | None], *names: str) -> T | None:
        """The same of fields that may well be something else."""
        for name in names:
            spelled = self._spelled.get(name)
            if spelled is None or (held := self._left.get(spelled)) is None:
                continue
            if (value := read(held)) is not None:
                del self._left[spelled]
                return value
        return None

    def note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)

    def put(self, name: str, value: object) -> None:
        """Have `value` be among what is left, under this name."""
        self._left[name] = value
        self._spelled[name] = name

    def time(self, *names: str) -> datetime | None:
        def read(value: object) -> datetime | None:
            moment = moment_of(value)
            if moment is not None and moment.naive:
                self._naive.append(names[0])
            return None if moment is None else moment.value

        return self.take(read, *names)

    def text(self, *names: str) -> str | None:
        return self.take(_text, *names)

    def text_if(self, *names: str) -> str | None:
        """The first of these that is a text."""
        return self.take_if(_text, *names)

    def flag(self, *names: str) -> bool | None:
        return self.take(_flag, *names)

    def flag_if(self, *names: str) -> bool | None:
        """The first of these that is true or false."""
        return self.take_if(_flag, *names)

    def number(self, *names: str) -> float | None:
        return self.take(_number, *names)

    def whole(self, *names: str) -> int | None:
        return self.take(lambda value: value if type(value) is int else None, *names)

    def map(self, *names: str) -> dict[str, Any] | None:
        return self.take(as_map, *names)

    def map_if(self, *names: str) -> dict[str, Any] | None:
        """The first of these that is a map."""
        return self.take_if(as_map, *names)

    def maps(self, *names: str, called: str) -> list[dict[str, Any]] | None:
        """A list of maps; what is none is put into one, under the name it is `called` by."""
        items = self.take(as_list, *names)
        if items is None:
            return None
        return [found if (found := as_map(item)) is not None else {called: item} for item in items]

    def texts(self, *names: str) -> list[str] | None:
        return self.take(_texts, *names)

    def counts(self, *names: str) -> dict[str, int] | None:
        return self.take(_counts, *names)

    def rest(self) -> dict[str, Any]:
        """What nobody took, taken now. ``None`` tells as little as an absent field."""
        left, self._left = self._left, {}
        return {name: value for name, value in left.items() if value is not None}

    def kept_in(self, place: str, free: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """The free map `place` of a record, with all that is left in it."""
        left = self.rest()
        if not left:
            return None if free is None else dict(free)
        self.note(f"kept in {place}: {listed(left)}")
        return with_rest(free or {}, left)

    @property
    def warnings(self) -> list[str]:
        if not self._naive:
            return list(self._notes)
        names = ", ".join(sorted(set(self._naive)))
        return [*self._notes, f"without a zone, read as UTC: {names}"]


def with_rest(free: Mapping[str, Any], left: Mapping[str, Any]) -> dict[str, Any]:
    """Both; what would hide a field of `free` gets ``legacy_`` in front."""
    whole = dict(free)
    for name, value in left.items():
        place = name
        while place in whole:
            place = f"legacy_{place}"
        whole[place] = value
    return whole


def listed(names: Iterable[str]) -> str:
    """Names in words, not too many of them."""
    ordered = sorted(names)
    more = len(ordered) - _LISTED
    return ", ".join(ordered[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def snaked(values: Mapping[str, Any]) -> set[str]:
    """The names of fields, in one style."""
    return {_snake(name) for name in values}


@lru_cache(maxsize=1_024)
def _snake(name: str) -> str:
    return _HUMP.sub("_", name.strip()).replace("-", "_").replace(" ", "_").lower()


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _texts(value: object) -> list[str] | None:
    if isinstance(value, str):
        return [value]
    if (fields := as_map(value)) is not None:
        # Tools as {"search": true, "browse": false}, children as {"id": {...}}.
        return [name for name, item in fields.items() if item is not False]
    named = [_name_of(item) for item in as_list(value) or ()]
    texts = [text for text in named if text is not None]
    return texts if as_list(value) is not None and len(texts) == len(named) else None


def _name_of(item: object) -> str | None:
    fields = as_map(item)
    if fields is None:
        return _text(item)
    named = (_text(fields.get(name)) for name in ("agent_id", "id", "name"))
    return next(filter(None, named), None) if len(fields) == 1 else None


def _counts(value: object) -> dict[str, int] | None:
    fields = as_map(value)
    if fields is None or not all(type(item) is int for item in fields.values()):
        return None
    return dict(fields)
