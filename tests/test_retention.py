"""Which commits a Retention keeps (conformance, "Documents and the commit log", line 15)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore import Retention

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

retentions = st.builds(
    Retention,
    keep=st.integers(0, 20).map(lambda n: timedelta(seconds=n)),
    every=st.integers(1, 9).map(lambda n: timedelta(seconds=n)),
    slots=st.integers(1, 4),
    factor=st.integers(2, 3),
)
ages = st.lists(st.integers(-5, 600), max_size=60)


def commits(seconds_ago: list[int]) -> list[tuple[int, datetime]]:
    """Numbered in the order of their times, as commits are."""
    times = sorted(NOW - timedelta(seconds=age) for age in seconds_ago)
    return [*enumerate(times, 1)]


def only(known: list[tuple[int, datetime]], numbers: set[int]) -> list[tuple[int, datetime]]:
    return [commit for commit in known if commit[0] in numbers]


# By example


def test_commits_within_keep_all_stay() -> None:
    known = [(n, NOW - n * timedelta(minutes=1)) for n in range(59, -1, -1)]
    assert Retention(HOUR, DAY).survivors(known, NOW) == set(range(60))


def test_older_commits_stay_ever_further_apart() -> None:
    """A commit each hour for 40 days; kept for a day, then by the day, then by 2, 4, 8 days."""
    known = [(n, NOW - (960 - n) * HOUR) for n in range(961)]
    stay = Retention(DAY, DAY, slots=3).survivors(known, NOW)
    ages = sorted((NOW - time) // HOUR for number, time in known if number in stay)
    assert ages[:24] == list(range(24))
    dates = [f"{NOW - age * HOUR:%m-%d}" for age in ages[24:]]
    days, twos = ["11-18", "11-17"], ["11-16", "11-14", "11-12"]
    fours, eights = ["11-08", "11-04", "10-31"], ["10-23", "10-15"]
    assert dates == days + twos + fours + eights  # 11-19 has a younger one than a day


def test_lengths_of_time_beyond_what_there_is() -> None:
    known = [(n, NOW - (20 - n) * DAY) for n in range(21)]
    every = set(range(21))
    assert Retention(timedelta.max, HOUR).survivors(known, NOW) == every
    assert Retention(timedelta(days=10**6), HOUR).survivors(known, NOW) == every
    for slots in (1, 8):
        assert Retention(timedelta(0), timedelta.max, slots).survivors(known, NOW) == {20}
    stay = Retention(timedelta(0), DAY, slots=1, factor=10**12).survivors(known, NOW)
    assert stay <= {0, 18, 19, 20}


def test_a_tier_keeps_one_commit_of_each_of_its_slots() -> None:
    known = [(n, NOW - (1000 - n) * timedelta(minutes=1)) for n in range(1001)]
    for slots in range(1, 5):
        stay = Retention(timedelta(0), HOUR, slots=slots, factor=100).survivors(known, NOW)
        assert len(stay) <= slots + 2
        assert stay >= {1000}


def test_a_commit_of_the_future_stays() -> None:
    """Clocks go wrong; nothing is lost by it."""
    known = [(1, NOW), (2, NOW + DAY), (3, NOW + DAY), (4, NOW - DAY), (5, NOW - DAY)]
    assert Retention(HOUR, 100 * DAY).survivors(known, NOW) == {1, 2, 3, 5}


def test_of_nothing_nothing_stays() -> None:
    assert Retention(HOUR, DAY).survivors([], NOW, pins={1}) == set()


def test_a_clock_that_begins_at_year_1_is_old() -> None:
    known = [(1, datetime(1, 1, 1, tzinfo=UTC)), (2, datetime(1, 1, 2, tzinfo=UTC)), (3, NOW)]
    assert Retention(timedelta(0), timedelta(microseconds=1)).survivors(known, NOW) >= {3}


# By random commits


@given(retentions, ages)
def test_the_newest_and_the_young_stay(retention: Retention, seconds_ago: list[int]) -> None:
    known = commits(seconds_ago)
    stay = retention.survivors(known, NOW)
    assert stay >= {number for number, time in known if NOW - time < retention.keep}
    assert stay >= {number for number, _ in known[-1:]}
    assert stay <= {number for number, _ in known}


@given(retentions, ages, st.sets(st.integers(0, 70)))
def test_pins_stay_and_change_nothing_else(
    retention: Retention, seconds_ago: list[int], pins: set[int]
) -> None:
    known = commits(seconds_ago)
    pinned = {number for number, _ in known} & pins
    assert retention.survivors(known, NOW, pins) == retention.survivors(known, NOW) | pinned


@given(retentions, ages)
def test_the_same_again_removes_nothing(retention: Retention, seconds_ago: list[int]) -> None:
    known = commits(seconds_ago)
    stay = retention.survivors(known, NOW)
    assert retention.survivors(only(known, stay), NOW) == stay


@given(retentions, ages, ages, st.integers(0, 300))
def test_two_compactions_leave_what_the_later_one_alone_would(
    retention: Retention, before: list[int], meanwhile: list[int], wait: int
) -> None:
    """However often a store is compacted, it has the same past in the end."""
    old = commits([age + 10 for age in before])
    later = NOW + timedelta(seconds=wait)
    new = [
        (len(old) + n, NOW + timedelta(seconds=age % (wait + 1)))
        for n, age in enumerate(sorted(meanwhile, key=lambda age: age % (wait + 1)), 1)
    ]
    stay = retention.survivors(old, NOW)
    twice = retention.survivors(only(old, stay) + new, later)
    assert twice == retention.survivors(old + new, later)


@given(retentions, st.lists(st.integers(0, 10_000), min_size=1, max_size=300))
def test_few_commits_stay_of_a_long_past(retention: Retention, seconds_ago: list[int]) -> None:
    """In each tier no more than its slots; tiers are as many as the age doubles, at the most."""
    known = commits(seconds_ago)
    stay = retention.survivors(known, NOW)
    old = [time for number, time in known if number in stay and NOW - time > retention.keep]
    tiers, reach = 1, retention.every * retention.slots
    while reach < timedelta(seconds=20_000):
        tiers, reach = tiers + 1, reach * retention.factor
    assert len(old) <= tiers * retention.slots + 1


# Arguments

VALID: dict[str, Any] = {"keep": HOUR, "every": DAY}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"keep": 5}, TypeError, "keep must be a timedelta, not 5"),
        ({"every": None}, TypeError, "every must be a timedelta, not None"),
        ({"keep": -HOUR}, ValueError, "keep must be at least 0:00:00, not -1 day, 23:00:00"),
        ({"every": timedelta(0)}, ValueError, "every must be at least 0:00:00.000001, not 0:00:00"),
        ({"slots": 0}, ValueError, "slots must be at least 1, not 0"),
        ({"slots": 1.5}, TypeError, "slots must be an integer, not 1.5"),
        ({"slots": True}, TypeError, "slots must be an integer, not True"),
        ({"factor": 1}, ValueError, "factor must be at least 2, not 1"),
        ({"factor": "2"}, TypeError, "factor must be an integer, not '2'"),
    ],
)
def test_arguments_that_are_none(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        Retention(**{**VALID, **arguments})
    assert str(caught.value) == message


def test_retentions_compare_and_show() -> None:
    one = Retention(HOUR, DAY)
    assert one == Retention(keep=HOUR, every=DAY, slots=8, factor=2)
    assert one != Retention(HOUR, DAY, factor=3)
    assert repr(one).startswith("Retention(keep=datetime.timedelta(seconds=3600), every=")
