"""Firestore's protobuf messages, bare of the proto-plus wrappers around them.

The wrappers have no types; what is built from them is ``Any`` from here on, and only here.
"""

from __future__ import annotations

from typing import Any, Final, cast

from google.cloud.firestore_v1 import types

wrappers: Final = cast("Any", types)
"""The public proto-plus types: ``.pb()`` is the message class, ``.wrap`` and ``.pb(x)`` convert."""

Value: Final[Any] = wrappers.Value.pb()
MapValue: Final[Any] = wrappers.MapValue.pb()
Write: Final[Any] = wrappers.Write.pb()
CommitRequest: Final[Any] = wrappers.CommitRequest.pb()
BatchGetRequest: Final[Any] = wrappers.BatchGetDocumentsRequest.pb()
QueryRequest: Final[Any] = wrappers.RunQueryRequest.pb()
AggregationRequest: Final[Any] = wrappers.RunAggregationQueryRequest.pb()
StructuredQuery: Final[Any] = wrappers.StructuredQuery.pb()
AggregationQuery: Final[Any] = wrappers.StructuredAggregationQuery.pb()
