"""The store at the other end of a network fails as a real one does."""

from collections.abc import AsyncIterator
from dataclasses import replace

import anyio
import pytest

from orchestra_memory import ABSENT, Conflict, DeadlineExceeded, Query, Ref, Status, Unavailable
from orchestra_memory.operations import DEFAULT
from orchestra_memory.testing.faults import FaultProxy

from .records import Fact
from .remote import RemoteMemory, StoreService

pytestmark = pytest.mark.anyio

SOON = replace(DEFAULT, timeout=0.1)
FACT = Fact(id="a", by="somebody")


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with StoreService(tmp_path_factory.mktemp("store") / "store.db") as service:
        yield service


@pytest.fixture
async def proxy(service: StoreService) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(*service.address) as proxy:
        yield proxy


@pytest.fixture
async def memory(proxy: FaultProxy, use_backend) -> AsyncIterator[RemoteMemory]:
    use_backend("sqlite")
    memory = RemoteMemory(proxy.host, proxy.port)
    yield memory
    await memory.aclose()


async def test_answers_and_errors_come_through(memory):
    receipt = await memory.put(FACT)
    (stored,) = await memory.read([Ref(Fact, "a")])
    assert (stored.record, stored.revision) == (FACT, receipt.revisions[0])
    assert (await memory.find(Query(Fact))).records == [FACT]
    assert (await memory.health()).status is Status.OK
    with pytest.raises(Conflict) as caught:
        await memory.put(FACT, expect=ABSENT)
    assert caught.value.refs == (Ref(Fact, "a"),)


async def test_a_refused_write_is_not_in_doubt_and_one_whose_answer_is_lost_is(memory, proxy):
    proxy.refuse()
    with pytest.raises(Unavailable) as caught:
        await memory.put(Fact(id="refused"))
    assert not caught.value.ambiguous
    await proxy.heal()
    proxy.answers.cut_after(0)
    with pytest.raises(Unavailable) as caught:
        await memory.put(Fact(id="lost"))
    assert caught.value.ambiguous
    assert await memory.get_many(Fact, ["refused", "lost"]) == [None, Fact(id="lost")]


async def test_what_arrives_after_its_deadline_is_not_begun(memory, proxy):
    await memory.get(Fact, "a")
    proxy.hold()
    with pytest.raises(DeadlineExceeded) as caught:
        await memory.put(Fact(id="late"), options=SOON)
    assert caught.value.ambiguous
    await proxy.heal()
    await anyio.sleep(0.05)
    assert await memory.get(Fact, "late") is None


async def test_one_that_is_killed_has_kept_what_it_committed(memory, service):
    await memory.put(Fact(id="kept"))
    service.kill()
    with pytest.raises(Unavailable):
        await memory.get(Fact, "kept")
    health = await memory.health()
    assert (health.status, health.answered) == (Status.DOWN, False)
    await service.restart()
    assert await memory.get(Fact, "kept") == Fact(id="kept")
