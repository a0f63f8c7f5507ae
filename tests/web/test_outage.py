"""Health of the whole stack while Firestore and Redis are cut off."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx2
import pytest

import orchestra_memory as om
from orchestra_memory.testing.faults import FaultProxy
from orchestra_memory.web import health_app

pytestmark = pytest.mark.anyio


@pytest.fixture
async def proxy(firestore_emulator: Any) -> AsyncIterator[FaultProxy]:
    host, _, port = str(firestore_emulator.host).rpartition(":")
    async with FaultProxy(host, int(port)) as proxy:
        yield proxy


@pytest.fixture
async def memory(
    proxy: FaultProxy, firestore_project: str, redis_server: Any, tmp_path: Any
) -> AsyncIterator[om.Memory]:
    settings = om.Settings(timeout=0.5, drain=0.5)
    url = f"firestore://{firestore_project}?emulator={proxy.host}:{proxy.port}"
    async with om.open_memory(
        url, cache=redis_server.url, journal=tmp_path, settings=settings
    ) as memory:
        yield memory


async def get(app: Any, path: str) -> httpx2.Response:
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get(path)


async def until(app: Any, status: str) -> Any:
    for _ in range(600):
        body = (await get(app, "/api/health")).json()
        if body["status"] == status:
            return body
        await anyio.sleep(0.05)
    raise AssertionError(body)


@pytest.mark.parametrize("fault", ["refused", "black hole"])
async def test_an_outage_is_degraded_ready_and_alive(
    proxy: FaultProxy, memory: om.Memory, fault: str
) -> None:
    app = health_app(memory, fresh=0.05, patience=0.2)
    assert (await until(app, "ok"))["components"]["storage_firestore"] == "ok"
    if fault == "refused":
        proxy.refuse()
        proxy.drop()
    else:
        proxy.hold()
    await memory.put(om.MemoryItem(user_id="ann"))
    for _ in range(20):
        codes = [(await get(app, path)).status_code for path in ("/livez", "/readyz")]
        assert codes == [200, 200]
    body = await until(app, "degraded")
    assert body["components"] == {
        "app": "ok",
        "storage_firestore": "down",
        "storage_redis": "ok",
    }
    assert "1 write waits" in body["details"]["memory"]["detail"]
    await proxy.heal()
    assert (await until(app, "ok"))["components"]["storage_firestore"] == "ok"
