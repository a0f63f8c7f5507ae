"""The client of the cache's Redis: who it can talk to, and what it says when it cannot."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import anyio
import pytest
from redis import exceptions

from orchestra_memory import ConfigurationError
from orchestra_memory.layers.cached.connect import CONNECT_TIMEOUT, connect
from orchestra_memory.layers.cached.endpoint import Endpoint, Tls, endpoint_of
from orchestra_memory.testing import redis_server as redis_servers
from orchestra_memory.testing.probe import free_port
from orchestra_memory.testing.redis_server import RedisServer
from orchestra_memory.testing.service import Address

from .servers import (
    SERVICE,
    Certificates,
    installed,
    make_certificates,
    sentinel,
    tls_server,
)

pytestmark = pytest.mark.anyio

PASSWORD = "p@ss:w/rd?#%"
QUOTED = "p%40ss%3Aw%2Frd%3F%23%25"


@pytest.fixture(autouse=True)
def _counted(request: pytest.FixtureRequest, use_backend: Callable[[str], None]) -> None:
    if "redis_server" not in request.fixturenames and "url" not in request.fixturenames:
        use_backend("redis")


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


ENDPOINTS = {
    "redis://r": Endpoint((("r", 6379),)),
    "redis://r:1/2": Endpoint((("r", 1),), db=2),
    "redis://r?db=3&max_connections=4&client_name=me": Endpoint(
        (("r", 6379),), db=3, max_connections=4, client_name="me"
    ),
    f"redis://ann:{QUOTED}@r": Endpoint((("r", 6379),), username="ann", password=PASSWORD),
    f"redis://:{QUOTED}@[::1]:7": Endpoint((("::1", 7),), password=PASSWORD),
    "rediss://r": Endpoint((("r", 6379),), tls=Tls()),
    "rediss://r?ssl_ca_certs=/a&ssl_certfile=/c&ssl_keyfile=/k&ssl_check_hostname=false": Endpoint(
        (("r", 6379),), tls=Tls("/a", "/c", "/k", check_hostname=False)
    ),
    "unix:///run/redis%20here.sock?db=1": Endpoint(path="/run/redis here.sock", db=1),
    "unix://ann:pw@/r.sock": Endpoint(path="/r.sock", username="ann", password="pw"),
    "redis+cluster://:pw@a:1,b": Endpoint((("a", 1), ("b", 6379)), cluster=True, password="pw"),
    "redis+sentinel://a:1,b/main?db=2": Endpoint((("a", 1), ("b", 26379)), service="main", db=2),
}


@pytest.mark.parametrize("url", ENDPOINTS)
async def test_a_url_says_where_redis_is_and_who_asks(url: str) -> None:
    assert endpoint_of(url) == ENDPOINTS[url]


REFUSED = {
    "http://r": "one of the schemes redis",
    "redis://:hunter2@r/x": "number of a database",
    "redis://:hunter2@r?db=-1": "db of a cache URL",
    "redis://:hunter2@r?max_connections=0": "max_connections of a cache URL",
    "redis://:hunter2@r?socket_timeout=9": "takes client_name, db, max_connections after",
    "redis://:hunter2@r?db=1&db=2": "each once",
    "redis://:hunter2@r?ssl_ca_certs=/a": "takes client_name, db, max_connections after",
    "rediss://:hunter2@r?ssl_cert_reqs=none": "takes client_name",
    "rediss://:hunter2@r?ssl_check_hostname=maybe": "must be true or false",
    "rediss://:hunter2@r?ssl_keyfile=/k": "needs an ssl_certfile",
    "redis+sentinel://:hunter2@a:1": "ends with the name of the service",
    "redis+sentinel://:hunter2@a:x/main": "a cache URL with several hosts reads",
    "redis+cluster://:hunter2@a:1/2": "the only one of a cluster",
    "redis+cluster://:hunter2@a:1?db=0": "takes client_name, max_connections after",
}


@pytest.mark.parametrize("url", REFUSED)
async def test_a_url_of_no_use_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError, match=REFUSED[url]) as refused:
        async with connect(url):
            pass
    assert "hunter2" not in str(refused.value)


async def test_a_password_is_in_no_repr() -> None:
    url = "rediss://ann:hunter2@r?ssl_password=hunter2"
    async with connect(url) as redis:
        assert "hunter2" not in repr(redis) + repr(endpoint_of(url))


async def test_it_talks_bytes_under_a_name_in_protocol_3(redis_server: RedisServer) -> None:
    async with connect(redis_server.url) as redis:
        assert await redis.echo("é") == "é".encode()
        info = await redis.client_info()
        assert (info["name"], info["resp"]) == ("orchestra-memory", "3")


async def test_opening_does_not_wait_for_redis() -> None:
    # Nobody listens in these places; only a command finds that out.
    port = free_port()
    for url in (f"redis://127.0.0.1:{port}", "unix:///nowhere.sock", "redis://a.invalid"):
        async with connect(url) as redis:
            with pytest.raises(exceptions.ConnectionError):
                await redis.ping()


async def test_a_redis_that_comes_later_is_found() -> None:
    port = free_port()
    async with connect(f"redis://127.0.0.1:{port}") as redis:
        with pytest.raises(exceptions.ConnectionError):
            await redis.ping()
        with redis_servers.start(port=port):
            assert await redis.ping()
        with pytest.raises(exceptions.ConnectionError):
            await redis.ping()
        with redis_servers.start(port=port):
            assert await redis.ping()


async def test_a_command_is_sent_once() -> None:
    connections = 0

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readline()
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"redis://127.0.0.1:{port}") as redis:
            with pytest.raises(exceptions.ConnectionError):
                await redis.ping()
    assert connections == 1


async def test_a_redis_that_takes_the_connection_and_is_silent_is_given_up() -> None:
    gone = asyncio.Event()

    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gone.wait()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"redis://127.0.0.1:{port}") as redis:
            started = time.monotonic()
            with pytest.raises(exceptions.TimeoutError, match="no login in 1 s"):
                await redis.ping()
            assert time.monotonic() - started >= CONNECT_TIMEOUT
        gone.set()


async def test_a_socket_file_serves(tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    with installed("--unixsocket", str(path)):
        async with connect(f"unix://{path}?db=1") as redis:
            assert await redis.set("a", "b")
        async with connect(f"unix://{path}?db=2") as redis:
            assert await redis.get("a") is None


async def test_a_password_opens_and_a_wrong_one_does_not() -> None:
    with redis_servers.start("--requirepass", PASSWORD) as server:
        host = server.url.removeprefix("redis://")
        async with connect(f"redis://:{QUOTED}@{host}") as redis:
            assert await redis.ping()
        for login in ("", ":hunter2@", f"ann:{QUOTED}@"):
            async with connect(f"redis://{login}{host}") as redis:
                with pytest.raises(exceptions.RedisError) as refused:
                    await redis.ping()
                assert "hunter2" not in str(refused.value)
                assert PASSWORD not in str(refused.value)


async def test_tls_needs_an_authority_that_is_trusted(certificates: Certificates) -> None:
    with tls_server(certificates) as port:
        async with connect(f"rediss://localhost:{port}?ssl_ca_certs={certificates.ca}") as redis:
            assert await redis.ping()
        async with connect(f"rediss://localhost:{port}") as redis:
            with pytest.raises(exceptions.ConnectionError, match="certificate verify failed"):
                await redis.ping()
        async with connect(f"redis://localhost:{port}") as redis:
            with pytest.raises(exceptions.ConnectionError):
                await redis.ping()


async def test_tls_needs_the_name_in_the_certificate(certificates: Certificates) -> None:
    with tls_server(certificates) as port:
        url = f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificates.ca}"
        async with connect(url) as redis:
            with pytest.raises(exceptions.ConnectionError, match="IP address mismatch"):
                await redis.ping()
        async with connect(f"{url}&ssl_check_hostname=false") as redis:
            assert await redis.ping()
        unknown = f"rediss://127.0.0.1:{port}?ssl_check_hostname=false"
        async with connect(unknown) as redis:
            with pytest.raises(exceptions.ConnectionError, match="certificate verify failed"):
                await redis.ping()


async def test_tls_shows_a_certificate_where_one_is_asked_for(certificates: Certificates) -> None:
    with tls_server(certificates, clients=True) as port:
        url = f"rediss://localhost:{port}?ssl_ca_certs={certificates.ca}"
        own = f"&ssl_certfile={certificates.client}&ssl_keyfile={certificates.client_key}"
        async with connect(url + own) as redis:
            assert await redis.ping()
        async with connect(url) as redis:
            with pytest.raises(exceptions.ConnectionError):
                await redis.ping()


async def test_a_certificate_file_of_no_use_is_named_by_its_option(
    certificates: Certificates, tmp_path: Path
) -> None:
    (tmp_path / "empty.pem").touch()
    empty, missing = tmp_path / "empty.pem", tmp_path / "missing.pem"
    wrong = {
        f"ssl_ca_certs={missing}": "ssl_ca_certs in the cache URL: No such file",
        f"ssl_ca_certs={empty}": "ssl_ca_certs in the cache URL: not what it should be",
        f"ssl_certfile={missing}": "ssl_certfile and ssl_keyfile in the cache URL: No such file",
        f"ssl_certfile={certificates.client}&ssl_keyfile={certificates.ca}": "not what it should",
    }
    for options, why in wrong.items():
        with pytest.raises(ConfigurationError, match=why):
            async with connect(f"rediss://r?{options}"):
                pass


async def test_whoever_finds_all_connections_in_use_waits_his_turn(
    redis_server: RedisServer,
) -> None:
    async with connect(f"{redis_server.url}?max_connections=2", patience=10) as redis:
        assert len(await asyncio.gather(*(redis.echo("x") for _ in range(200)))) == 200
        assert redis.connection_pool.max_connections == 2


async def test_an_exhausted_pool_says_so_and_recovers(redis_server: RedisServer) -> None:
    async with connect(f"{redis_server.url}?max_connections=1", patience=0.01) as redis:
        held = await redis.connection_pool.get_connection()
        with pytest.raises(exceptions.MaxConnectionsError, match="all 1 connections to Redis"):
            await redis.ping()
        await redis.connection_pool.release(held)
        assert await redis.ping()


async def test_a_cancelled_command_gives_its_connection_back(redis_server: RedisServer) -> None:
    async with connect(f"{redis_server.url}?max_connections=1", patience=0.01) as redis:
        for _ in range(3):
            with anyio.move_on_after(0.02):
                await redis.blpop([f"nothing-{id(redis)}"], timeout=0)
            assert await redis.echo("mine") == b"mine"


async def test_a_cancelled_wait_for_a_connection_takes_none(redis_server: RedisServer) -> None:
    async with connect(f"{redis_server.url}?max_connections=1", patience=10) as redis:
        held = await redis.connection_pool.get_connection()
        for _ in range(3):
            with anyio.move_on_after(0.01):
                await redis.ping()
        await redis.connection_pool.release(held)
        assert await redis.ping()


async def test_an_outage_leaves_the_pool_whole() -> None:
    port = free_port()
    async with connect(f"redis://127.0.0.1:{port}?max_connections=1", patience=1) as redis:
        for _ in range(3):
            with pytest.raises(exceptions.ConnectionError):
                await redis.ping()
        with redis_servers.start(port=port):
            assert await redis.ping()


async def test_connections_are_closed_at_the_end(redis_server: RedisServer) -> None:
    name = f"closing-{free_port()}"
    async with connect(redis_server.url) as watcher:
        async with connect(f"{redis_server.url}?client_name={name}") as redis:
            await asyncio.gather(*(redis.ping() for _ in range(5)))
            assert name in {client["name"] for client in await watcher.client_list()}
        with anyio.fail_after(5):
            while name in {client["name"] for client in await watcher.client_list()}:  # noqa: ASYNC110
                await anyio.sleep(0.01)


async def test_sentinels_name_the_master_and_its_successor() -> None:
    with ExitStack() as watched, installed() as second:
        master = watched.enter_context(installed())
        async with connect(f"redis://{master}") as asked, connect(f"redis://{second}") as replica:
            await replica.replicaof(*master)
            with anyio.fail_after(20):
                while not (await asked.info("replication"))["connected_slaves"]:  # noqa: ASYNC110
                    await anyio.sleep(0.1)
        with sentinel(master) as watching:
            dead = f"127.0.0.1:{free_port()}"
            async with connect(f"redis+sentinel://{dead},{watching}/{SERVICE}") as redis:
                assert await redis.set("a", "first")
                assert (await redis.info("server"))["tcp_port"] == master.port
                await _until_replica_is_known(watching)
                watched.close()
                with anyio.fail_after(20):
                    await _until_moved(redis, master.port)
                assert await redis.set("a", "second")


async def _until_replica_is_known(watching: Address) -> None:
    async with connect(f"redis://{watching}") as asked:
        with anyio.fail_after(20):
            while not await asked.execute_command("SENTINEL", "REPLICAS", SERVICE):  # noqa: ASYNC110
                await anyio.sleep(0.1)


async def _until_moved(redis, before: int) -> None:
    while True:
        try:
            if (await redis.info("server"))["tcp_port"] != before and await redis.set("a", "b"):
                return
        except exceptions.RedisError:
            pass
        await anyio.sleep(0.1)


async def test_an_unknown_service_of_sentinels_is_no_connection() -> None:
    with installed() as master, sentinel(master) as watching:
        async with connect(f"redis+sentinel://{watching}/another") as redis:
            with pytest.raises(exceptions.ConnectionError, match="No master found"):
                await redis.ping()


async def test_a_cluster_is_found_by_one_of_its_nodes(nodes: Sequence[Address]) -> None:
    dead = f"127.0.0.1:{free_port()}"
    async with connect(f"redis+cluster://{dead},{nodes[-1]}", patience=10) as redis:
        with anyio.fail_after(20):
            await _until_whole(redis)
        keys = [f"{{{n}}}key" for n in range(100)]
        await asyncio.gather(*(redis.execute_command("EVAL", KEEP, 1, key) for key in keys))
        for node in nodes:
            async with connect(f"redis://{node}") as one:
                assert await one.dbsize()


async def test_a_cluster_that_all_use_says_so_and_recovers(nodes: Sequence[Address]) -> None:
    url = f"redis+cluster://{nodes[0]}?max_connections=1"
    async with connect(url, patience=0.01) as redis:
        with anyio.fail_after(20):
            await _until_whole(redis)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(redis.blpop, ["nothing"], 0.5)
            await anyio.sleep(0.1)
            with pytest.raises(exceptions.MaxConnectionsError, match="all 1 connections"):
                await redis.get("a")
        assert await redis.set("a", "b")


KEEP = "return redis.call('SET', KEYS[1], 'x')"


async def _until_whole(redis) -> None:
    while True:
        try:
            if all([await redis.set(f"{{{n}}}ready", "1") for n in range(20)]):
                return
        except (exceptions.RedisError, exceptions.RedisClusterException):
            await anyio.sleep(0.1)
