"""How reads that come at once share scripts, without a server."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from orchestra_memory import CacheUnavailable
from orchestra_memory.layers.cached.coalescing import Coalescer

pytestmark = pytest.mark.anyio

LONG = 60.0


class Server:
    """Answers when it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[str]]] = []
        self.running = self.most_running = 0
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def run(self, group: str, keys: list[str]) -> list[str]:
        self.asked.append((group, list(keys)))
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            await self.go.wait()
        finally:
            self.running -= 1
        if self.error is not None:
            raise self.error
        return [f"first {key}" for key in keys]


def shared(answer: str) -> str:
    return answer.replace("first", "later")


def busy() -> CacheUnavailable:
    return CacheUnavailable("busy")


def coalescer(server: Server, patience: float = LONG, **bounds: int) -> Coalescer[str, str, str]:
    return Coalescer(server.run, shared, busy, patience=patience, **bounds)


async def asking(subject, *calls: tuple[str, list[str]]) -> list[asyncio.Task[list[str]]]:
    tasks = [asyncio.create_task(subject.ask(group, keys)) for group, keys in calls]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_who_comes_alone_is_not_kept_waiting():
    server = Server()
    server.go.set()
    assert await coalescer(server).ask("g", ["a", "b"]) == ["first a", "first b"]
    assert server.asked == [("g", ["a", "b"])]


async def test_what_comes_while_all_lanes_are_taken_goes_together():
    server = Server()
    calls = [("g", [str(number)]) for number in range(50)]
    tasks = await asking(coalescer(server), *calls)
    assert len(server.asked) == 4
    server.go.set()
    answers = await asyncio.gather(*tasks)
    assert answers == [[f"first {number}"] for number in range(50)]
    assert len(server.asked) == 5
    assert server.most_running == 4


async def test_of_those_who_ask_for_one_key_only_the_first_gets_the_answer_as_it_is():
    server = Server()
    subject = coalescer(server, lanes=1)
    (lane,) = await asking(subject, ("g", ["lane"]))
    tasks = await asking(subject, ("g", ["a", "b"]), ("g", ["b", "c"]), ("g", ["c", "a"]))
    server.go.set()
    assert await asyncio.gather(*tasks) == [
        ["first a", "first b"],
        ["later b", "first c"],
        ["later c", "later a"],
    ]
    assert server.asked[-1] == ("g", ["a", "b", "c"])
    await lane


async def test_only_what_is_of_one_group_goes_together():
    server = Server()
    subject = coalescer(server, lanes=1)
    tasks = await asking(subject, *[(group, [str(n)]) for n in range(4) for group in "gh"])
    server.go.set()
    await asyncio.gather(*tasks)
    assert server.asked == [("g", ["0"]), ("h", list("0123")), ("g", list("123"))]


async def test_no_more_keys_go_together_than_allowed():
    server = Server()
    subject = coalescer(server, lanes=1, most=3)
    tasks = await asking(subject, ("g", ["lane"]), *[("g", [f"{n}a", f"{n}b"]) for n in range(4)])
    server.go.set()
    await asyncio.gather(*tasks)
    assert [len(keys) for _, keys in server.asked] == [1, 2, 2, 2, 2]


async def test_who_waits_in_vain_is_told_when_the_time_is_over():
    server = Server()
    subject = coalescer(server, patience=0.01, lanes=1)
    lane, *tasks = await asking(subject, ("g", ["lane"]), ("g", ["a"]), ("g", ["b"]))
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["busy", "busy"]
    assert outcomes[0] is not outcomes[1], "each raises its own"
    server.go.set()
    await lane
    assert server.asked == [("g", ["lane"])]


@pytest.mark.parametrize("error", [CacheUnavailable("gone"), KeyError("a mistake")])
async def test_all_who_share_a_script_share_its_failure(error):
    server = Server()
    subject = coalescer(server, lanes=1)
    tasks = await asking(subject, ("g", ["lane"]), ("g", ["a"]), ("g", ["b"]))
    server.error = error
    server.go.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert Counter(map(type, outcomes)) == {type(error): 3}
    server.error = None
    assert await subject.ask("g", ["a"]) == ["first a"]


async def test_a_lane_is_free_again_after_its_caller_was_cancelled():
    server = Server()
    subject = coalescer(server, lanes=1)
    lane, waiting = await asking(subject, ("g", ["lane"]), ("g", ["a"]))
    lane.cancel()
    await asyncio.gather(lane, return_exceptions=True)
    server.go.set()
    assert await waiting == ["first a"]


async def test_nobody_waits_for_what_was_stopped():
    server = Server()
    subject = coalescer(server, lanes=1)
    lane, first = await asking(subject, ("g", ["lane"]), ("g", ["a"]))
    lane.cancel()
    await asyncio.gather(lane, return_exceptions=True)
    (second,) = await asking(subject, ("g", ["b"]))
    assert server.asked[-1] == ("g", ["a"])
    subject.stop()
    outcomes = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [CacheUnavailable] * 2
