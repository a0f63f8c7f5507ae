"""Requests answered by a stream, whose messages are read from their bytes.

Google's generated client would make objects of them, which takes longer than all the rest. Its
channel, with the credentials and interceptors on it, is used as it is. What the client adds to
a call is added here: where it is routed, and who asks.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, TypedDict, cast

import grpc.aio  # type: ignore[import-untyped]  # has no types
from google.api_core import exceptions, gapic_v1
from google.cloud.firestore_v1.services.firestore.transports.base import DEFAULT_CLIENT_INFO
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # has no types

from ...codec.firestore.messages import BatchGetRequest, QueryRequest
from ...codec.firestore.wire import GOTTEN, QUERIED, Answer, Answers

_grpc, _errors, _headers = cast("Any", grpc), cast("Any", exceptions), cast("Any", gapic_v1)

_ASKING: Final = cast("Any", DEFAULT_CLIENT_INFO).to_grpc_metadata()
_END: Final = _grpc.aio.EOF


class Sent(TypedDict):
    """What goes with a request. The timeout is in seconds; ``None`` is none."""

    timeout: float | None
    metadata: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Streamed:
    """A kind of request, routed by one of its fields."""

    path: str
    request: Any
    routed_by: str
    answers: Answers


GET: Final = Streamed(
    "/google.firestore.v1.Firestore/BatchGetDocuments", BatchGetRequest, "database", GOTTEN
)
QUERY: Final = Streamed("/google.firestore.v1.Firestore/RunQuery", QueryRequest, "parent", QUERIED)


async def answers(api: Any, kind: Streamed, request: Any, sent: Sent) -> AsyncGenerator[Answer]:
    """Every answer to the request. Raises what Google's client would."""
    call = api.transport.grpc_channel.unary_stream(
        kind.path, request_serializer=kind.request.SerializeToString
    )
    route = (kind.routed_by, getattr(request, kind.routed_by))
    routed = _headers.routing_header.to_grpc_metadata((route,))
    stream = call(request, timeout=sent["timeout"], metadata=(*sent["metadata"], _ASKING, routed))
    read = kind.answers.read
    try:
        while (data := await stream.read()) is not _END:
            yield read(data)
    except _grpc.RpcError as error:
        raise _errors.from_grpc_error(error) from error
    except DecodeError as error:
        raise _errors.DataLoss("no message of this protocol") from error
    finally:
        stream.cancel()


async def answered(
    api: Any, kind: Streamed, request: Any, take: Callable[[Answer], None], sent: Sent
) -> None:
    """Give `take` every answer to the request."""
    async with aclosing(answers(api, kind, request, sent)) as stream:
        async for answer in stream:
            take(answer)
