"""The four requests made of Firestore, with their headers, deadlines and errors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ...codec.firestore import decode_fields, decode_micros, decode_value, encode_time
from ...codec.messages import AggregationRequest, BatchGetRequest, QueryRequest, wrappers
from ...operations import Revision
from ...resilience.deadline import Deadline
from ..rows import Row
from .access import call_metadata, database_path, gapic
from .errors import translated
from .query import DISTANCE

if TYPE_CHECKING:
    from google.cloud.firestore_v1.async_client import AsyncClient

NAMES_PER_REQUEST: Final = 2_000
"""Documents asked for in one request, well under 4 MiB of names."""


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
        distinct = list(dict.fromkeys(names))
        for start in range(0, len(distinct), NAMES_PER_REQUEST):
            request = BatchGetRequest(
                database=self.database, documents=distinct[start : start + NAMES_PER_REQUEST]
            )
            request.mask.field_paths.extend(fields)
            as_of = await self._get(request, deadline, as_of, rows)
        return Documents(rows, as_of)

    async def _get(
        self, request: Any, deadline: Deadline, as_of: Revision | None, rows: dict[str, Row]
    ) -> Revision | None:
        if as_of is not None:
            encode_time(request.read_time, as_of)
        if not request.mask.field_paths:
            request.ClearField("mask")
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
