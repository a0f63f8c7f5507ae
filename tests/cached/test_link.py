"""What the link asks of Redis, and what it is told."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter

import anyio
import pytest
from redis.exceptions import DataError

from orchestra_memory import CacheUnavailable
from orchestra_memory.layers.cached.connect import connect
from orchestra_memory.layers.cached.link import Link
from orchestra_memory.layers.cached.replies import Absent, Busy, Found, Waiting, Window
from orchestra_memory.layers.cached.scopes import Scope
from orchestra_memory.layers.cached.scripts import (
    GIVEN_BACK,
    Change,
    Drop,
    Filling,
    KeepAbsent,
    KeepLive,
    WindowFilling,
)
from orchestra_memory.layers.cached.steps import Leased, RecordFill, Step, WindowFill
from orchestra_memory.models import MemoryItem

from .linked import (
    KEYS,
    SHORT,
    admin,
    eventually,
    fill,
    lease,
    linked,
    read,
    ref,
    scripts_run,
    stopped,
    used_again,
)
from .servers import cluster

pytestmark = pytest.mark.anyio

SESSION = Scope(MemoryItem, ("user_id",), ("ann",))


async def test_what_was_filled_is_found(server):
    async with linked(server.url) as link:
        await fill(link, version=5)
        found = await read(link)
        assert isinstance(found, Found)
        assert (found.version, found.payload) == (5, b"a")
        assert abs(link.now() - found.filled_at) < 60_000_000


async def test_what_is_absent_is_known_to_be(server):
    async with linked(server.url) as link:
        await link.fill([RecordFill(ref(), await lease(link), Filling(5, None, 60_000))])
        assert isinstance(await read(link), Absent)


async def test_a_lease_can_be_given_back(server):
    async with linked(server.url) as link:
        await link.fill([RecordFill(ref(), await lease(link), GIVEN_BACK)])
        assert isinstance(await read(link), Leased)


async def test_a_write_is_fenced_until_it_is_published(server):
    async with linked(server.url) as link:
        await fill(link, version=5)
        token = link.token()
        (intended,) = await link.intend([ref()], token=token, seconds=60)
        assert intended.ready
        assert isinstance(await read(link), Busy)
        await link.publish([Step(ref(), KeepLive(6, b"new", 60_000))], token=token)
        assert await read(link) == Found(6, b"new", (await read(link)).filled_at)
        await link.intend([ref()], token=(token := link.token()), seconds=60)
        await link.publish([Step(ref(), KeepAbsent(7, 60_000))], token=token)
        assert isinstance(await read(link), Absent)


async def test_a_fence_nobody_lifts_falls_and_what_was_behind_it_is_gone(server):
    async with linked(server.url) as link:
        await fill(link)
        await link.intend([ref()], token=link.token(), seconds=0.01)

        async def leased() -> bool:
            return isinstance(await read(link), Leased)

        await eventually(leased)


async def test_a_window_is_filled_and_appended_to(server):
    async with linked(server.url) as link:
        leased = await link.read_window(SESSION)
        assert isinstance(leased, Leased)
        members = (("a", b"1"), ("b", b"2"))
        await link.fill_window(
            WindowFill(SESSION, leased.token, WindowFilling(5, True, b"", 60_000, members))
        )
        token = link.token()
        record, window = await link.intend([ref("c"), SESSION], token=token, seconds=60)
        assert (record.ready, window.ready, window.count) == (False, True, 2)
        step = Step(SESSION, Change(6, window.sequence, (("c", b"3"), ("a", b""))))
        await link.publish([Step(ref("c"), KeepLive(6, b"c", 60_000)), step], token=token)
        found = await link.read_window(SESSION)
        assert isinstance(found, Window)
        assert sorted(found.members) == [("b", b"2"), ("c", b"3")]


async def test_what_is_older_than_asked_for_counts_as_unknown(server):
    async with linked(server.url) as link:
        await fill(link)
        assert isinstance((await link.read([ref()], max_age=3600))[0], Found)
        await asyncio.sleep(0.01)
        assert isinstance((await link.read([ref()], max_age=0.001))[0], Leased)


async def test_answers_follow_what_was_asked_across_namespaces(server):
    async with linked(server.url) as link:
        refs = [ref("a", "one"), ref("b"), ref("c", "two"), ref("d", "one"), ref("a")]
        leases = await link.read(refs)
        await link.fill(
            [
                RecordFill(
                    each, reply.token, Filling(1, f"{each.namespace} {each.key}".encode(), 60_000)
                )
                for each, reply in zip(refs, leases, strict=True)
            ]
        )
        found = [reply.payload.decode() for reply in await link.read(refs)]
        assert found == ["one a", "None b", "two c", "one d", "None a"]


async def test_what_is_known_is_read_without_a_script(server):
    async with linked(server.url) as link, admin(server) as redis:
        for key in "ab":
            await fill(link, key)
        before = await scripts_run(redis)
        assert all(isinstance(reply, Found) for reply in await link.read([ref(), ref("b")]))
        assert await scripts_run(redis) == before


async def test_one_script_tells_the_rest(server):
    async with linked(server.url) as link, admin(server) as redis:
        await fill(link)
        before = await scripts_run(redis)
        known, unknown = await link.read([ref(), ref("b")])
        assert isinstance(known, Found)
        assert isinstance(unknown, Leased)
        assert await scripts_run(redis) == before + 1


async def test_many_keys_go_four_hundred_at_a_time(server):
    async with linked(server.url) as link, admin(server) as redis:
        await read(link)
        before = await scripts_run(redis)
        refs = [ref(str(number)) for number in range(900)]
        replies = await link.read(refs)
        assert all(isinstance(reply, Leased) for reply in replies)
        assert await scripts_run(redis) == before + 3


async def test_a_herd_shares_few_scripts_and_one_lease(server):
    async with linked(server.url) as link, admin(server) as redis:
        await read(link, "other")
        before = await scripts_run(redis)
        replies = [*await asyncio.gather(*(read(link) for _ in range(1000)))]
        assert await scripts_run(redis) - before < 20
        kinds = Counter(type(reply) for reply in replies)
        assert kinds == {Leased: 1, Waiting: 999}
        tokens = {reply.token if isinstance(reply, Leased) else reply.lease for reply in replies}
        assert len(tokens) == 1


async def test_who_has_gone_does_not_take_the_lease_along(server):
    async with linked(server.url) as link:
        lanes = [asyncio.create_task(read(link, f"lane {n}")) for n in range(4)]
        queued = [asyncio.create_task(read(link)) for _ in range(5)]
        await asyncio.sleep(0)
        queued[0].cancel()
        replies = await asyncio.gather(*queued, return_exceptions=True)
        await asyncio.gather(*lanes)
        assert isinstance(replies[0], asyncio.CancelledError)
        assert [type(reply) for reply in replies[1:]] == [Leased, Waiting, Waiting, Waiting]


async def test_until_the_first_connection_nothing_is_asked_and_nothing_counted(server):
    async with connect(server.url) as redis:
        link = Link(redis, KEYS, timeout=SHORT)
        assert link.status().state == "connecting"
        with pytest.raises(CacheUnavailable, match="bypassed"):
            await read(link)
        assert link.status().errors == {}
        with stopped(server):
            healing = asyncio.create_task(link.heal())
            with anyio.fail_after(30):
                await link.connected()
            assert link.status().state == "open"
        await used_again(link)
        healing.cancel()


async def test_publishing_goes_on_without_its_caller(server):
    async with linked(server.url) as link:
        await fill(link)
        await link.intend([ref()], token=(token := link.token()), seconds=60)
        call = asyncio.create_task(
            link.publish([Step(ref(), KeepLive(6, b"new", 60_000))], token=token)
        )
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

        async def told() -> bool:
            return isinstance(await read(link), Found)

        await eventually(told)
        assert link.status().pending == 0


async def test_a_publish_that_fails_without_its_caller_is_remembered(server):
    async with linked(server.url, within=SHORT) as link:
        with stopped(server):
            call = asyncio.create_task(link.publish([Step(ref(), Drop(6))], token=link.token()))
            await asyncio.sleep(0)
            call.cancel()
            await eventually(lambda: link.status().pending == 1)
        await used_again(link)
        gc.collect()  # an error nobody asked for would be reported now


class Odd:
    """A client whose server answers what no script would."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    async def execute_command(self, *args):
        if args[0] == "EVAL" and args[2] == 1 and str(args[3]).endswith(":probe"):
            return [b"1", b"2", b""]
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize("answer", [None, b"OK", [], [b"K"], [b"E"], [b"K", [b"L", b"x"]], 7])
async def test_an_answer_that_no_script_gives_is_named(answer):
    link = Link(Odd(answer), KEYS)
    healing = asyncio.create_task(link.heal())
    await link.connected()
    for _ in range(5):
        with pytest.raises(CacheUnavailable, match="reply"):
            await read(link)
    assert link.bypassed
    healing.cancel()


