"""The proxy does to connections what it is told, and only that."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import pytest

from orchestra_memory.testing.faults import Direction, FaultProxy, kill, resume, stop, stopped

pytestmark = pytest.mark.anyio

SOON = 0.05
"""Seconds within which an echo comes, unless something keeps it."""
ENOUGH = 10.0


class Echo:
    """A server that sends back what it got."""

    def __init__(self) -> None:
        self.got = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                self.got += data
                writer.write(data)
                await writer.drain()
        writer.close()


@pytest.fixture
async def echo() -> Echo:
    return Echo()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[FaultProxy]:
    async with (
        await asyncio.start_server(echo.serve, "127.0.0.1", 0) as server,
        FaultProxy(*server.sockets[0].getsockname()) as proxy,
    ):
        yield proxy


@asynccontextmanager
async def connected(
    proxy: FaultProxy,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def answered(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes = b"?"
) -> bytes:
    writer.write(data)
    async with asyncio.timeout(ENOUGH):
        return await reader.readexactly(len(data))


async def is_silent(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(SOON):
            await reader.read(1)
    except TimeoutError:
        return True
    return False


async def test_without_faults_all_that_is_sent_arrives_in_order(proxy: FaultProxy) -> None:
    sent = os.urandom(3_000_000)
    async with connected(proxy) as (reader, writer):
        assert await answered(reader, writer, sent) == sent
    assert proxy.requests.passed == proxy.answers.passed == len(sent)


async def test_an_orderly_end_passes_and_what_came_before_it_is_not_lost(proxy: FaultProxy) -> None:
    async with connected(proxy) as (reader, writer):
        writer.write(b"last words")
        writer.write_eof()
        assert await reader.read() == b"last words"


async def test_a_server_that_is_not_there_resets_the_connection() -> None:
    async with FaultProxy("127.0.0.1", 1) as proxy, connected(proxy) as (reader, _):
        with pytest.raises(ConnectionResetError):
            await reader.read()


async def test_refusing_refuses_new_connections_and_leaves_the_open_ones(proxy: FaultProxy) -> None:
    async with connected(proxy) as (reader, writer):
        assert await answered(reader, writer) == b"?"
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(proxy.host, proxy.port)
        assert await answered(reader, writer) == b"?"


async def test_it_takes_connections_on_the_same_port_again(proxy: FaultProxy) -> None:
    port = proxy.port
    for _ in range(3):
        proxy.refuse()
        await proxy.accept()
        async with connected(proxy) as (reader, writer):
            assert await answered(reader, writer) == b"?"
    assert proxy.port == port
    assert proxy.connections == 3


async def test_dropped_connections_are_reset_and_new_ones_are_taken(proxy: FaultProxy) -> None:
    async with connected(proxy) as (reader, writer):
        assert await answered(reader, writer) == b"?"
        proxy.drop()
        with pytest.raises(ConnectionResetError):
            await reader.read()
    async with connected(proxy) as (reader, writer):
        assert await answered(reader, writer) == b"?"


@pytest.mark.parametrize("way", ["requests", "answers"])
async def test_what_is_held_arrives_when_it_is_released(
    proxy: FaultProxy, echo: Echo, way: str
) -> None:
    direction: Direction = getattr(proxy, way)
    async with connected(proxy) as (reader, writer):
        assert await answered(reader, writer) == b"?"
        direction.hold()
        writer.write(b"held")
        assert await is_silent(reader)
        assert echo.got == (b"?" if way == "requests" else b"?held")
        direction.release()
        assert await reader.readexactly(4) == b"held"


async def test_a_black_hole_takes_connections_and_answers_nothing(
    proxy: FaultProxy, echo: Echo
) -> None:
    proxy.hold()
    async with connected(proxy) as (reader, writer):
        writer.write(b"?")
        assert await is_silent(reader)
        assert echo.got == b""
        await proxy.heal()
        assert await reader.readexactly(1) == b"?"


async def test_who_sends_into_a_black_hole_has_to_wait_at_some_point(proxy: FaultProxy) -> None:
    proxy.hold()
    async with connected(proxy) as (_, writer):
        writer.write(bytes(100_000_000))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await writer.drain()
        writer.transport.abort()


async def test_an_answer_can_be_lost_after_the_request_was_carried_out(
    proxy: FaultProxy, echo: Echo
) -> None:
    proxy.answers.cut_after(0)
    async with connected(proxy) as (reader, writer):
        writer.write(b"do it")
        assert await reader.read() == b""
    assert echo.got == b"do it"
    assert proxy.answers.cuts == 1


async def test_a_request_can_be_lost_before_it_was_carried_out(
    proxy: FaultProxy, echo: Echo
) -> None:
    proxy.requests.cut_after(3)
    async with connected(proxy) as (reader, writer):
        writer.write(b"do it")
        assert await reader.read() in (b"", b"do ")
    assert echo.got == b"do "


async def test_cuts_come_in_the_middle_of_a_message_and_count_from_the_one_before(
    proxy: FaultProxy,
) -> None:
    proxy.answers.cut_after(5, 2)
    for kept in (b"abcde", b"ab"):
        async with connected(proxy) as (reader, writer):
            writer.write(b"abcdefg")
            assert await reader.read() == kept
    async with connected(proxy) as (reader, writer):
        assert await answered(reader, writer, b"abcdefg") == b"abcdefg"
    assert proxy.answers.cuts == 2


async def test_a_cut_between_two_messages_lets_the_first_one_pass(proxy: FaultProxy) -> None:
    proxy.answers.cut_after(4)
    async with connected(proxy) as (reader, writer):
        for data in (b"ab", b"cd"):
            assert await answered(reader, writer, data) == data
        assert await reader.read() == b""


async def test_a_delay_counts_in_each_direction_and_pieces_do_not_wait_for_each_other(
    proxy: FaultProxy,
) -> None:
    proxy.requests.delay = proxy.answers.delay = 0.05
    loop = asyncio.get_running_loop()
    async with connected(proxy) as (reader, writer):
        began = loop.time()
        for number in range(20):
            writer.write(bytes([number]))
            await asyncio.sleep(0.005)
        assert await reader.readexactly(20) == bytes(range(20))
        # Twenty that wait for each other would take 20 x 0.1 s.
        assert 0.1 <= loop.time() - began < 1.5


async def test_a_narrow_direction_takes_its_time_and_loses_nothing(proxy: FaultProxy) -> None:
    proxy.answers.rate = 20_000
    loop, sent = asyncio.get_running_loop(), os.urandom(4_000)
    async with connected(proxy) as (reader, writer):
        began = loop.time()
        assert await answered(reader, writer, sent) == sent
        assert loop.time() - began >= 0.15


async def test_healing_ends_all_faults(proxy: FaultProxy) -> None:
    proxy.refuse()
    proxy.hold()
    proxy.requests.delay = ENOUGH
    proxy.answers.rate = 1
    proxy.answers.cut_after(0)
    await proxy.heal()
    async with connected(proxy) as (reader, writer):
        assert await answered(reader, writer, b"at once") == b"at once"


async def test_leaving_ends_all_connections_held_ones_too(echo: Echo) -> None:
    async with await asyncio.start_server(echo.serve, "127.0.0.1", 0) as server:
        async with FaultProxy(*server.sockets[0].getsockname()) as proxy:
            reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
            assert await answered(reader, writer) == b"?"
            proxy.hold()
            writer.write(b"held")
            await asyncio.sleep(SOON)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(proxy.host, proxy.port)


COUNTS = """
import sys
for line in sys.stdin:
    print(line, end="", flush=True)
"""


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", COUNTS], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        process.stdin.write(b"ready\n")
        process.stdin.flush()
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.kill()


async def test_a_stopped_process_hangs_and_goes_on_afterwards(
    process: subprocess.Popen[bytes],
) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    stop(process.pid)
    process.stdin.write(b"hello\n")
    process.stdin.flush()
    answer = asyncio.create_task(asyncio.to_thread(process.stdout.readline))
    assert not (await asyncio.wait([answer], timeout=SOON))[0]
    resume(process.pid)
    assert await answer == b"hello\n"


async def test_a_process_is_resumed_whatever_happens_in_between(
    process: subprocess.Popen[bytes],
) -> None:
    with pytest.raises(ZeroDivisionError), stopped(process.pid):
        raise ZeroDivisionError
    process.communicate(timeout=ENOUGH)
    assert process.returncode == 0


async def test_a_stopped_process_can_be_killed(process: subprocess.Popen[bytes]) -> None:
    with stopped(process.pid):
        kill(process.pid)
        assert process.wait(timeout=ENOUGH) == -signal.SIGKILL
