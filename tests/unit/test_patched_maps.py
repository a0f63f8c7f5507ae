"""A patch of a map's entry holds to what the record type declares, so that it can be read again."""

import pytest
from pydantic import Field

from orchestra_memory import InvalidRecord, LocalMemory, Patch, Record, Ref
from orchestra_memory.values import JsonMap

pytestmark = pytest.mark.anyio

SECRET = "s3cret-Zq7"


class Tally(Record, collection="tallies"):
    id: str
    counts: dict[str, int] = Field(default_factory=dict)
    by_day: dict[str, dict[str, int]] | None = None
    names: dict[str, list[str]] = Field(default_factory=dict)
    free: JsonMap = Field(default_factory=dict)


TALLY = Ref(Tally, "t")


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("counts.a", {"set": {"counts.a": SECRET}}),
        ("counts.a", {"increment": {"counts.a": 0.5}}),
        ("by_day.a.b", {"set": {"by_day.a.b": SECRET}}),
        ("by_day.a", {"set": {"by_day.a": 7}}),
        ("names.a", {"add": {"names.a": [7]}}),
    ],
)
def test_a_patch_puts_nothing_into_a_map_that_could_not_be_read_again(field, changes):
    with pytest.raises(InvalidRecord, match=rf"Tally\.{field}: ") as caught:
        Patch(TALLY, **changes)
    assert SECRET not in f"{caught.value} {caught.value.__context__}"


async def test_what_fits_into_a_map_is_patched_into_it():
    memory = LocalMemory()
    await memory.put(Tally(id="t"))
    changes = {"counts.a": 3, "by_day.mon": {"a": 1}, "by_day.tue.a": 1, "free.a": [{"b": 0.5}]}
    await memory.write([Patch(TALLY, set=changes, add={"names.a": ["x"]})])
    await memory.write([Patch(TALLY, increment={"counts.a": 2, "free.b": 0.5})])
    assert await memory.get(Tally, "t") == Tally(
        id="t",
        counts={"a": 5},
        by_day={"mon": {"a": 1}, "tue": {"a": 1}},
        names={"a": ["x"]},
        free={"a": [{"b": 0.5}], "b": 0.5},
    )
