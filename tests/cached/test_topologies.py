"""The cache on Redis as people run it: over TLS, behind sentinels, on a cluster."""

from collections.abc import AsyncIterator, Callable, Iterator

import anyio
import pytest

import orchestra_memory as om
from orchestra_memory.layers.cached.connect import connect
from orchestra_memory.layers.cached.keys import Keyspace
from orchestra_memory.layers.cached.memory import CachedMemory
from orchestra_memory.layers.cached.tending import Tending

from .servers import SERVICE, installed, make_certificates, sentinel, tls_server

pytestmark = pytest.mark.anyio

NAMESPACES = [f"n{number}" for number in range(20)]


@pytest.fixture(scope="module", params=["tls", "socket", "sentinel", "cluster"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "tls":
        files = make_certificates(tmp_path_factory.mktemp("certificates"))
        with tls_server(files) as port:
            yield f"rediss://localhost:{port}?ssl_ca_certs={files.ca}"
    elif request.param == "socket":
        path = tmp_path_factory.mktemp("redis") / "redis.sock"
        with installed("--unixsocket", str(path)):
            yield f"unix://{path}"
    elif request.param == "sentinel":
        with installed() as server, sentinel(server) as watching:
            yield f"redis+sentinel://{watching}/{SERVICE}"
    else:
        nodes = request.getfixturevalue("nodes")
        yield f"redis+cluster://{nodes[0]}"


@pytest.fixture(autouse=True)
def _counted(use_backend: Callable[[str], None]) -> None:
    use_backend("redis")


@pytest.fixture
async def memory(url: str) -> AsyncIterator[om.MemoryManager]:
    """A cached memory whose Redis answers, for every namespace."""
    async with connect(url) as redis, CachedMemory(om.LocalMemory(), redis, store="s") as cached:
        with anyio.fail_after(30):
            while not all([await is_cached(cached, name) for name in NAMESPACES]):  # noqa: ASYNC110
                await anyio.sleep(0.2)
        yield cached


async def is_cached(memory: om.MemoryManager, namespace: str) -> bool:
    view = memory.with_options(namespace=namespace)
    await view.put(om.MemoryItem(id="k", user_id="u", session_id="s"))
    (found,) = await view.read([om.Ref(om.MemoryItem, "k")])
    return found is not None and found.source is om.Source.CACHE


async def test_records_and_lists_of_all_namespaces_are_cached(memory: om.MemoryManager) -> None:
    for name in NAMESPACES:
        assert await is_cached(memory, name)
        view = memory.with_options(namespace=name)
        query = om.recent(user_id="u", session_id="s")
        sources = [(await view.find(query)).source for _ in range(2)]
        assert sources[-1] is om.Source.CACHE
        await view.delete(om.MemoryItem, "k")
        assert await view.get(om.MemoryItem, "k") is None
        assert (await view.find(query)).records == []


async def test_it_can_be_tended(url: str, memory: om.MemoryManager) -> None:
    async with connect(url) as redis:
        tending = Tending(redis, Keyspace("s"))
        facts = (await tending.server()).facts
        assert facts["role"] == "master"
        assert await tending.drop_user("n1", "u") > 0
        assert (await tending.look(om.Ref(om.MemoryItem, "k", namespace="n1"))).state == "unknown"
        assert (await tending.look(om.Ref(om.MemoryItem, "k", namespace="n2"))).state == "record"
        assert await tending.renew_all() == len(NAMESPACES)
        assert (await tending.look(om.Ref(om.MemoryItem, "k", namespace="n2"))).state == "unknown"
