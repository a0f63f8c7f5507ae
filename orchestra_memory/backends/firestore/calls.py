"""The requests made of Firestore, with their headers, deadlines and errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from google.api_core.exceptions import NotFound

from ...codec.firestore.decode import decode_fields, decode_micros, decode_value
from ...codec.firestore.encode import encode_time
from ...codec.firestore.messages import (
    AggregationRequest,
    BatchGetRequest,
    GetRequest,
    QueryRequest,
    commit_request,
    wrappers,
)
from ...errors import Overloaded, Unavailable
from ...operations import Revision
from ...resilience.deadline import Deadline
from ...resilience.retry import Attempts, Retries
from ..chunked import side_by_side
from ..rows import Row
from .access import call_metadata, database_path
from .channels import Channels
from .errors import translated
from .query import DISTANCE

if TYPE_CHECKING:
    from google.cloud.firestore_v1.async_client import AsyncClient

NAMES_PER_REQUEST: Final = 400
"""Documents asked for in one request."""
READS_IN_FLIGHT: Final = 4
"""Requests under way at once for one read: then several answers come for each turn of the loop."""


Behind = Callable[[Any, Row], None]
"""Changes a ``StructuredQuery`` so that it goes on behind a row."""


@dataclass(slots=True)
class Documents:
    """Rows by document name, in the order found, and the server's time at which they hold.

    They are added as they arrive. The time is ``None`` until an answer tells it; ``answers`` counts
    what was found and what was not.
    """

    rows: dict[str, Row] = field(default_factory=dict[str, Row])
    as_of: Revision | None = None
    answers: int = 0


def row_of(message: Any) -> Row:
    """Decoded as it arrives, so that the wire's messages need not be kept."""
    document = decode_fields(message.fields)
    distance = document.pop(DISTANCE, None)
    stored_id = message.name.rpartition("/")[2]
    return Row(stored_id, document, decode_micros(message.update_time), distance)


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
        return {"retry": None, "timeout": deadline.left(), "metadata": self._metadata}

    async def commit(self, writes: Sequence[bytes], deadline: Deadline) -> Any:
        """Apply ``Write`` messages, in their bytes, together; returns the ``CommitResponse``."""
        request = commit_request(self.database, writes)
        with translated("write"), self._channels.borrowed() as api:
            response = await api.commit(request=request, **self._how(deadline))
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
        requests = self._get_requests(list(dict.fromkeys(names)), fields)
        if requests:
            await self._get(requests[0], deadline, documents)
        # The others are read as of the first one's time, so that all of it holds at once.
        jobs = [partial(self._get, request, deadline, documents) for request in requests[1:]]
        await side_by_side(jobs, READS_IN_FLIGHT)
        return documents

    async def get_one(self, name: str, deadline: Deadline) -> Documents:
        """The same for one name, at half the cost of a stream; the time is not told."""
        request = GetRequest(name=name)
        with translated("read"), self._channels.borrowed() as api:
            try:
                response = await api.get_document(
                    request=wrappers.GetDocumentRequest.wrap(request), **self._how(deadline)
                )
            except NotFound as error:
                if name in str(error):
                    return Documents()
                # Perhaps it is the database that was not found; a stream tells the two apart.
                return await self.get([name], deadline)
        return Documents({name: row_of(wrappers.Document.pb(response))})

    def _get_requests(self, names: list[str], fields: Sequence[str]) -> list[Any]:
        requests: list[Any] = []
        for start in range(0, len(names), NAMES_PER_REQUEST):
            some = names[start : start + NAMES_PER_REQUEST]
            requests.append(BatchGetRequest(database=self.database, documents=some))
            if fields:
                requests[-1].mask.field_paths.extend(fields)
        return requests

    async def _get(self, request: Any, deadline: Deadline, documents: Documents) -> None:
        """Add what is found of one request's names."""
        unanswered = dict.fromkeys(request.documents)
        ask = partial(self._get_unanswered, request, deadline, documents, unanswered)
        await self._unbroken(ask, deadline, documents)

    async def _get_unanswered(
        self, request: Any, deadline: Deadline, documents: Documents, unanswered: dict[str, None]
    ) -> None:
        if not unanswered:
            return
        del request.documents[:]
        request.documents.extend(unanswered)
        if documents.as_of is not None:
            encode_time(request.read_time, documents.as_of)
        with translated("read"), self._channels.borrowed() as api:
            stream = await api.batch_get_documents(
                request=wrappers.BatchGetDocumentsRequest.wrap(request), **self._how(deadline)
            )
            async for response in stream:
                message = wrappers.BatchGetDocumentsResponse.pb(response)
                documents.as_of = decode_micros(message.read_time)
                documents.answers += 1
                if message.HasField("found"):
                    documents.rows[message.found.name] = row_of(message.found)
                    unanswered.pop(message.found.name, None)
                else:
                    unanswered.pop(message.missing, None)

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
            stream = await api.run_query(
                request=wrappers.RunQueryRequest.wrap(request), **self._how(deadline)
            )
            async for response in stream:
                message = wrappers.RunQueryResponse.pb(response)
                documents.as_of = decode_micros(message.read_time)
                if message.HasField("document"):
                    documents.answers += 1
                    documents.rows[message.document.name] = row_of(message.document)

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
            stream = await api.run_aggregation_query(
                request=wrappers.RunAggregationQueryRequest.wrap(request), **self._how(deadline)
            )
            async for response in stream:
                message = wrappers.RunAggregationQueryResponse.pb(response)
                as_of = decode_micros(message.read_time)
                value = decode_value(message.result.aggregate_fields["measure"])
        return value, as_of
