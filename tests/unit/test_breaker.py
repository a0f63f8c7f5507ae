"""When a breaker opens, whom it lets through, and when it closes: all by a clock of our own."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra_memory.resilience.breaker import Breaker, BreakerSettings, Missed, State

EVENTS = ("succeed", "fail", "miss", "probe", "answered", "refused", "abandon", "drain", "wait")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def breaker(clock: Clock, **settings: float) -> Breaker:
    return Breaker(BreakerSettings(**settings), clock=clock, chance=lambda: 0.5)


def opened(clock: Clock, **settings: float) -> Breaker:
    subject = breaker(clock, **settings)
    assert subject.trip()
    return subject


def half_open(clock: Clock) -> Breaker:
    subject = opened(clock)
    clock.now += 1
    assert subject.probe()
    return subject


def close(subject: Breaker, clock: Clock) -> None:
    while subject.state is not State.DRAINING:
        clock.now += subject.probe_in()
        assert subject.probe()
        subject.probed(answered=True)
    subject.drained()


def test_five_failures_in_a_row_open_it(clock):
    subject = breaker(clock)
    assert [subject.failed(clock()) for _ in range(5)] == [False] * 4 + [True]
    assert subject.state is State.OPEN
    assert not subject.allows()


def test_an_answer_begins_the_row_anew(clock):
    subject = breaker(clock)
    for _ in range(10):
        for _ in range(4):
            clock.now += 10  # so that only the row could open it
            assert not subject.failed(clock())
        subject.succeeded(clock())
    assert subject.allows()


def test_half_of_twenty_calls_open_it(clock):
    subject = breaker(clock)
    for _ in range(9):
        subject.succeeded(clock())
        assert not subject.failed(clock())
    subject.succeeded(clock())
    assert subject.failed(clock())


def test_few_calls_tell_no_share(clock):
    subject = breaker(clock)
    for _ in range(9):
        subject.failed(clock())
        subject.succeeded(clock())
    assert subject.allows()


def test_failures_are_forgotten_after_the_window(clock):
    subject = breaker(clock)
    for _ in range(9):
        subject.succeeded(clock())
        subject.failed(clock())
    clock.now += 11
    for _ in range(3):
        subject.succeeded(clock())
        assert not subject.failed(clock())
    assert subject.allows()


def test_slow_answers_open_it_where_slow_is_said_to_be_a_fault(clock):
    subject = breaker(clock, slow=0.5)
    clock.now += 1
    outcomes = [subject.succeeded(clock() - 0.6) for _ in range(20)]
    assert outcomes == [False] * 19 + [True]


def test_without_a_bound_no_answer_is_slow(clock):
    subject = breaker(clock)
    clock.now += 1000
    for _ in range(100):
        subject.succeeded(clock() - 900)
    assert subject.allows()


def test_a_missed_deadline_opens_it_at_once(clock):
    subject = breaker(clock)
    assert subject.missed(clock()) is Missed.OPENED
    assert subject.state is State.OPEN


@pytest.mark.parametrize("answered", [True, False])
def test_a_missed_deadline_may_have_to_be_confirmed(clock, answered):
    subject = breaker(clock, confirm=0.25)
    assert subject.missed(clock()) is Missed.CONFIRM
    assert subject.missed(clock()) is Missed.COUNTED, "one probe is enough for all who missed"
    assert subject.allows()
    assert subject.confirmed(answered=answered) is not answered
    assert subject.allows() is answered


def test_deadlines_missed_in_a_row_need_no_confirmation(clock):
    subject = breaker(clock, confirm=0.25)
    outcomes = [subject.missed(clock()) for _ in range(5)]
    assert outcomes == [Missed.CONFIRM, *[Missed.COUNTED] * 3, Missed.OPENED]


def test_a_late_confirmation_leaves_an_open_breaker_as_it_is(clock):
    subject = breaker(clock, confirm=0.25)
    subject.missed(clock())
    subject.trip()
    since = subject.since
    clock.now += 1
    assert not subject.confirmed(answered=False)
    assert subject.since == since


def test_calls_from_before_it_closed_tell_nothing(clock):
    subject = breaker(clock)
    began = clock()
    subject.trip()
    clock.now += 1
    close(subject, clock)
    clock.now += 1
    for _ in range(10):
        assert not subject.failed(began)
    assert subject.missed(began) is Missed.COUNTED
    assert subject.allows()


def test_nobody_probes_before_the_pause_is_over(clock):
    subject = opened(clock)
    clock.now += 0.99
    assert not subject.probe()
    assert subject.probe_in() == pytest.approx(0.01)
    clock.now += 0.02
    assert subject.probe()


def test_exactly_one_probe_goes_through_while_a_hundred_wait(clock):
    subject = opened(clock)
    clock.now += 1
    assert sum(subject.probe() for _ in range(100)) == 1
    assert not any(subject.allows() for _ in range(100))
    subject.probed(answered=True)
    assert sum(subject.probe() for _ in range(100)) == 1


def test_two_answered_probes_and_catching_up_close_it(clock):
    subject = half_open(clock)
    assert not subject.probed(answered=True)
    assert subject.state is State.HALF_OPEN
    assert subject.probe_in() == 0
    assert subject.probe()
    assert subject.probed(answered=True)
    assert subject.state is State.DRAINING
    assert not subject.allows(), "what is to be caught up comes first"
    assert subject.probe_in() == inf
    subject.drained()
    assert subject.allows()


def test_a_failed_probe_takes_back_what_the_one_before_told(clock):
    subject = half_open(clock)
    subject.probed(answered=True)
    subject.probe()
    subject.probed(answered=False)
    assert subject.state is State.OPEN
    clock.now += 2
    subject.probe()
    assert not subject.probed(answered=True)


def test_an_abandoned_probe_leaves_the_way_to_another(clock):
    subject = half_open(clock)
    assert not subject.probe()
    subject.abandoned()
    assert subject.probe()


def test_it_opens_again_when_catching_up_fails(clock):
    subject = half_open(clock)
    subject.probed(answered=True)
    subject.probe()
    subject.probed(answered=True)
    subject.probed(answered=False)
    assert subject.state is State.OPEN


def test_something_to_catch_up_shuts_it_without_an_outage(clock):
    subject = breaker(clock)
    assert subject.catch_up()
    assert not subject.allows()
    assert not subject.catch_up()
    subject.drained()
    assert subject.allows()


def test_an_open_breaker_does_not_skip_its_probes_to_catch_up(clock):
    subject = opened(clock)
    assert not subject.catch_up()
    assert subject.state is State.OPEN


def pauses(subject: Breaker, clock: Clock, count: int) -> list[float]:
    seen = []
    for _ in range(count):
        seen.append(subject.probe_in())
        clock.now += seen[-1]
        assert subject.probe()
        subject.probed(answered=False)
    return seen


def test_the_pause_doubles_up_to_half_a_minute(clock):
    assert pauses(opened(clock), clock, 7) == pytest.approx([1, 2, 4, 8, 16, 30, 30])


def test_the_pause_stays_short_where_calls_are_refused(clock):
    subject = opened(clock)
    pauses(subject, clock, 7)
    assert subject.probe_in() == 30
    assert not subject.allows()
    assert subject.probe_in() == 2
    clock.now += 61  # nobody has asked for a minute
    subject.probe()
    subject.probed(answered=False)
    assert subject.probe_in() == 30


def test_the_pause_stays_short_while_there_is_something_to_catch_up(clock):
    subject = opened(clock)
    pauses(subject, clock, 7)
    assert subject.probe_in(urgent=True) == 2
    clock.now += 2
    assert not subject.probe()
    assert subject.probe(urgent=True)


def test_flapping_lengthens_the_pause_and_lasting_health_shortens_it(clock):
    subject = opened(clock)
    close(subject, clock)
    clock.now += 5
    subject.trip()
    assert subject.probe_in() == 2
    close(subject, clock)
    clock.now += 11
    subject.trip()
    assert subject.probe_in() == 1


@given(chance=st.floats(0, 1))
def test_pauses_differ_by_a_quarter_at_most(chance):
    subject = Breaker(clock=Clock(), chance=lambda: chance)
    subject.trip()
    assert 0.75 <= subject.probe_in() <= 1.25


@given(events=st.lists(st.tuples(st.sampled_from(EVENTS), st.floats(0, 40))))
def test_whatever_happens_it_lets_calls_through_only_when_closed_and_can_be_closed_again(events):
    clock = Clock()
    subject = Breaker(clock=clock)
    probing = False
    for event, seconds in events:
        before = subject.state
        if event == "wait":
            clock.now += seconds
        elif event == "probe":
            granted = subject.probe()
            assert not (granted and probing), "two probes at once"
            probing = probing or granted
        elif event in {"answered", "refused"} and probing:
            subject.probed(answered=event == "answered")
            probing = False
        elif event == "abandon" and probing:
            subject.abandoned()
            probing = False
        elif event == "drain" and before is State.DRAINING:
            subject.drained()
        elif event in {"succeed", "fail", "miss"}:
            tell = {"succeed": subject.succeeded, "fail": subject.failed, "miss": subject.missed}
            tell[event](clock())
            assert before is State.CLOSED or subject.state is before, "calls do not close it"
        assert subject.allows() is (subject.state is State.CLOSED)
    if probing:
        subject.abandoned()
    if subject.state is not State.CLOSED:
        close(subject, clock)
    assert subject.allows()
