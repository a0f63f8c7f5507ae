"""When the function is spared, who tries it again, and what the breaker never hears of."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_memory import Breaker, BreakerOpen, BreakerSettings, DeadlineExceeded, Fallback
from orchestra_memory.resilience.breaker import State

from .jumping import jumping, now


class Busy(Exception):
    pass


class Bug(Exception):
    pass


class Service:
    """Does what it is told, one item a call: answers, raises, or takes so many seconds first."""

    def __init__(self, *steps):
        self.steps = list(steps)
        self.calls = 0
        self.under_way = 0

    async def __call__(self, *steps):
        self.calls += 1
        self.under_way += 1
        try:
            for step in steps or self.steps:
                if isinstance(step, Exception):
                    raise step
                await asyncio.sleep(step)
            return "answer"
        finally:
            self.under_way -= 1


async def substitute(failure, *_):
    return failure


def breaker(**settings):
    return Breaker(BreakerSettings(**settings), clock=now, chance=lambda: 0.5)


def guarded(service, *, on=(Busy, TimeoutError), deadline=5, hooks=(), **settings):
    """The service behind a breaker, and the breaker."""
    policy = Fallback(
        on=on, to=substitute, deadline=deadline, breaker=breaker(**settings), hooks=hooks
    )
    return policy(service), policy.breaker


def opened(service, **options):
    call, subject = guarded(service, **options)
    subject.trip()
    return call, subject


async def half_open(service, **options):
    call, subject = opened(service, **options)
    await asyncio.sleep(subject.probe_in())
    return call, subject


@jumping
async def test_after_five_failures_the_function_is_not_called():
    busy, service, told = Busy(), Service(), []
    call, subject = guarded(service, hooks=[told.append])
    assert [await call(busy) for _ in range(5)] == [busy] * 5
    refusal = await call(busy)
    assert isinstance(refusal, BreakerOpen)
    assert not refusal.ambiguous
    assert service.calls == 5
    assert [degraded.state for degraded in told] == [State.CLOSED] * 4 + [State.OPEN] * 2
    assert (told[-1].failure, told[-1].seconds) == (BreakerOpen, 0)
    assert subject.state is State.OPEN


@jumping
async def test_settings_make_a_breaker_of_ones_own():
    service = Service(Busy())
    policy = Fallback(on=Busy, to=substitute, breaker=BreakerSettings(consecutive=2))
    assert [type(await policy(service)()) for _ in range(3)] == [Busy, Busy, BreakerOpen]


@jumping
async def test_functions_can_share_a_breaker():
    shared = breaker()
    first = Fallback(on=Busy, to=substitute, breaker=shared)(Service(Busy()))
    other = Service()
    for _ in range(5):
        await first()
    assert isinstance(
        await Fallback(on=Bug, to=substitute, breaker=shared)(other)(), BreakerOpen
    ), "whatever else would be a failure of it"
    assert other.calls == 0


@jumping
async def test_exactly_one_probes_while_a_hundred_wait():
    service = Service(2)
    call, subject = await half_open(service)
    answers = await asyncio.gather(*(call() for _ in range(100)))
    assert service.calls == 1
    assert answers[0] == "answer"
    assert {type(answer) for answer in answers[1:]} == {BreakerOpen}
    assert subject.state is State.HALF_OPEN


@jumping
async def test_two_answers_close_it():
    call, subject = await half_open(Service())
    assert [await call(), await call()] == ["answer"] * 2
    assert subject.state is State.CLOSED


@jumping
async def test_a_failed_probe_keeps_it_open():
    busy = Busy()
    call, subject = await half_open(Service())
    assert await call(busy) is busy
    assert subject.state is State.OPEN
    assert isinstance(await call(), BreakerOpen)
    assert subject.probe_in() == 2


@jumping
async def test_whoever_still_waits_for_a_substitute_is_no_longer_the_prober():
    async def slow_substitute(failure, *_):
        await asyncio.sleep(subject.probe_in() + 1)

    service, subject = Service(), breaker()
    subject.trip()
    await asyncio.sleep(subject.probe_in())
    call = Fallback(on=Busy, to=slow_substitute, breaker=subject)(service)
    failed = asyncio.create_task(call(Busy()))
    await asyncio.sleep(0)
    await asyncio.sleep(subject.probe_in())
    prober = asyncio.create_task(call(10))
    await failed
    assert service.under_way == 1
    assert not subject.probe(), "one is under way"
    await prober


async def cancelled(call):
    probe = asyncio.create_task(call(60))
    await asyncio.sleep(1)
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe


async def failed_otherwise(call):
    with pytest.raises(Bug):
        await call(Bug())


async def closed(call):
    probe = call(60)
    probe.send(None)
    probe.close()


@pytest.mark.parametrize("end", [cancelled, failed_otherwise, closed])
@jumping
async def test_a_probe_that_tells_nothing_leaves_the_way_to_another(end):
    call, subject = await half_open(Service())
    await end(call)
    assert subject.state is State.HALF_OPEN
    assert await call() == "answer"


@jumping
async def test_a_predicate_that_raises_leaves_the_way_to_another():
    def predicate(error):
        raise Bug

    call, _ = await half_open(Service(), on=predicate)
    with pytest.raises(Bug):
        await call(Busy())
    assert await call() == "answer"


@jumping
async def test_a_hook_that_raises_leaves_the_breaker_told():
    def hook(degraded):
        raise Bug

    call, subject = await half_open(Service(), hooks=[hook])
    with pytest.raises(Bug):
        await call(Busy())
    assert subject.state is State.OPEN
    await asyncio.sleep(subject.probe_in())
    assert await call() == "answer"


@jumping
async def test_a_probe_that_hangs_ends_at_its_deadline():
    call, subject = await half_open(Service(), deadline=3)
    began = now()
    assert isinstance(await call(60), DeadlineExceeded)
    assert now() - began == 3
    assert subject.state is State.OPEN


@jumping
async def test_a_missed_deadline_opens_it_at_once():
    call, subject = guarded(Service())
    await call(60)
    assert subject.state is State.OPEN


@jumping
async def test_missed_deadlines_only_count_where_they_need_confirmation():
    call, subject = guarded(Service(), confirm=0.25)
    for _ in range(4):
        await call(60)
        assert subject.state is State.CLOSED
    await call(60)
    assert subject.state is State.OPEN


@jumping
async def test_what_fails_because_of_the_deadline_has_missed_it():
    async def translating():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise Busy from None

    call, subject = guarded(translating)
    assert isinstance(await call(), Busy)
    assert subject.state is State.OPEN


@jumping
async def test_a_timeout_of_the_functions_own_opens_nothing_at_once():
    call, subject = guarded(Service())
    await call(TimeoutError())
    assert subject.state is State.CLOSED


@jumping
async def test_too_many_slow_answers_open_it_and_a_slow_probe_does_not_close_it():
    call, subject = guarded(Service(), slow=1)
    assert await asyncio.gather(*(call(2) for _ in range(20))) == ["answer"] * 20
    assert subject.state is State.OPEN
    await asyncio.sleep(subject.probe_in())
    assert await call(2) == "answer"
    assert subject.state is State.OPEN


@jumping
async def test_bugs_and_impatient_callers_never_open_it():
    call, subject = guarded(Service())
    for _ in range(50):
        with pytest.raises(Bug):
            await call(Bug())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await call(60)
    assert subject.state is State.CLOSED


@pytest.mark.parametrize("probing", [False, True])
@pytest.mark.parametrize("steps", range(12))
@jumping
async def test_cancelled_at_any_step_it_ends_there(probing, steps):
    """Six steps fail, six more substitute; whichever is cancelled, the next is not begun."""
    asked, failed = [], []

    async def six(*_):
        asked.append(now())
        for _ in range(6):
            await asyncio.sleep(0)

    async def failing():
        await six()
        raise Busy

    async def instead(failure):
        failed.append(failure)
        await six()

    subject = breaker()
    call = Fallback(on=Exception, to=instead, deadline=5, breaker=subject)(failing)
    if probing:
        subject.trip()
        await asyncio.sleep(subject.probe_in())
    task = asyncio.create_task(call())
    for _ in range(steps + 1):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(failed) == (steps >= 6), "the substitute is for failures only"
    assert len(asked) == 1 + len(failed)
    if probing:
        assert subject.state is (State.OPEN if failed else State.HALF_OPEN)
        assert failed or subject.probe(), "another may probe"


@jumping
async def test_a_cancellation_at_the_moment_of_the_deadline_is_one():
    call, subject = guarded(Service(), deadline=1)
    task = asyncio.create_task(call(60))
    asyncio.get_running_loop().call_later(1, task.cancel)
    await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert subject.state is State.CLOSED


CALLS = st.tuples(
    st.floats(0, 20).map(lambda seconds: round(seconds, 1)),
    st.sampled_from([0.0, 0.5, 3.0, 60.0]),
    st.sampled_from(["answer", "busy", "bug"]),
    st.sampled_from([None, None, 0.2, 4.0]),
)
"""When it begins, how long it takes, how it ends, and after how long its caller gives up."""


async def outcome(call, begins, takes, ends, patience):
    await asyncio.sleep(begins)
    steps = {"answer": [takes], "busy": [takes, Busy()], "bug": [takes, Bug()]}[ends]
    try:
        async with asyncio.timeout(patience):
            return await call(*steps)
    except (Bug, TimeoutError) as error:
        return error


def fits(answer, takes, ends, patience):
    """Whether the caller got what the function, the deadline or its own patience made of it."""
    took = min(takes, 5.0)
    if isinstance(answer, BreakerOpen):
        return True
    if patience is not None and patience < took:
        return type(answer) is TimeoutError
    if took < takes:
        return isinstance(answer, DeadlineExceeded)
    return answer == ends if ends == "answer" else type(answer) is {"busy": Busy, "bug": Bug}[ends]


@given(st.lists(CALLS, max_size=40))
def test_whoever_calls_whenever_one_gets_what_is_due_and_the_function_comes_back(calls):
    @jumping
    async def run():
        service, probes = Service(), Service()

        async def watched(*steps):
            asked = service if subject.state is State.CLOSED else probes
            assert probes.under_way == 0 or asked is service, "two probes at once"
            return await asked(*steps)

        call, subject = guarded(watched)
        answers = await asyncio.gather(*(outcome(call, *each) for each in calls))
        for (_, *terms), answer in zip(calls, answers, strict=True):
            assert fits(answer, *terms), (terms, answer)
        assert service.under_way == probes.under_way == 0
        for _ in range(2):
            await asyncio.sleep(60)
            assert await call(0) == "answer"
        assert subject.state is State.CLOSED

    run()
