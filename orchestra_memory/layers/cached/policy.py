"""What is kept of a record type, how much, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import random
from typing import Any, Final

from ...errors import ConfigurationError
from ...record import Record

TTL_JITTER: Final = 0.1
"""Entries made together must not end together: each lives up to this share shorter or longer."""


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """How the cache treats one record type.

    ``ttl`` is how many seconds an entry lives, ``None`` (default) as long as the layer says;
    ``absent_ttl`` (30) how long it is known that there is no such record. ``records`` and
    ``windows`` (both on) say whether records by id, and lists, counts and sums of a scope, are
    kept. A record beyond ``max_bytes`` (256 KiB) is not; of a scope the first ``window`` records
    (200) are.

    Raises ``ConfigurationError`` for what is out of range.
    """

    ttl: float | None = None
    absent_ttl: float = 30.0
    records: bool = True
    windows: bool = True
    max_bytes: int = 262_144
    window: int = 200

    def __post_init__(self) -> None:
        if self.ttl is not None:
            _check_above_zero("ttl", self.ttl)
        _check_above_zero("absent_ttl", self.absent_ttl)
        for name, value in (("max_bytes", self.max_bytes), ("window", self.window)):
            if type(value) is not int or value < 1:
                raise ConfigurationError(
                    f"CachePolicy.{name} must be a whole number from 1 (got {type(value).__name__})"
                )


class Policies:
    """The policy of each record type; those that are not named have the default one.

    ``ttl`` is how many seconds an entry lives where its policy leaves that to the layer.
    """

    def __init__(
        self, ttl: float, policies: Mapping[type[Record], CachePolicy] | None = None
    ) -> None:
        _check_above_zero("ttl", ttl)
        self._ttl = ttl
        self._default = CachePolicy()
        self._policies: dict[type[Any], CachePolicy] = {**(policies or {})}
        self.passed_over: frozenset[type[Any]] = frozenset(
            model for model, policy in self._policies.items() if not policy.records
        )
        """The types whose records are not kept by id."""

    def of(self, model: type[Any]) -> CachePolicy:
        return self._policies.get(model, self._default)

    def ttl(self, model: type[Any]) -> int:
        """Milliseconds for one entry with something of this type; another each time."""
        ttl = self.of(model).ttl
        return jittered(self._ttl if ttl is None else ttl, random())

    def absent_ttl(self, model: type[Any]) -> int:
        """The same for an entry that says that there is no such record."""
        return jittered(self.of(model).absent_ttl, random())


def jittered(ttl: float, chance: float) -> int:
    """`ttl` seconds in milliseconds, fewer or more by up to `TTL_JITTER`; `chance` is 0 to 1."""
    return max(1, round(ttl * 1000 * (1 + TTL_JITTER * (2 * chance - 1))))


def _check_above_zero(name: str, value: object) -> None:
    """Refuse what is no number of seconds that end."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2**31:
        raise ConfigurationError(
            f"{name} of the cache must be a number of seconds above 0 (got {type(value).__name__})"
        )
