"""The requests made of Firestore, with their headers, deadlines and errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from anyio.lowlevel import checkpoint_if_cancelled
from google.api_core.exceptions import NotFound

from ...codec.document import Document
from ...codec.firestore.decode import decode_micros, decode_value
from ...codec.firestore.encode import encode_time
from ...codec.firestore.messages import (
    AggregationRequest,
    BatchGetRequest,
    GetRequest,
    QueryRequest,
    commit_request,
    wrappers,
)
from ...codec.firestore.wire import Answer, found
from ...errors import CorruptRecord, Overloaded, Unavailable
from ...operations import Revision
from ...resilience.deadline import Deadline
from ...resilience.retry import Attempts, Retries
from ..chunked import side_by_side
from ..rows import Row
from .access import call_metadata, database_path
from .channels import Channels
from .errors import translated
from .parts import PARTS
from .query import DISTANCE
from .streams import GET, QUERY, Sent, answered, answers

if TYPE_CHECKING:
    from google.cloud.firestore_v1.async_client import AsyncClient

NAMES_PER_REQUEST: Final = 400
"""Documents asked for in one request."""
STREAM_SECONDS: Final = 3_600.0
"""How long one answer may go on; a slow reader's is then continued by another."""
READS_IN_FLIGHT: Final = 4
"""Requests under way at once for one read: then several answers come for each turn of the loop."""


Behind = Callable[[Any, Row], None]
"""Changes a ``StructuredQuery`` so that it goes on behind a row."""


@dataclass(slots=True)
class Documents:
    """Rows by document name, in the order found, and the server's time at which they hold.

    They are added as they arrive. The time is ``None`` until an answer tells it; ``answers`` counts
    what was found and what was not. ``torn`` names the roots of large records.
    """

    rows: dict[str, Row] = field(default_factory=dict[str, Row])
    as_of: Revision | None = None
    answers: int = 0
    torn: list[str] = field(default_factory=list[str])

    def add(self, answer: Answer) -> None:
        self.as_of = answer.as_of
        if answer.name:
            self.answers += 1
        if answer.document is not None:
            self.rows[answer.name] = row_of(answer, answer.document)
            if PARTS in answer.document:
                self.torn.append(answer.name)


def row_of(answer: Answer, document: Document) -> Row:
    stored_id = answer.name.rpartition("/")[2]
    distance = document.pop(DISTANCE, None)
    fault = _damage(answer) if answer.damaged else None
    return Row(stored_id, document, answer.revision, distance, fault)


def _damage(answer: Answer) -> CorruptRecord:
    *_, collection, key = answer.name.split("/")
    return CorruptRecord(
        f"{collection}/{key}: no value can be made of the stored fields "
        f"{', '.join(answer.damaged)}; they hold times outside the years 1 to 9999",
        collection=collection,
        key=key,
        fields=answer.damaged,
    )


async def heard(call: Awaitable[Any]) -> Any:
    """The answer to a call, unless a scope is cancelled meanwhile, which is to know it then."""
    try:
        return await call
    except asyncio.CancelledError:
        # gRPC raises one of its own, by which no scope knows that it was meant.
        await checkpoint_if_cancelled()
        raise