async def test_a_mistake_of_ours_is_no_outage():
    link = Link(Odd(DataError("no such type")), KEYS)
    healing = asyncio.create_task(link.heal())
    await link.connected()
    with pytest.raises(DataError):
        await read(link)
    assert link.status().errors == {}
    healing.cancel()


async def test_on_a_cluster_each_namespace_lies_on_one_node():
    tenants = [f"tenant {number}" for number in range(7)]
    with cluster() as nodes:
        async with linked(f"redis+cluster://{nodes[0]}") as link:

            async def whole() -> bool:
                try:
                    await link.read([ref("first", tenant) for tenant in tenants])
                except CacheUnavailable:
                    return False
                return True

            await eventually(whole)
            refs = [ref(str(number), tenant) for number in range(6) for tenant in tenants]
            leases = await link.read(refs)
            fills = [
                RecordFill(each, reply.token, Filling(1, each.key.encode(), 60_000))
                for each, reply in zip(refs, leases, strict=True)
            ]
            await link.fill(fills)
            found = [reply.payload.decode() for reply in await link.read(refs)]
            assert found == [each.key for each in refs]
            await link.intend(refs, token=(token := link.token()), seconds=60)
            await link.publish([Step(each, Drop(2)) for each in refs], token=token)
            assert {type(reply) for reply in await link.read(refs)} == {Leased}


async def test_no_two_tokens_are_alike(server):
    async with linked(server.url) as link, linked(server.url) as other:
        tokens = [each.token() for _ in range(100) for each in (link, other)]
        assert len(set(tokens)) == len(tokens)
