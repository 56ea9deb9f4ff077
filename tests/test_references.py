"""The dict that keeps nobody alive."""

from __future__ import annotations

from objstore._references import References


class _Value:
    pass


def test_what_is_held_is_found_and_what_is_not_is_gone() -> None:
    known: References[str, _Value] = References()
    held, other = _Value(), _Value()
    known["held"], known["other"] = held, other
    assert known.get("held") is held
    assert known.get("none") is None
    assert known.values() == [held, other]
    del other
    assert known.get("other") is None
    assert known.values() == [held]


def test_a_key_takes_another_value() -> None:
    known: References[str, _Value] = References()
    first, second = _Value(), _Value()
    known["key"] = first
    known["key"] = second
    assert known.get("key") is second
    assert known.values() == [second]


def test_the_dead_do_not_gather() -> None:
    known: References[int, _Value] = References()
    held = [_Value() for _ in range(100)]
    for number, value in enumerate(held):
        known[number] = value
    for number in range(10_000):
        known[100 + number] = _Value()
        assert len(known._known) <= 2 * len(held) + 1
    assert known.values() == held


def test_the_living_are_not_looked_through_each_time() -> None:
    known: References[int, _Value] = References()
    held = [_Value() for _ in range(1000)]
    for number, value in enumerate(held):
        known[number] = value
    cleared, before = 0, len(known._known)
    for number in range(10_000):
        known[1000 + number] = _Value()
        cleared += len(known._known) <= before
        before = len(known._known)
    assert 0 < cleared <= 10
