"""What happens to files is told when it is over, and what belongs together is told together."""

from __future__ import annotations

import pytest

from objstore.backings.filesystem.watching.bursts import (
    FEW,
    GONE,
    LONGEST,
    MANY,
    ONE,
    OPEN,
    Batch,
    Kind,
    OpenBurst,
)

Event = tuple[float, str, Kind]


def gathered(*events: Event) -> OpenBurst:
    burst = OpenBurst()
    for now, path, kind in events:
        burst.put(path, kind, now)
    return burst


@pytest.mark.parametrize(
    ("events", "due"),
    [
        ([(9, "a", Kind.WHOLE)], 9 + ONE),
        ([(9, "a", Kind.WHOLE), (9.001, "b", Kind.WHOLE)], 9.001 + FEW),
        ([(9, str(n), Kind.WHOLE) for n in range(8)], 9 + MANY),
        ([(9, "a", Kind.GONE)], 9 + GONE),
        ([(9, "a", Kind.GONE), (9.001, "a", Kind.WHOLE)], 9.001 + ONE),
        ([(9, "a", Kind.OPEN)], 9 + OPEN),
        ([(9, "a", Kind.OPEN), (9.1, "a", Kind.OPEN)], 9.1 + OPEN),
        ([(9, "a", Kind.OPEN), (9.1, "a", Kind.WHOLE)], 9.1 + ONE),
        ([(9, "a", Kind.OPEN), (9.001, "b", Kind.WHOLE)], 9 + OPEN),
        ([(9, "a", Kind.FOLDER)], 9 + MANY),
        ([(9, "/", Kind.LOST)], 9 + MANY),
        ([(9 + n / 10, "a", Kind.OPEN) for n in range(20)], 9 + LONGEST),
    ],
)
def test_when_it_is_over(events: list[Event], due: float) -> None:
    assert gathered(*events).due() == pytest.approx(due, abs=1e-9)


def test_the_next_one_after_a_burst_may_belong_to_it() -> None:
    burst = gathered((9, "a", Kind.WHOLE))
    assert burst.take(9 + ONE) == Batch(["a"], [], lost=False)
    burst.put("b", Kind.WHOLE, 9.001)
    assert burst.due() == pytest.approx(9.001 + FEW)
    burst.take(9.1)
    burst.put("c", Kind.WHOLE, 9.2)
    assert burst.due() == pytest.approx(9.2 + ONE)


def test_a_file_under_another_name_does_not_come_back() -> None:
    burst = OpenBurst()
    burst.put("a", Kind.GONE, 9, move=4)
    burst.put("b", Kind.WHOLE, 9.001, move=4)
    assert burst.is_whole
    assert burst.due() == pytest.approx(9.001 + FEW)
    assert burst.take(9.1).files == ["a", "b"]


def test_a_file_that_is_being_written_is_left_for_the_next_burst() -> None:
    burst = gathered((9, "a", Kind.OPEN), (10.9, "a", Kind.OPEN), (10.9, "b", Kind.WHOLE))
    assert burst.take(11) == Batch(["b"], [], lost=False)
    assert len(burst) == 1
    burst.put("a", Kind.WHOLE, 11.1)
    assert burst.take(11.2) == Batch(["a"], [], lost=False)
    assert len(burst) == 0


def test_folders_and_what_was_lost() -> None:
    burst = gathered((9, "x", Kind.FOLDER), (9, "x", Kind.FOLDER), (9, "/", Kind.LOST))
    assert len(burst) == 2
    assert burst.take(10) == Batch([], ["x"], lost=True)
    assert burst.take(10) == Batch([], [], lost=False)
