"""Whose answer a caller gets, what the substitute is told, and what stays as it was."""

import asyncio
import gc
import inspect
import weakref
from functools import partial
from unittest.mock import AsyncMock

import pytest

from orchestra_memory import (
    Breaker,
    BreakerOpen,
    DeadlineExceeded,
    Degraded,
    Fallback,
    Unavailable,
    fallback,
)
from orchestra_memory.resilience.breaker import State

from .jumping import jumping, now


class Busy(Exception):
    pass


class Bug(Exception):
    pass


async def echo(failure, *args, **kwargs):
    return failure, args, kwargs


async def never(failure, *args, **kwargs):
    raise AssertionError("the substitute was called")


def raising(error):
    async def raises(*args, **kwargs):
        raise error

    return raises


class Shelf:
    """Things by key, as long as it is up."""

    def __init__(self, up):
        self.up = up

    @fallback(on=Busy, to=echo)
    async def get(self, model, key, *, default=None):
        """Look it up."""
        if not self.up:
            raise Busy
        return model(key)

    @classmethod
    @fallback(on=Busy, to=echo)
    async def of_all(cls, key):
        raise Busy

    @staticmethod
    @fallback(on=Busy, to=echo)
    async def of_none(key):
        raise Busy


@jumping
async def test_an_answer_is_passed_on_and_nobody_else_is_asked():
    @fallback(on=Exception, to=never, deadline=1)
    async def double(number, *, plus=0):
        return 2 * number + plus

    assert await double(3, plus=1) == 7


@jumping
async def test_the_substitute_receives_the_failure_and_the_arguments():
    busy = Busy()
    failing = fallback(on=Busy, to=echo)(raising(busy))
    assert await failing(1, two=2) == (busy, (1,), {"two": 2})


@pytest.mark.parametrize(
    "on",
    [Busy, (KeyError, Busy), lambda error: isinstance(error, Busy)],
    ids=["type", "types", "predicate"],
)
@jumping
async def test_what_on_does_not_take_is_raised_as_it_is(on):
    busy, bug = Busy(), Bug()
    failure, _, _ = await fallback(on=on, to=echo)(raising(busy))()
    assert failure is busy
    with pytest.raises(Bug) as raised:
        await fallback(on=on, to=never)(raising(bug))()
    assert raised.value is bug
    assert bug.__cause__ is bug.__context__ is None


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_the_process_is_no_failure(error):
    def anything(failure):
        raise AssertionError("the predicate was asked")

    call = fallback(on=anything, to=never)(raising(error()))()
    with pytest.raises(error):
        call.send(None)


@jumping
async def test_what_the_substitute_raises_tells_of_the_failure_before():
    busy, bug = Busy(), Bug()
    with pytest.raises(Bug) as raised:
        await fallback(on=Busy, to=raising(bug))(raising(busy))()
    assert raised.value.__context__ is busy


@jumping
async def test_a_substitute_may_have_a_substitute():
    first, second = Busy(), Busy()
    smaller = fallback(on=Busy, to=echo)(raising(second))
    assert await fallback(on=Busy, to=smaller)(raising(first))("x") == (second, (first, "x"), {})


@jumping
async def test_methods_hand_on_what_they_belong_to():
    up, down = Shelf(True), Shelf(False)
    assert await up.get(int, "3") == 3
    failure, args, kwargs = await down.get(int, "3", default=4)
    assert (type(failure), args, kwargs) == (Busy, (down, int, "3"), {"default": 4})
    assert (await Shelf.of_all("k"))[1] == (Shelf, "k")
    assert (await Shelf.of_none("k"))[1] == ("k",)


@jumping
async def test_a_call_can_be_made_without_decorating():
    busy = Busy()
    shelf = Fallback(on=Busy, to=echo)
    assert await shelf(raising(busy))(1) == (busy, (1,), {})
    assert await shelf(partial(raising(busy), 1))(2) == (busy, (2,), {})
    assert (await shelf(AsyncMock(side_effect=busy))())[0] is busy


def test_the_function_stays_what_it_looked_like():
    async def plain(self, model, key, *, default=None):
        pass

    wrapped = Shelf.get.__wrapped__
    assert Shelf.get.__doc__ == "Look it up."
    assert Shelf.get.__name__ == "get"
    assert Shelf.get.__qualname__ == wrapped.__qualname__ == "Shelf.get"
    assert Shelf.get.__module__ == __name__
    assert inspect.signature(Shelf.get) == inspect.signature(plain)
    assert inspect.iscoroutinefunction(Shelf.get)


@jumping
async def test_at_its_deadline_the_function_is_cancelled_and_the_substitute_asked():
    began, steps = now(), []

    async def note(failure):
        steps.append("substitute")
        return failure

    @fallback(on=TimeoutError, to=note, deadline=1.5)
    async def hangs():
        try:
            await asyncio.sleep(60)
        finally:
            steps.append("cleaned up")

    failure = await hangs()
    assert now() - began == 1.5
    assert isinstance(failure, DeadlineExceeded)
    assert failure.ambiguous, "what it did until then is not known"
    assert str(failure).endswith("hangs did not answer in 1.5 s")
    assert steps == ["cleaned up", "substitute"]


