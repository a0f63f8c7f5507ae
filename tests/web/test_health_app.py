"""What the health application answers, to whom, and what it asks of the memory."""

import json
import re
from typing import Any

import anyio
import httpx2
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

import orchestra_memory as om
from orchestra_memory.health import Health, Status
from orchestra_memory.testing.probe import free_port
from orchestra_memory.web import health_app

from .memories import Told, being

pytestmark = pytest.mark.anyio

PATHS = ["/api/health", "/livez", "/readyz"]


def client(app: Any) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test")


async def asked(app: Any, path: str, method: str = "GET") -> httpx2.Response:
    async with client(app) as http:
        return await http.request(method, path)


async def body_of(app: Any, path: str = "/api/health") -> Any:
    return (await asked(app, path)).json()


async def test_the_form_is_the_one_that_monitors_know() -> None:
    async with om.open_memory("local:") as memory:
        answer = await asked(health_app(memory), "/api/health")
    body = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert list(body) == ["status", "environment", "version", "components", "details"]
    assert body["status"] == "ok"
    assert body["environment"] == "development"
    assert body["version"] == om.__version__
    assert body["components"] == {
        "app": "ok",
        "storage_firestore": "ok",
        "storage_redis": "disabled",
    }
    assert body["details"]["memory"] == (await om.LocalMemory().health()).as_dict() | {
        "latency_ms": body["details"]["memory"]["latency_ms"]
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", body["details"]["checked_at"])


@pytest.mark.parametrize(
    ("status", "health", "ready"),
    [(Status.OK, 200, 200), (Status.DEGRADED, 200, 200), (Status.DOWN, 503, 503)],
)
async def test_degraded_is_ready_and_down_is_alive(status: Status, health: int, ready: int) -> None:
    app = health_app(Told(being(status)))
    answers = [await asked(app, path) for path in PATHS]
    assert [answer.status_code for answer in answers] == [health, 200, ready]
    assert [answer.json()["status"] for answer in answers] == [status, "ok", status]
    assert [answer.headers.get("retry-after") for answer in answers] == [
        None if code == 200 else "1" for code in (health, 200, ready)
    ]


async def test_whether_it_lives_is_asked_of_nobody() -> None:
    memory = Told(being(Status.OK))
    memory.let.clear()
    assert (await asked(health_app(memory), "/livez")).status_code == 200
    assert memory.asked == 0


async def test_many_who_ask_at_once_are_one_question() -> None:
    memory = Told(being(Status.OK))
    memory.let.clear()
    app = health_app(memory, patience=30)
    codes: list[int] = []

    async def ask(path: str) -> None:
        codes.append((await asked(app, path)).status_code)

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(ask, "/api/health")
            group.start_soon(ask, "/readyz")
        await anyio.wait_all_tasks_blocked()
        memory.let.set()
    assert codes == [200] * 100
    assert memory.asked == 1


async def test_a_store_that_hangs_is_not_waited_for() -> None:
    memory = Told(being(Status.OK))
    memory.let.clear()
    with anyio.fail_after(10):
        answer = await asked(health_app(memory, patience=0.01), "/readyz")
    assert answer.status_code == 503
    memory.let.set()


@pytest.mark.parametrize("path", [*PATHS, "/nowhere"])
async def test_head_says_the_same_without_the_body(path: str) -> None:
    app = health_app(Told(being(Status.OK)), fresh=60)
    got, headed = await asked(app, path), await asked(app, path, "HEAD")
    assert (headed.status_code, headed.headers) == (got.status_code, got.headers)
    assert int(headed.headers["content-length"]) == len(got.content)
    assert headed.content == b""


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_other_methods_are_refused(path: str, method: str) -> None:
    answer = await asked(health_app(Told(being(Status.OK))), path, method)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/", "/api", "/api/health/", "/livezz", "//livez", "/LIVEZ"])
async def test_there_is_nothing_else(path: str) -> None:
    memory = Told(being(Status.OK))
    app = health_app(memory)
    assert [(await asked(app, path, method)).status_code for method in ("GET", "POST")] == [404] * 2
    assert memory.asked == 0


async def test_no_answer_may_be_kept() -> None:
    app = health_app(Told(being(Status.OK)))
    for path in PATHS:
        assert (await asked(app, path)).headers["cache-control"] == "no-store"


async def test_before_it_is_open_and_after_it_is_closed_it_is_not_ready() -> None:
    opened: list[om.MemoryManager] = []
    app = health_app(lambda: opened[0] if opened else None, fresh=60)
    for _ in range(2):
        assert (await asked(app, "/readyz")).status_code == 503
        assert (await asked(app, "/livez")).status_code == 200
        assert (await body_of(app))["components"] == {
            "app": "ok",
            "storage_firestore": "down",
            "storage_redis": "down",
        }
        opened.append(Told(being(Status.OK)))
        assert (await asked(app, "/readyz")).status_code == 200
        opened.clear()


@pytest.mark.parametrize("layer", [{"journal": "journal"}, {"cache": "redis://127.0.0.1:1"}, {}])
async def test_a_memory_that_was_closed_under_it_is_down(
    layer: dict[str, str], bare_environment: Any
) -> None:
    async with om.open_memory("sqlite:///state.db", **layer) as memory:
        app = health_app(memory, fresh=0)
        assert (await asked(app, "/readyz")).status_code == 200
    assert [(await asked(app, path)).status_code for path in PATHS] == [503, 200, 503]


async def test_environment_and_version_are_told_as_they_are_given() -> None:
    memory = Told(being(Status.OK))
    body = await body_of(health_app(memory, environment="canary", version="2026.11"))
    assert (body["environment"], body["version"]) == ("canary", "2026.11")


async def test_the_environment_is_that_of_the_settings() -> None:
    settings = om.Settings(app_env="staging")
    async with om.open_memory("local:", fallback=False, settings=settings) as memory:
        assert (await body_of(health_app(memory)))["environment"] == "staging"


async def test_without_details_nothing_is_told_of_the_inside() -> None:
    memory = Told(being(Status.DEGRADED, "projects/secret-project: no answer from 10.1.2.3"))
    answer = await asked(health_app(memory, details=False), "/api/health")
    assert answer.json()["details"] == {}
    assert answer.json()["components"]["storage_firestore"] == "degraded"
    assert "secret-project" not in answer.text
    assert "10.1.2.3" not in answer.text


async def test_no_password_is_ever_told() -> None:
    cache = f"redis://orchestra:hunter2@127.0.0.1:{free_port()}/0"
    async with om.open_memory("local:", cache=cache) as memory:
        answer = await asked(health_app(memory), "/api/health")
    assert "hunter2" not in answer.text
    assert answer.json()["components"]["storage_redis"] == "down"


async def test_a_memory_that_fails_to_say_is_down() -> None:
    error = om.Unavailable("Firestore cannot be reached", operation="health")
    answer = await asked(health_app(Told(error)), "/api/health")
    assert answer.status_code == 503
    assert "Unavailable: Firestore cannot be reached" in answer.text


async def test_a_bug_is_not_taken_for_an_outage() -> None:
    app = health_app(Told(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        await asked(app, "/api/health")


@pytest.mark.parametrize("framework", ["starlette", "fastapi"])
async def test_it_can_be_mounted(framework: str) -> None:
    health = health_app(Told(being(Status.OK)))
    app: Any
    if framework == "starlette":
        app = Starlette(routes=[Mount("/internal", health)])
    else:
        app = FastAPI()
        app.mount("/internal", health)
    assert (await body_of(app, "/internal/api/health"))["status"] == "ok"
    assert (await asked(app, "/internal/livez")).status_code == 200
    assert (await asked(app, "/internal/internal/livez")).status_code == 404
    assert (await asked(app, "/livez")).status_code == 404


async def test_mounted_at_the_root_it_comes_last() -> None:
    app = FastAPI()

    @app.get("/hello")
    async def hello() -> str:
        return "hello"

    app.mount("/", health_app(Told(being(Status.OK))))
    assert await body_of(app, "/hello") == "hello"
    assert (await body_of(app))["status"] == "ok"


class Server:
    """Plays the server's side of the lifespan protocol."""

    def __init__(self, app: Any) -> None:
        self.said: list[dict[str, Any]] = []
        self.started = anyio.Event()
        self._app = app
        self._end = anyio.Event()
        self._turn = 0

    async def run(self) -> None:
        await self._app({"type": "lifespan", "asgi": {"version": "3.0"}}, self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        self._turn += 1
        if self._turn == 1:
            return {"type": "lifespan.startup"}
        await self._end.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: dict[str, Any]) -> None:
        self.said.append(message)
        self.started.set()

    def end(self) -> None:
        self._end.set()


async def lived(server: Server) -> list[str]:
    server.end()
    await server.run()
    return [message["type"] for message in server.said]


COMPLETE = ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_the_lifespan_of_a_given_memory_is_its_owners() -> None:
    assert await lived(Server(health_app(Told(being(Status.OK))))) == COMPLETE


async def test_alone_it_opens_a_memory_and_closes_it(bare_environment: Any) -> None:
    app = health_app()
    assert (await asked(app, "/readyz")).status_code == 503
    server = Server(app)
    async with anyio.create_task_group() as group:
        group.start_soon(server.run)
        await server.started.wait()
        body = await body_of(app)
        assert body["status"] == "ok"
        assert body["details"]["memory"]["component"] == "sqlite"
        server.end()
    assert [message["type"] for message in server.said] == COMPLETE
    assert (await asked(app, "/readyz")).status_code == 503


async def test_alone_and_half_configured_it_says_what_is_missing(
    bare_environment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APP_ENV", "production")
    server = Server(health_app())
    assert await lived(server) == ["lifespan.startup.failed"]
    assert "GCP_PROJECT_ID" in server.said[0]["message"]


async def test_a_websocket_is_turned_away() -> None:
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        said.append(message)

    await health_app(Told(being(Status.OK)))({"type": "websocket", "path": "/"}, receive, send)
    assert [message["type"] for message in said] == ["websocket.close"]


async def test_the_answer_is_compact_json() -> None:
    answer = await asked(health_app(Told(Health("firestore", Status.OK, "Dvořák"))), "/api/health")
    assert answer.text == json.dumps(answer.json(), separators=(",", ":"))
