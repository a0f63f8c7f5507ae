"""The schedule of a seed: always the same, and over many seeds all that can go wrong."""

from collections import Counter

import pytest

from .schedule import DEATHS, REDIS, STORE, schedule


def test_a_seed_gives_the_same_schedule_each_time():
    assert schedule("1", 60, slots=3) == schedule("1", 60, slots=3)
    assert schedule("1", 60, slots=3) != schedule("2", 60, slots=3)


@pytest.mark.parametrize("seconds", [1, 30])
def test_it_lasts_about_as_long_as_it_is_told(seconds):
    lasts = sum(each.rest + each.seconds for each in schedule("1", seconds, slots=2))
    assert seconds <= lasts < seconds + 5


def test_all_that_can_go_wrong_does_alone_and_together():
    troubles = schedule("1", 3_000, slots=3)
    assert {each.store for each in troubles} == {*STORE, None}
    assert {each.redis for each in troubles} == {*REDIS, None}
    assert any(each.store and each.redis for each in troubles)
    deaths = [(death, each) for each in troubles for death in each.deaths]
    assert {death.kind for death, _ in deaths} == {*DEATHS}
    assert {death.slot for death, _ in deaths} == {0, 1, 2}
    late = Counter(death.after > each.seconds for death, each in deaths)
    assert min(late[True], late[False]) > len(deaths) / 4


def test_a_server_hangs_and_dies_for_all():
    for each in schedule("1", 3_000, slots=3):
        if {"hang", "restart"} & {each.store, each.redis}:
            assert each.slot is None


def test_the_store_is_spared_what_it_is_to_go_without():
    troubles = schedule("1", 3_000, slots=3, without=["restart", "hang"])
    assert {each.store for each in troubles} == {*STORE, None} - {"restart", "hang"}
    assert {each.redis for each in troubles} == {*REDIS, None}


def test_nobody_dies_where_there_is_no_unrest():
    assert not any(each.deaths for each in schedule("1", 600, slots=3, unrest=0))
