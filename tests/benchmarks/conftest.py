"""What tests of the benchmarks share."""

from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from benchmarks import embedded, measure, run


@pytest.fixture(scope="module")
def hasty() -> Iterator[None]:
    """Turns follow one another at once: in a whole run, what comes before each takes the longest.

    Nothing is collected, and no idle loop is watched for long.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "fresh", nullcontext)
        patch.setattr(run, "IDLE_SECONDS", 0.01)
        patch.setattr(embedded, "IDLE_SECONDS", 0.01)
        yield
