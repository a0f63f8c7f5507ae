"""The application behind a server, on a socket."""

import anyio
import httpx2
import pytest

import orchestra_memory as om
from orchestra_memory.health import Status
from orchestra_memory.web import health_app

from .memories import Told, being
from .serving import served

pytestmark = pytest.mark.anyio

PATHS = ["/api/health", "/livez", "/readyz", "/nowhere"]
EXPECTED = {"HEAD": [503, 200, 503, 404], "GET": [503, 200, 503, 404], "POST": [405, 405, 405, 404]}


async def test_it_is_served_on_one_connection_again_and_again() -> None:
    async with (
        served(health_app(Told(being(Status.DOWN)))) as url,
        httpx2.AsyncClient(base_url=url, limits=httpx2.Limits(max_connections=1)) as http,
    ):
        for method, codes in EXPECTED.items():
            answers = [await http.request(method, path) for path in PATHS]
            assert [answer.status_code for answer in answers] == codes


async def test_alone_it_serves_what_the_settings_name(bare_environment: object) -> None:
    async with served(health_app()) as url, httpx2.AsyncClient(base_url=url) as http:
        body = (await http.get("/api/health")).json()
    assert (body["status"], body["components"]["storage_firestore"]) == ("ok", "ok")
    assert "memory.db" in str(body["details"])


async def test_many_connections_are_one_question() -> None:
    memory = Told(being(Status.OK))
    memory.let.clear()
    codes: list[int] = []
    app = health_app(memory, fresh=60, patience=30)
    async with served(app) as url, httpx2.AsyncClient(base_url=url) as http:

        async def ask() -> None:
            codes.append((await http.get("/readyz")).status_code)

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(ask)
            await memory.is_asked.wait()
            memory.let.set()
    assert codes == [200] * 20
    assert memory.asked == 1


async def test_a_memory_can_be_watched_while_it_works() -> None:
    async with om.open_memory("local:") as memory, served(health_app(memory)) as url:
        await memory.conversations.add(user_id="ann", text_content="Tea.")
        async with httpx2.AsyncClient(base_url=url) as http:
            assert (await http.get("/readyz")).json() == {"status": "ok"}