@jumping
async def test_a_missed_deadline_is_raised_where_it_is_not_taken():
    hangs = fallback(on=Busy, to=never, deadline=1)(partial(asyncio.sleep, 60))
    with pytest.raises(DeadlineExceeded):
        await hangs()


@jumping
async def test_a_timeout_of_the_functions_own_stays_one():
    own = TimeoutError()
    failing = fallback(on=Exception, to=echo, deadline=1)(raising(own))
    assert (await failing())[0] is own


@jumping
async def test_an_answer_that_comes_all_the_same_is_an_answer():
    @fallback(on=Exception, to=never, deadline=1)
    async def stubborn():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "late"

    assert await stubborn() == "late"


@jumping
async def test_the_deadline_is_not_the_substitutes():
    async def slow(failure):
        await asyncio.sleep(10)
        return "slow"

    assert await fallback(on=Busy, to=slow, deadline=1)(raising(Busy()))() == "slow"


@jumping
async def test_hooks_are_told_before_the_substitute_is_asked():
    told = []

    async def substitute(failure):
        return list(told)

    @fallback(on=Busy, to=substitute, hooks=[told.append] * 2, breaker=Breaker(clock=now))
    async def failing():
        await asyncio.sleep(2)
        raise Busy

    name = f"{__name__}.{failing.__qualname__}"
    assert await failing() == [Degraded(name, Busy, 2.0, State.CLOSED)] * 2


@jumping
async def test_hooks_hear_nothing_of_answers_and_bugs():
    told = []
    with_hook = Fallback(on=Busy, to=never, hooks=[told.append])
    await with_hook(asyncio.sleep)(0)
    with pytest.raises(Bug):
        await with_hook(raising(Bug()))()
    assert not told


@jumping
async def test_without_a_breaker_every_call_is_tried():
    calls = AsyncMock(side_effect=Busy)
    failing = fallback(on=Exception, to=echo, deadline=1)(calls)
    for _ in range(100):
        await failing()
    assert calls.await_count == 100
    hangs = fallback(on=TimeoutError, to=echo, deadline=1)(partial(asyncio.sleep, 60))
    assert {type((await hangs())[0]) for _ in range(100)} == {DeadlineExceeded}


@jumping
async def test_failures_are_forgotten_without_the_collector():
    async def nothing(failure):
        return weakref.ref(failure)

    async def fails():
        raise Busy

    gc.disable()
    try:
        forgotten = await fallback(on=Busy, to=nothing)(fails)()
        assert forgotten() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "on",
    [BaseException, asyncio.CancelledError, (Busy, KeyboardInterrupt), int, (), (Busy, 3), 3, None],
)
def test_what_names_no_failures_is_refused(on):
    with pytest.raises(TypeError, match="on: "):
        Fallback(on=on, to=echo)


def test_which_failure_deserves_it_has_to_be_said():
    with pytest.raises(TypeError, match="on"):
        fallback(to=echo)


@pytest.mark.parametrize("deadline", [0, -1, float("nan")])
def test_a_deadline_that_leaves_no_time_is_refused(deadline):
    with pytest.raises(ValueError, match="deadline"):
        Fallback(on=Busy, to=echo, deadline=deadline)


async def without_failure(key):
    pass


async def without_keyword(failure, key):
    pass


async def wanting_more(failure, key, more, *, limit):
    pass


@pytest.mark.parametrize("substitute", [without_failure, without_keyword, wanting_more])
def test_a_substitute_that_takes_other_arguments_is_found_out_when_decorating(substitute):
    async def get(key, *, limit=1):
        pass

    with pytest.raises(TypeError, match=rf"to: .*{substitute.__name__}.* the failure and then"):
        fallback(on=Busy, to=substitute)(get)


@jumping
async def test_a_substitute_may_call_its_arguments_otherwise_and_have_more_of_its_own():
    async def get(key, *, limit=1):
        raise Busy

    async def substitute(failure, name, more=3, *, limit, most=4):
        return name, more, limit, most

    assert await fallback(on=Busy, to=substitute)(get)("k", limit=2) == ("k", 3, 2, 4)


def test_a_function_that_does_not_tell_what_it_takes_is_taken():
    with pytest.raises(ValueError, match="signature"):
        inspect.signature(min)
    assert fallback(on=Busy, to=echo)(min).__wrapped__ is min


@pytest.mark.parametrize("function", [raising(Busy()), AsyncMock(side_effect=Busy)])
@jumping
async def test_a_function_that_takes_anything_is_taken_at_its_word(function):
    async def substitute(failure, key, *, limit):
        return key, limit

    assert await fallback(on=Busy, to=substitute)(function)(1, limit=2) == (1, 2)


@jumping
async def test_the_refusal_of_another_breaker_is_a_failure_like_any():
    refusal = BreakerOpen("asleep")
    with pytest.raises(BreakerOpen):
        await fallback(on=Busy, to=never)(raising(refusal))()
    assert (await fallback(on=Unavailable, to=echo)(raising(refusal))())[0] is refusal
