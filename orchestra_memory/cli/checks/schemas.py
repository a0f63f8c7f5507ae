"""By which versions of their types stored records were written, from a sample of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from pydantic import create_model

from ...models import SHIPPED
from ...operations import Options
from ...protocol import MemoryManager
from ...queries import Query
from ...record import Record, spec_of
from ..findings import Finding, fail, ok, warn

WHAT: Final = "schemas"
SAMPLE: Final = 20
"""Records of each type that are looked at, and billed as read."""
_BEYOND_ALL: Final = 1 << 30
"""A version that nothing stored has, so that every document is shown to ``upgrade`` first."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """How many records of a type have which version, and how many cannot be read at all."""

    model: type[Record]
    versions: Mapping[int, int]
    corrupt: int = 0


async def schema_findings(memory: MemoryManager) -> AsyncGenerator[Finding]:
    sampled = [await _sample(memory, model) for model in SHIPPED]
    for finding in said_of(sampled):
        yield finding


async def _sample(memory: MemoryManager, model: type[Record]) -> Sampled:
    versions: Counter[int] = Counter()
    query = Query(_noting(model, versions), page_size=SAMPLE, limit=SAMPLE)
    page = await memory.find(query, options=Options(cache="bypass", corrupt="skip"))
    return Sampled(model, versions, len(page.corrupt))


def _noting(model: type[Record], versions: Counter[int]) -> type[Record]:
    """A type of the same collection and key that counts versions and asks for nothing else."""
    spec = spec_of(model)

    class Noting(Record):
        @classmethod
        def upgrade(cls, data: dict[str, Any], from_version: int) -> dict[str, Any]:
            versions[from_version] += 1
            return {name: data[name] for name in spec.key if name in data}

    keys = dict.fromkeys(spec.key, (str, ...))
    options = {"collection": spec.collection, "key": spec.key, "schema_version": _BEYOND_ALL}
    made = cast("Any", create_model)(
        f"Sampled{model.__name__}", __base__=Noting, __cls_kwargs__=options, **keys
    )
    return cast("type[Record]", made)


def said_of(sampled: list[Sampled]) -> Iterator[Finding]:
    """One line for each type that is not as it should be, and one for all that are."""
    good: list[str] = []
    for each in sampled:
        trouble = _trouble(each)
        if trouble is not None:
            yield trouble
        elif each.versions:
            good.append(f"{spec_of(each.model).collection} {_listed(each)}")
    if good or not any(each.corrupt or each.versions for each in sampled):
        yield ok(WHAT, "; ".join(good) or "nothing is stored here, of the types that come with it")


def _trouble(sampled: Sampled) -> Finding | None:
    name, known = spec_of(sampled.model).collection, spec_of(sampled.model).schema_version
    newest = max(sampled.versions, default=0)
    if newest > known:
        return fail(
            WHAT,
            f"{name}: some are of version {newest}, this release knows {known} and refuses them",
            "upgrade what runs here to the release that wrote them",
        )
    if sampled.corrupt:
        return warn(
            WHAT,
            f"{name}: of {SAMPLE} records at most, {sampled.corrupt} cannot be read",
            'find with Options(corrupt="skip") names them',
        )
    return None


def _listed(sampled: Sampled) -> str:
    known = spec_of(sampled.model).schema_version
    older = "" if set(sampled.versions) <= {known} else " (older ones are upgraded when read)"
    return f"v{', v'.join(map(str, sorted(sampled.versions)))}{older}"
