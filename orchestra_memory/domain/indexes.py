"""Which indexes the queries need, whether the record types declare them, and how to create them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ..errors import ConfigurationError
from ..models import SHIPPED
from ..operations import Average, Sum
from ..queries import Order
from ..record import EXPIRATION, Record, RecordSpec, spec_of
from .index_formats import FORMATS, Format
from .index_plan import OUR_OWN, Declared, plan
from .issued import Issued

EVERY_TYPE: Final[tuple[type[Record], ...]] = (*SHIPPED, *OUR_OWN)
"""The record types that the library ships, and those that it keeps for itself."""


@dataclass(frozen=True, slots=True)
class Need:
    """Equalities, in any order, and what must be sorted behind them.

    ``vector`` names the field that a nearest-neighbour query goes by. Only needs without a vector
    are met by several indexes together.
    """

    model: type[Record]
    equalities: tuple[str, ...]
    tail: tuple[Order, ...] = ()
    vector: str = ""

    @property
    def index(self) -> Declared:
        """The one index that meets the need by itself."""
        tail = ("-" + order.field if order.descending else order.field for order in self.tail)
        return (*self.equalities, *tail, *filter(None, [self.vector]))


def needs(example: Issued) -> list[Need]:
    """What Firestore must have declared for a query and the measures over it; often nothing.

    It answers equalities from automatic indexes. It counts what has expired too, so that a count
    asks a second time, for the expired only, and subtracts. Sums and averages read the field from
    the index.
    """
    return [need for need in _wanted(example) if not _automatic(need)]


def _wanted(example: Issued) -> Iterator[Need]:
    query = example.query
    equal = query.equalities
    if query.nearest is not None:
        yield Need(query.model, equal, vector=query.nearest.field)
        return
    if not example.measures:
        yield Need(query.model, equal, query.tail)
    for measure in example.measures:
        of = (Order(measure.of),) if isinstance(measure, Sum | Average) else ()
        yield Need(query.model, equal, (*query.tail, *of))
        if query.hides_expired:
            yield Need(query.model, equal, (*query.tail, Order(EXPIRATION), *of))


def _automatic(need: Need) -> bool:
    """Whether the indexes that Firestore makes by itself, one for each field, are enough."""
    if need.vector:
        return False
    used = {*need.equalities, *(order.field for order in need.tail)}
    if used & spec_of(need.model).unindexed:
        return False
    return not need.tail or (len(need.tail) == 1 and not need.equalities)


def met(need: Need, spec: RecordSpec) -> bool:
    """Whether the declared indexes answer it, one or several merged.

    Directions count: Firestore reads no composite index backwards.
    """
    size = len(need.equalities)
    equal, ending = {*need.index[:size]}, need.index[size:]
    if need.vector:
        return any(index[-1:] == ending and {*index[:-1]} == equal for index in spec.vector_indexes)
    split = [(index[: len(index) - len(ending)], index) for index in spec.indexes]
    heads = [{*head} for head, index in split if index[len(head) :] == ending and equal >= {*head}]
    return bool(heads) and set[str]().union(*heads) == equal


def undeclared(examples: Iterable[Issued]) -> list[Need]:
    """What queries need and their record types do not declare."""
    wanted = (need for example in examples for need in needs(example))
    return [need for need in dict.fromkeys(wanted) if not met(need, spec_of(need.model))]


def unneeded(model: type[Record], examples: Iterable[Issued]) -> list[Declared]:
    """Indexes the type declares without which all of its queries would still be answered."""
    wanted = {need for example in examples for need in needs(example) if need.model is model}
    spec = spec_of(model)
    return [
        index
        for index in (*spec.indexes, *spec.vector_indexes)
        if all(met(need, _without(spec, index)) for need in wanted)
    ]


def _without(spec: RecordSpec, index: Declared) -> RecordSpec:
    return replace(
        spec,
        indexes=tuple(other for other in spec.indexes if other != index),
        vector_indexes=tuple(other for other in spec.vector_indexes if other != index),
    )


def render_indexes(
    format: Format,  # noqa: A002
    *,
    record_types: Sequence[type[Record]] = EVERY_TYPE,
    dimensions: int | None = None,
    collections: Mapping[str, str] | None = None,
    database: str = "(default)",
) -> str:
    """The indexes, exemptions and TTL policies of these record types, as text.

    By default these are all that the library has, those that it keeps for itself among them.
    `format` is ``firebase`` (``firestore.indexes.json``), ``gcloud`` (shell commands) or
    ``terraform`` (resources of the google provider). `dimensions` is the length of the embeddings;
    without it vector indexes are left out. `collections` maps declared collections to the names
    they have in the database. Raises ``ConfigurationError`` for another format.
    """
    if format not in FORMATS:
        raise ConfigurationError(f"no format {format!r}; use one of {', '.join(FORMATS)}")
    wanted = plan(record_types, dimensions=dimensions, collections=collections)
    return FORMATS[format](wanted, database)
