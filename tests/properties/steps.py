"""What a state machine may do to a memory: plain values, turned into operations for each store."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from orchestra_memory import ABSENT, PRESENT, Delete, InvalidQuery, Patch, Put, Query, Ref
from orchestra_memory.testing.contract.models import Lease, Note

NOW = datetime(2026, 5, 5, tzinfo=UTC)
LONG = 1_000_000

KEYS = ("a", "b", "c", "b/c", "~", "__d__")
NAMESPACES = (None, None, "ours", "ours2")
SCALARS = (None, True, -2, 0, 1, 1.0, 2.5, 2**53 + 1, "", "a", "é", "😀", b"a", NOW)
VALUES = (*SCALARS, [], [1, "a"], [[1]], {}, {"a": 1}, {"y": {"z": 1}}, float("nan"))

keys = st.sampled_from(KEYS)
namespaces = st.sampled_from(NAMESPACES)
values = st.sampled_from(VALUES)
elements = st.lists(st.sampled_from((1, 1.0, 2, "a", True, [1], {"a": 1})), max_size=3)
expectations = st.one_of(
    st.none(), st.none(), st.sampled_from((ABSENT, PRESENT)), st.integers(0, 1_000)
)

note_fields = st.fixed_dictionaries(
    {},
    optional={
        "title": st.sampled_from(("", "a", "b")),
        "score": st.sampled_from((None, 0.5, 1.0, -3.0)),
        "done": st.booleans(),
        "tags": st.lists(st.sampled_from("xyz"), max_size=3),
        "data": st.dictionaries(st.sampled_from(("x", "y", "a b")), values, max_size=2),
        "vector": st.sampled_from((None, [1.0, 0.0], [0.0, 3.0], [2.0, 2.0], [1.0])),
        "length": st.sampled_from((0, 0, 0, LONG)),
    },
)
changes = st.fixed_dictionaries(
    {},
    optional={
        "title": st.tuples(st.just("set"), st.sampled_from(("", "c"))),
        "score": st.tuples(st.just("increment"), st.sampled_from((0.5, -1, 2))),
        "tags": st.tuples(
            st.sampled_from(("set", "add", "remove")), st.lists(st.sampled_from("xyz"), max_size=2)
        ),
        "data.x": st.one_of(
            st.tuples(st.just("set"), values),
            st.tuples(st.just("increment"), st.sampled_from((1, 0.5, 2**62))),
            st.tuples(st.sampled_from(("add", "remove")), elements),
            st.tuples(st.just("unset"), st.none()),
        ),
        "data.y.z": st.one_of(
            st.tuples(st.just("set"), values),
            st.tuples(st.just("increment"), st.just(1)),
            st.tuples(st.just("unset"), st.none()),
        ),
        "done": st.tuples(st.just("unset"), st.none()),
    },
)


@dataclass(frozen=True)
class Step:
    """One operation; ``expect`` as a number picks one of the revisions seen so far."""

    kind: str
    key: str
    namespace: str | None
    expect: Any
    fields: dict[str, Any]
    changes: dict[str, Any]
    created: bool

    def operation(self, serial: int, expect: Any) -> Put | Patch | Delete:
        """`serial` makes each a change: Firestore keeps the revision of what stays equal."""
        ref = Ref(Note, self.key, self.namespace)
        fields = dict(self.fields)
        body = "x" * fields.pop("length", 0)
        note = Note(id=self.key, rank=serial, body=body, **fields)
        if self.kind == "put":
            return Put(note, expect, self.namespace)
        if self.kind == "delete":
            return Delete(ref, expect)
        parts: dict[str, Any] = {"set": {"rank": serial}, "unset": []}
        for path, (kind, value) in self.changes.items():
            if kind == "unset":
                parts["unset"].append(path)
            else:
                parts.setdefault(kind, {})[path] = value
        or_create = note if self.created else None
        if expect is None or expect is ABSENT:
            expect = PRESENT
        return Patch(ref, **parts, expect=expect, or_create=or_create)


steps = st.builds(
    Step,
    kind=st.sampled_from(("put", "put", "patch", "patch", "delete")),
    key=keys,
    namespace=namespaces,
    expect=expectations,
    fields=note_fields,
    changes=changes,
    created=st.booleans(),
)

days_left = st.sampled_from((None, -2, -1, 1, 2, 3))


def lease(key: str, days: int | None, now: datetime) -> Lease:
    expiration = None if days is None else now + timedelta(days=days)
    return Lease(id=key, rank=days or 0, expiration=expiration)


PATHS = ("rank", "score", "title", "done", "tags", "data.x", "data.y.z", "data.a b", "owner")
scalars = st.sampled_from([value for value in SCALARS if value is not None])
conditions = st.one_of(
    st.tuples(st.sampled_from(PATHS), st.sampled_from(("==", "!=", "<", "<=", ">", ">=")), scalars),
    st.tuples(st.sampled_from(PATHS), st.just("=="), values),
    st.tuples(st.just("tags"), st.just("contains"), st.sampled_from("xyz")),
    st.tuples(
        st.sampled_from(("data.x", "title")),
        st.sampled_from(("in", "contains_any")),
        st.lists(scalars, min_size=1, max_size=3),
    ),
)
orders = st.lists(
    st.sampled_from([sign + path for sign in ("", "-") for path in PATHS]), max_size=2, unique=True
)


@st.composite
def queries(draw: st.DrawFn) -> Query[Note] | None:
    """A query, ``None`` where what was drawn is none."""
    try:
        return Query(
            Note,
            where=draw(st.lists(conditions, max_size=2)),
            order_by=draw(orders),
            page_size=draw(st.sampled_from((1, 2, 3, 100))),
            limit=draw(st.sampled_from((None, None, 1, 3))),
            namespace=draw(namespaces),
        )
    except InvalidQuery:
        return None
