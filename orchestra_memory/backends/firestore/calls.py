"""The four requests made of Firestore, with their headers, deadlines and errors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ...codec.firestore.decode import decode_fields, decode_micros, decode_value
from ...codec.firestore.encode import encode_time
from ...codec.firestore.messages import AggregationRequest, BatchGetRequest, QueryRequest, wrappers
from ...operations import Revision
from ...resilience.deadline import Deadline
from ..chunked import side_by_side
from ..rows import Row
from .access import call_metadata, database_path, gapic
from .errors import translated
from .query import DISTANCE

if TYPE_CHECKING:
    from google.cloud.firestore_v1.async_client import AsyncClient

NAMES_PER_REQUEST: Final = 400
"""Documents asked for in one request."""
READS_IN_FLIGHT: Final = 4
"""Requests under way at once for one read: then several answers come for each turn of the loop."""


@dataclass(frozen=True, slots=True)
class Documents:
    """Rows by document name, in the order found, and the server's time at which they hold."""

    rows: dict[str, Row]
    as_of: Revision | None


def row_of(message: Any) -> Row:
    """Decoded as it arrives, so that the wire's messages need not be kept."""
    document = decode_fields(message.fields)
    distance = document.pop(DISTANCE, None)
    stored_id = message.name.rpartition("/")[2]
    return Row(stored_id, document, decode_micros(message.update_time), distance)


class Calls:
    """One database, spoken to without the library's own retries: the layer above decides those."""

    def __init__(self, client: AsyncClient) -> None:
        self._api: Any = gapic(client)
        self._metadata = call_metadata(client)
        self.database: str = database_path(client)

    def _how(self, deadline: Deadline) -> dict[str, Any]:
        return {"retry": None, "timeout": deadline.left(), "metadata": self._metadata}

    async def commit(self, writes: Any, deadline: Deadline) -> Any:
        """Apply a ``CommitRequest``; returns the ``CommitResponse``."""
        writes.database = self.database
        with translated("write"):
            response = await self._api.commit(
                request=wrappers.CommitRequest.wrap(writes), **self._how(deadline)
            )
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
        rows: dict[str, Row] = {}
        requests = self._get_requests(list(dict.fromkeys(names)), fields)
        if requests:
            as_of = await self._get(requests[0], deadline, as_of, rows)
        # The others are read as of the first one's time, so that all of it holds at once.
        jobs = [partial(self._get, request, deadline, as_of, rows) for request in requests[1:]]
        await side_by_side(jobs, READS_IN_FLIGHT)
        return Documents(rows, as_of)

    def _get_requests(self, names: list[str], fields: Sequence[str]) -> list[Any]:
        requests: list[Any] = []
        for start in range(0, len(names), NAMES_PER_REQUEST):
            some = names[start : start + NAMES_PER_REQUEST]
            requests.append(BatchGetRequest(database=self.database, documents=some))
            if fields:
                requests[-1].mask.field_paths.extend(fields)
        return requests

    async def _get(
        self, request: Any, deadline: Deadline, as_of: Revision | None, rows: dict[str, Row]
    ) -> Revision | None:
        if as_of is not None:
            encode_time(request.read_time, as_of)
        with translated("read"):
            stream = await self._api.batch_get_documents(
                request=wrappers.BatchGetDocumentsRequest.wrap(request), **self._how(deadline)
            )
            async for response in stream:
                message = wrappers.BatchGetDocumentsResponse.pb(response)
                as_of = decode_micros(message.read_time)
                if message.HasField("found"):
                    rows[message.found.name] = row_of(message.found)
        return as_of

    async def query(
        self, parent: str, query: Any, deadline: Deadline, *, as_of: Revision | None = None
    ) -> Documents:
        """All documents of a ``StructuredQuery``, in its order."""
        request = QueryRequest(parent=parent, structured_query=query)
        if as_of is not None:
            encode_time(request.read_time, as_of)
        rows: dict[str, Row] = {}
        with translated("find", query):
            stream = await self._api.run_query(
                request=wrappers.RunQueryRequest.wrap(request), **self._how(deadline)
            )
            async for response in stream:
                message = wrappers.RunQueryResponse.pb(response)
                as_of = decode_micros(message.read_time)
                if message.HasField("document"):
                    rows[message.document.name] = row_of(message.document)
        return Documents(rows, as_of)

    async def aggregate(
        self, parent: str, query: Any, deadline: Deadline, *, as_of: Revision | None
    ) -> tuple[float | None, Revision | None]:
        """The one value of a ``StructuredAggregationQuery`` whose alias is ``measure``."""
        request = AggregationRequest(parent=parent, structured_aggregation_query=query)
        if as_of is not None:
            encode_time(request.read_time, as_of)
        value: float | None = None
        with translated("aggregate", query.structured_query):
            stream = await self._api.run_aggregation_query(
                request=wrappers.RunAggregationQueryRequest.wrap(request), **self._how(deadline)
            )
            async for response in stream:
                message = wrappers.RunAggregationQueryResponse.pb(response)
                as_of = decode_micros(message.read_time)
                value = decode_value(message.result.aggregate_fields["measure"])
        return value, as_of
