"""What the link to Redis promises its caller, against real servers."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections import Counter

import anyio
import pytest
from redis.asyncio import Redis
from redis.exceptions import DataError

from orchestra_memory import CacheUnavailable
from orchestra_memory.layers.cached.connect import connect
from orchestra_memory.layers.cached.link import Link
from orchestra_memory.layers.cached.replies import Absent, Busy, Found, Waiting, Window
from orchestra_memory.layers.cached.scopes import Scope
from orchestra_memory.layers.cached.steps import (
    AbsentStep,
    DropStep,
    Leased,
    PutStep,
    RecordFill,
    WindowFill,
    WindowStep,
)
from orchestra_memory.models import MemoryItem
from orchestra_memory.testing import redis_server as redis_servers
from orchestra_memory.testing.probe import free_port

from .linked import (
    KEYS,
    PATIENT,
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


@pytest.fixture(scope="module")
def server(use_own_redis):
    return use_own_redis


@pytest.fixture(scope="module")
def use_own_redis():
    # Stopped, filled and flushed here, so nobody else's.
    with redis_servers.start(own=True) as running:
        yield running


@pytest.fixture(autouse=True)
async def _empty(server, use_backend):
    use_backend("redis")
    async with admin(server) as redis:
        await redis.flushall()


async def test_what_was_filled_is_found(server):
    async with linked(server.url) as link:
        await fill(link, version=5)
        found = await read(link)
        assert isinstance(found, Found)
        assert (found.version, found.payload) == (5, b"a")
        assert abs(link.now() - found.filled_at) < 60_000_000


async def test_what_is_absent_is_known_to_be(server):
    async with linked(server.url) as link:
        await link.fill([RecordFill(ref(), await lease(link), 5, None, 60.0)])
        assert isinstance(await read(link), Absent)


async def test_a_lease_can_be_given_back(server):
    async with linked(server.url) as link:
        await link.fill([RecordFill(ref(), await lease(link), 0, b"", 0.0)])
        assert isinstance(await read(link), Leased)


async def test_a_write_is_fenced_until_it_is_published(server):
    async with linked(server.url) as link:
        await fill(link, version=5)
        token = link.token()
        (intended,) = await link.intend([ref()], token=token, seconds=60)
        assert intended.ready
        assert isinstance(await read(link), Busy)
        await link.publish([PutStep(ref(), 6, b"new", 60.0)], token=token)
        assert await read(link) == Found(6, b"new", (await read(link)).filled_at)
        await link.intend([ref()], token=(token := link.token()), seconds=60)
        await link.publish([AbsentStep(ref(), 7, 60.0)], token=token)
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
        await link.fill_window(WindowFill(SESSION, leased.token, 5, True, b"", members, 60.0))
        token = link.token()
        record, window = await link.intend([ref("c"), SESSION], token=token, seconds=60)
        assert (record.ready, window.ready, window.count) == (False, True, 2)
        step = WindowStep(SESSION, 6, window.sequence, (("c", b"3"), ("a", b"")), 60.0)
        await link.publish([PutStep(ref("c"), 6, b"c", 60.0), step], token=token)
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
                RecordFill(each, reply.token, 1, f"{each.namespace} {each.key}".encode(), 60.0)
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


async def test_a_hung_server_is_waited_for_once_and_not_asked_again(server):
    async with linked(server.url, within=SHORT) as link, admin(server) as redis:
        await read(link)
        before = await scripts_run(redis)
        with stopped(server):
            began = time.monotonic()
            with pytest.raises(CacheUnavailable, match="deadline"):
                await read(link)
            assert time.monotonic() - began < SHORT * 20
            for _ in range(50):
                with pytest.raises(CacheUnavailable, match="bypassed"):
                    await read(link)
            assert link.status().error == "deadline"
            assert link.status().counters["bypassed"] == 50
        await used_again(link)
        assert await scripts_run(redis) <= before + 1
        await fill(link, "b")
        assert isinstance(await read(link, "b"), Found)


async def test_all_who_wait_for_a_hung_server_are_told_in_time(server):
    async with linked(server.url, within=SHORT) as link:
        with stopped(server):
            began = time.monotonic()
            calls = (read(link, str(number)) for number in range(300))
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            assert time.monotonic() - began < SHORT * 20
        assert {type(outcome) for outcome in outcomes} == {CacheUnavailable}
        # Those who were still waiting for their turn did not ask.
        assert link.status().errors.keys() == {"deadline"}
        assert link.status().errors["deadline"] <= 4


async def test_a_server_that_refuses_is_given_up_after_five_calls_and_found_again(caplog):
    caplog.set_level(logging.INFO, "orchestra_memory.cache")
    port = free_port()
    async with linked(f"redis://127.0.0.1:{port}/0") as link:
        assert link.bypassed
        assert link.status().errors == {"connection": 1}
        with redis_servers.start(port=port):
            await used_again(link)
            await fill(link)
        failures = []
        while not link.bypassed:
            with pytest.raises(CacheUnavailable, match="connection") as failed:
                await read(link)
            failures.append(failed.value)
        assert len(failures) == 5
        assert link.status().state == "open"
        with redis_servers.start(port=port):
            await used_again(link)
            assert isinstance(await read(link), Leased), "it has come back empty"
    levels = [record.levelname for record in caplog.records]
    assert levels == ["WARNING", "INFO", "WARNING", "INFO"]


async def fails_as(link: Link, kind: str) -> None:
    """Calls fail for this reason, until nobody asks any more."""
    for number in range(5):
        with pytest.raises(CacheUnavailable, match=rf"\({kind}\)"):
            await read(link, f"{kind} {number}")
    assert link.bypassed
    assert link.status().errors[kind] >= 5
    assert link.status().error == kind


async def test_a_full_server_is_named_and_used_again_when_it_has_room(server):
    async with linked(server.url) as link, admin(server) as redis:
        await redis.config_set("maxmemory", "1mb")
        try:
            await fails_as(link, "oom")
        finally:
            await redis.config_set("maxmemory", "0")
        await used_again(link)


async def test_a_replica_is_named_and_used_again_when_it_is_promoted(server):
    async with linked(server.url) as link, admin(server) as redis:
        await redis.execute_command("REPLICAOF", "127.0.0.1", str(free_port()))
        try:
            await fails_as(link, "readonly")
        finally:
            await redis.execute_command("REPLICAOF", "NO", "ONE")
        await used_again(link)


async def test_a_user_without_rights_is_named(server):
    async with linked(server.url) as link, admin(server) as redis:
        await redis.execute_command("ACL", "SETUSER", "default", "-evalsha", "-eval")
        try:
            await fails_as(link, "permission")
        finally:
            await redis.execute_command("ACL", "SETUSER", "default", "+@all")
        await used_again(link)


async def test_a_wrong_password_is_named_and_never_repeated(server, caplog):
    caplog.set_level(logging.DEBUG)
    async with admin(server) as redis:
        await redis.config_set("requirepass", "right")
        try:
            for login in ("", ":hunter2@"):
                async with linked(server.url.replace("//", f"//{login}")) as link:
                    assert link.bypassed
                    assert link.status().error == "auth"
                    with pytest.raises(CacheUnavailable) as failed:
                        await read(link)
                    assert "hunter2" not in f"{failed.value!r} {link!r} {caplog.text}"
        finally:
            await redis.config_set("requirepass", "")


async def test_a_server_that_is_loading_is_named_and_used_again_when_it_is_done():
    with redis_servers.start("--enable-debug-command", "yes") as server:
        async with linked(server.url) as link, admin(server) as redis:
            await redis.execute_command("DEBUG", "POPULATE", "2000", "load", "1000")
            await redis.config_set("loading-process-events-interval-bytes", "1024")
            await redis.config_set("key-load-delay", "1000")
            reload = asyncio.create_task(redis.execute_command("DEBUG", "RELOAD"))
            async with admin(server) as other:

                async def loading() -> bool:
                    return bool((await other.info("persistence"))["loading"])

                await eventually(loading)
            await fails_as(link, "loading")
            await reload
            await used_again(link)


async def key_of(redis, key: str = "a") -> str:
    epoch = await redis.get(KEYS.epoch_key(None))
    return KEYS.key(ref(key), epoch.decode())


@pytest.mark.parametrize("garbage", ["text", "list", "fields"])
async def test_garbage_in_a_key_is_a_miss_and_no_outage(server, garbage):
    async with linked(server.url) as link, admin(server) as redis:
        await fill(link)
        await fill(link, "b")
        key = await key_of(redis)
        await redis.delete(key)
        if garbage == "fields":
            await redis.hset(key, mapping={"v": "much", "f": "\xff", "lx": "?", "i:t": "soon"})
        else:
            await (redis.set(key, "x") if garbage == "text" else redis.rpush(key, "x"))
        broken, whole = await link.read([ref(), ref("b")])
        assert isinstance(broken, Leased)
        assert isinstance(whole, Found)
        assert not link.bypassed


async def test_garbage_for_an_epoch_begins_another(server):
    async with linked(server.url) as link, admin(server) as redis:
        await fill(link)
        await redis.delete(KEYS.epoch_key(None))
        await redis.rpush(KEYS.epoch_key(None), "x")
        assert isinstance(await read(link), Leased)


async def test_nothing_outlives_a_flush(server):
    async with linked(server.url) as link, admin(server) as redis:
        token = await lease(link)
        await fill(link, "b")
        await redis.flushall()
        await link.fill([RecordFill(ref(), token, 5, b"old", 60.0)])
        replies = await link.read([ref(), ref("b")])
        assert [type(reply) for reply in replies] == [Leased, Leased]


@pytest.mark.parametrize("first", ["idle", "another"])
async def test_nothing_comes_back_with_a_snapshot(tmp_path, first):
    """A server that was restarted from its disk may have lost the last writes."""
    port, options = free_port(), ("--dir", str(tmp_path))
    async with linked(f"redis://127.0.0.1:{port}/0") as link:
        with redis_servers.start(*options, port=port) as server:
            await used_again(link)
            await fill(link)
            async with admin(server) as redis:
                await redis.save()
        with redis_servers.start(*options, port=port) as server:
            async with admin(server) as redis:
                assert await redis.exists(await key_of(redis)), "or there is nothing to test"
            if first == "another":
                # So Redis knows the scripts, and another namespace is as it should be.
                async with linked(server.url) as other:
                    assert isinstance((await other.read([ref("a", "another")]))[0], Leased)
            await used_again(link)
            reply = None
            while reply is None:
                try:
                    reply = await read(link)
                except CacheUnavailable:
                    await used_again(link)
            assert not isinstance(reply, Found)


async def test_processes_agree_on_the_epoch_after_a_restart_that_one_did_not_notice():
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    async with Redis.from_url(url) as redis:
        link = Link(redis, KEYS, timeout=PATIENT)
        with redis_servers.start(port=port):
            healing = asyncio.create_task(link.heal())
            await link.connected()
            await fill(link)
        await redis.connection_pool.disconnect()  # so that they are made anew without a word
        with redis_servers.start(port=port):
            async with linked(url) as other:
                await read(other)
                for _ in range(3):
                    await read(link)
                    await read(other)
                epoch = await redis.get(KEYS.epoch_key(None))
                for _ in range(3):
                    await read(link)
                    await read(other)
                assert await redis.get(KEYS.epoch_key(None)) == epoch
        healing.cancel()


async def test_an_exhausted_pool_is_named(server):
    async with connect(f"{server.url}?max_connections=1", patience=SHORT / 2) as redis:
        link = Link(redis, KEYS, timeout=SHORT)
        healing = asyncio.create_task(link.heal())
        await link.connected()
        await used_again(link)
        taken = await redis.connection_pool.get_connection()
        try:
            with pytest.raises(CacheUnavailable, match=r"\(pool\)"):
                await read(link)
        finally:
            await redis.connection_pool.release(taken)
        assert isinstance(await read(link), Leased)
        healing.cancel()


async def test_a_caller_that_is_cancelled_never_opens_the_breaker(server):
    async with linked(server.url, within=SHORT * 10) as link:
        with stopped(server):
            for _ in range(20):
                with anyio.move_on_after(0.005) as scope:
                    await read(link)
                assert scope.cancelled_caught
        assert not link.bypassed
        assert link.status().errors == {}


async def test_a_cancelled_call_leaves_no_answer_for_the_next(server):
    async with linked(server.url) as link:
        names = [str(number) for number in range(8)]
        for name in names:
            await fill(link, name)
        answers = 0
        for turn in range(150):
            tasks = [asyncio.create_task(read(link, name)) for name in names]
            for _ in range(turn % 7):
                await asyncio.sleep(0)
            tasks[turn % 8].cancel()
            tasks[turn // 8 % 8].cancel()
            for name, reply in zip(
                names, await asyncio.gather(*tasks, return_exceptions=True), strict=True
            ):
                if not isinstance(reply, asyncio.CancelledError):
                    assert reply.payload == name.encode()
                    answers += 1
        assert answers > 500
        assert link.status().errors == {}


async def test_a_burst_of_writes_waits_for_its_turn_and_exhausts_nothing(server):
    async with connect(server.url) as redis:
        link = Link(redis, KEYS, timeout=PATIENT)
        healing = asyncio.create_task(link.heal())
        await link.connected()
        steps = [DropStep(ref(str(number)), 1) for number in range(1000)]
        await asyncio.gather(*(link.publish([step], token=link.token()) for step in steps))
        assert link.status().errors == {}
        healing.cancel()


async def test_an_answer_that_a_blocked_event_loop_took_late_is_an_answer(server):
    async with linked(server.url, within=SHORT) as link:
        for _ in range(5):
            call = asyncio.create_task(read(link))
            await asyncio.sleep(0)
            time.sleep(SHORT * 3)  # noqa: ASYNC251 -- that is what is tested
            await call
        assert link.status().errors == {}


async def test_a_hung_server_is_seen_as_soon_as_the_event_loop_is_free(server):
    async with linked(server.url, within=SHORT) as link:
        with stopped(server):
            call = asyncio.create_task(read(link))
            await asyncio.sleep(0)
            time.sleep(SHORT * 3)  # noqa: ASYNC251
            with pytest.raises(CacheUnavailable, match="deadline"):
                await call
            assert link.bypassed


async def test_a_busy_event_loop_is_not_blamed_on_redis_for_a_second_at_most(server):
    async def keep_busy() -> None:
        while True:
            time.sleep(SHORT * 0.7)  # noqa: ASYNC251
            await asyncio.sleep(0)

    async with linked(server.url, within=SHORT) as link:
        await read(link)
        blocker = asyncio.create_task(keep_busy())
        with stopped(server):
            with pytest.raises(CacheUnavailable, match="lag"):
                await read(link)
            assert not link.bypassed
            with anyio.fail_after(60):
                while not link.bypassed:
                    with pytest.raises(CacheUnavailable, match=r"lag|deadline"):
                        await read(link)
            blocker.cancel()


async def test_what_could_not_be_told_is_told_before_anything_is_read_again(server):
    async with (
        linked(server.url, within=SHORT) as link,
        linked(server.url) as other,
        admin(server) as redis,
    ):
        await fill(link, version=5)
        await fill(link, "untouched")
        with stopped(server):
            with pytest.raises(CacheUnavailable):
                await link.publish([DropStep(ref(), 7)], token=link.token())
            assert link.bypassed
            assert link.status().pending == 1
        while link.bypassed:
            assert link.status().pending <= 1
            await asyncio.sleep(0)
        assert link.status().pending == 0
        assert await redis.hget(await key_of(redis), "v") == b"7"
        await other.fill([RecordFill(ref(), await lease(other), 6, b"stale", 60.0)])
        assert not isinstance(await read(other), Found)
        assert isinstance(await read(other, "untouched"), Found)


async def test_after_an_outage_what_was_filled_before_is_not_used(server):
    async with linked(server.url, within=SHORT) as link, linked(server.url) as spared:
        await fill(link)
        with stopped(server), pytest.raises(CacheUnavailable):
            await read(link)
        await used_again(link)
        assert isinstance(await read(spared), Found)
        assert isinstance(await read(link), Leased)


async def test_an_invalidation_is_told_at_once_where_there_was_no_outage(server):
    async with linked(server.url) as link:
        await fill(link)
        await fill(link, "b")
        link.remember([(ref(), 9)])
        assert link.bypassed
        await used_again(link)
        replies = await link.read([ref(), ref("b")])
        assert [type(reply) for reply in replies] == [Leased, Found]


async def test_too_many_invalidations_void_the_namespace_for_all(server):
    async with linked(server.url) as link, linked(server.url) as other:
        await fill(other)
        leased = (await other.read([ref("kept", "elsewhere")]))[0]
        kept = RecordFill(ref("kept", "elsewhere"), leased.token, 1, b"kept", 60.0)
        await other.fill([kept])
        link.remember((ref(f"written {number}"), 1) for number in range(10_001))
        assert link.status().pending == 1
        await used_again(link)
        assert isinstance(await read(other), Leased)
        assert isinstance((await other.read([kept.ref]))[0], Found)


async def test_a_new_process_uses_what_others_filled(server):
    async with linked(server.url) as link:
        await fill(link)
    async with linked(server.url) as late:
        assert isinstance(await read(late), Found)


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
        call = asyncio.create_task(link.publish([PutStep(ref(), 6, b"new", 60.0)], token=token))
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
            call = asyncio.create_task(link.publish([DropStep(ref(), 6)], token=link.token()))
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
                RecordFill(each, reply.token, 1, each.key.encode(), 60.0)
                for each, reply in zip(refs, leases, strict=True)
            ]
            await link.fill(fills)
            found = [reply.payload.decode() for reply in await link.read(refs)]
            assert found == [each.key for each in refs]
            await link.intend(refs, token=(token := link.token()), seconds=60)
            await link.publish([DropStep(each, 2) for each in refs], token=token)
            assert {type(reply) for reply in await link.read(refs)} == {Leased}


async def test_no_two_tokens_are_alike(server):
    async with linked(server.url) as link, linked(server.url) as other:
        tokens = [each.token() for _ in range(100) for each in (link, other)]
        assert len(set(tokens)) == len(tokens)
