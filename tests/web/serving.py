"""An HTTP/1.1 server for one application: small, and strict about what it is given to send."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import h11
from anyio.abc import SocketAttribute, SocketStream


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """The address of a server of this application, started and ended by its lifespan."""
    to_app, from_server = anyio.create_memory_object_stream[dict[str, Any]](1)
    to_server, from_app = anyio.create_memory_object_stream[dict[str, Any]](1)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    async with (
        to_app,
        from_server,
        to_server,
        from_app,
        listener,
        anyio.create_task_group() as group,
    ):
        group.start_soon(app, {"type": "lifespan"}, from_server.receive, to_server.send)
        await to_app.send({"type": "lifespan.startup"})
        assert (await from_app.receive())["type"] == "lifespan.startup.complete"
        group.start_soon(listener.serve, lambda stream: _serve(app, stream))
        port = listener.extra(SocketAttribute.local_port)
        yield f"http://127.0.0.1:{port}"
        await to_app.send({"type": "lifespan.shutdown"})
        assert (await from_app.receive())["type"] == "lifespan.shutdown.complete"
        group.cancel_scope.cancel()


async def _serve(app: Any, stream: SocketStream) -> None:
    connection = h11.Connection(h11.SERVER)
    async with stream:
        while connection.our_state is h11.IDLE:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await _received(stream))
            elif isinstance(event, h11.Request):
                await _answer(app, connection, stream, event)
            elif isinstance(event, h11.ConnectionClosed):
                return
            if connection.our_state is h11.DONE and connection.their_state is h11.DONE:
                connection.start_next_cycle()


async def _received(stream: SocketStream) -> bytes:
    try:
        return await stream.receive()
    except anyio.EndOfStream:
        return b""


async def _answer(
    app: Any, connection: h11.Connection, stream: SocketStream, request: h11.Request
) -> None:
    while connection.their_state is h11.SEND_BODY:
        connection.next_event()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        # h11 raises for a body that its own header belies.
        if message["type"] == "http.response.start":
            headers = message["headers"]
            event = h11.Response(status_code=message["status"], headers=headers)
            await stream.send(connection.send(event))
        else:
            if message["body"]:
                await stream.send(connection.send(h11.Data(data=message["body"])))
            await stream.send(connection.send(h11.EndOfMessage()))

    scope = {
        "type": "http",
        "method": request.method.decode(),
        "path": request.target.decode(),
        "headers": list(request.headers),
    }
    await app(scope, receive, send)
