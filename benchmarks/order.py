"""In which order the ways have their turns, round by round: nobody is always the first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def there_and_back(ways: Sequence[T], number: int) -> Sequence[T]:
    """Backwards in every other round, so that no way always comes after the same."""
    return ways if number % 2 else ways[::-1]


def rotated(ways: Sequence[T], number: int) -> list[T]:
    """Each is the first in its turn, and the others follow as they always do."""
    first = number % len(ways)
    return [*ways[first:], *ways[:first]]