class Calls:
    """One database, spoken to without the library's own retries: the layer above decides those.

    Only an answer that breaks off is continued here, as of the same time, for what has arrived is
    known only here.
    """

    def __init__(self, client: AsyncClient) -> None:
        self._channels = Channels(client)
        self._metadata = call_metadata(client)
        self._retries = Retries()
        self.database: str = database_path(client)

    async def aclose(self) -> None:
        """Close the connections that were opened beside the client's own."""
        await self._channels.aclose()

    def _how(self, deadline: Deadline) -> dict[str, Any]:
        return {"retry": None, **self._sent(deadline)}

    def _sent(self, deadline: Deadline) -> Sent:
        return {"timeout": deadline.left(), "metadata": self._metadata}

    async def ping(self, deadline: Deadline) -> None:
        """Be answered, and billed for nothing: no document is read, and none that is absent."""
        request: dict[str, Any] = {"database": self.database, "options": {"read_only": {}}}
        with translated("health"), self._channels.borrowed() as api:
            begun = await heard(api.begin_transaction(request=request, **self._how(deadline)))
            given_up = {"database": self.database, "transaction": begun.transaction}
            await heard(api.rollback(request=given_up, **self._how(deadline)))

    async def commit(self, writes: Sequence[bytes], deadline: Deadline) -> Any:
        """Apply ``Write`` messages, in their bytes, together; returns the ``CommitResponse``."""
        request = commit_request(self.database, writes)
        with translated("write"), self._channels.borrowed() as api:
            response = await heard(api.commit(request=request, **self._how(deadline)))
        return wrappers.CommitResponse.pb(response)

    async def get(
        self,
        names: Iterable[str],
        deadline: Deadline,
        *,
        fields: Sequence[str] = (),
        as_of: Revision | None = None,
    ) -> Documents:
        """The documents with these names, each once, as of one moment; the absent are left out."""
        documents = Documents(as_of=as_of)
        wanted = list(dict.fromkeys(names))
        first, *others = [
            partial(
                self._get, wanted[start : start + NAMES_PER_REQUEST], fields, deadline, documents
            )
            for start in range(0, max(1, len(wanted)), NAMES_PER_REQUEST)
        ]
        await first()
        # The others are read as of the first one's time, so that all of it holds at once.
        await side_by_side(others, READS_IN_FLIGHT)
        return documents

    async def get_one(self, name: str, deadline: Deadline) -> Documents:
        """The same for one name, at half the cost of a stream; the time is not told."""
        request = GetRequest(name=name)
        with translated("read"), self._channels.borrowed() as api:
            try:
                wrapped = wrappers.GetDocumentRequest.wrap(request)
                response = await heard(api.get_document(request=wrapped, **self._how(deadline)))
            except NotFound as error:
                if name in str(error):
                    return Documents(answers=1)
                # Perhaps it is the database that was not found; a stream tells the two apart.
                return await self.get([name], deadline)
        documents = Documents()
        documents.add(found(wrappers.Document.pb(response)))
        return documents

    async def _get(
        self, names: list[str], fields: Sequence[str], deadline: Deadline, documents: Documents
    ) -> None:
        """Add what is found of so few names that one request takes them."""
        unanswered = dict.fromkeys(names)
        ask = partial(self._get_unanswered, unanswered, fields, deadline, documents)
        await self._unbroken(ask, deadline, documents)

    async def _get_unanswered(
        self,
        unanswered: dict[str, None],
        fields: Sequence[str],
        deadline: Deadline,
        documents: Documents,
    ) -> None:
        if not unanswered:
            return
        request = BatchGetRequest(database=self.database, documents=unanswered)
        if fields:
            request.mask.field_paths.extend(fields)
        if documents.as_of is not None:
            encode_time(request.read_time, documents.as_of)

        def take(answer: Answer) -> None:
            documents.add(answer)
            unanswered.pop(answer.name, None)

        with translated("read"), self._channels.borrowed() as api:
            await answered(api, GET, request, take, self._sent(deadline))

    async def query(
        self,
        parent: str,
        query: Any,
        deadline: Deadline,
        *,
        as_of: Revision | None = None,
        behind: Behind | None = None,
    ) -> Documents:
        """All documents of a ``StructuredQuery``, in its order.

        If `behind` says how, an answer that breaks off is continued behind the last row that
        arrived; such a query has a limit.
        """
        documents = Documents(as_of=as_of)
        ask = partial(self._query_rest, parent, query, deadline, documents, behind)
        if behind is None:
            await ask()
        else:
            await self._unbroken(ask, deadline, documents)
        return documents

    async def stream(
        self, parent: str, query: Any, *, as_of: Revision | None = None
    ) -> AsyncGenerator[Answer]:
        """The same as it comes, for as long as it takes its reader up to :data:`STREAM_SECONDS`."""
        request = QueryRequest(parent=parent, structured_query=query)
        if as_of is not None:
            encode_time(request.read_time, as_of)
        sent = Sent(timeout=STREAM_SECONDS, metadata=self._metadata)
        with translated("find", query), self._channels.borrowed() as api:
            async with aclosing(answers(api, QUERY, request, sent)) as stream:
                async for answer in stream:
                    yield answer

    async def _query_rest(
        self,
        parent: str,
        query: Any,
        deadline: Deadline,
        documents: Documents,
        behind: Behind | None,
    ) -> None:
        request = QueryRequest(parent=parent, structured_query=query)
        if documents.rows and behind is not None:
            behind(request.structured_query, next(reversed(documents.rows.values())))
            request.structured_query.limit.value -= len(documents.rows)
            if not request.structured_query.limit.value:
                return
        if documents.as_of is not None:
            encode_time(request.read_time, documents.as_of)
        with translated("find", query), self._channels.borrowed() as api:
            await answered(api, QUERY, request, documents.add, self._sent(deadline))

    async def _unbroken(
        self, ask: Callable[[], Awaitable[None]], deadline: Deadline, documents: Documents
    ) -> None:
        """Ask until an answer ends; `ask` asks for what is not among `documents` yet.

        Before anything has arrived, failures are for the layer above.
        """
        attempts = Attempts(self._retries, deadline, repeatable=True)
        while True:
            answers = documents.answers
            try:
                return await ask()
            except (Unavailable, Overloaded) as error:
                if documents.as_of is None:
                    raise
                attempts.progressed(documents.answers - answers)
                await attempts.pause(error)

    async def aggregate(
        self, parent: str, query: Any, deadline: Deadline, *, as_of: Revision | None
    ) -> tuple[float | None, Revision | None]:
        """The one value of a ``StructuredAggregationQuery`` whose alias is ``measure``."""
        request = AggregationRequest(parent=parent, structured_aggregation_query=query)
        if as_of is not None:
            encode_time(request.read_time, as_of)
        value: float | None = None
        with translated("aggregate", query.structured_query), self._channels.borrowed() as api:
            wrapped = wrappers.RunAggregationQueryRequest.wrap(request)
            stream = await heard(api.run_aggregation_query(request=wrapped, **self._how(deadline)))
            async for response in stream:
                message = wrappers.RunAggregationQueryResponse.pb(response)
                as_of = decode_micros(message.read_time)
                value = decode_value(message.result.aggregate_fields["measure"])
        return value, as_of
