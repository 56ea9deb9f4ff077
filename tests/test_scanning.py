"""How the items of chunks come one by one."""

from __future__ import annotations

from collections.abc import Generator, Iterable

import pytest

from objstore.backings.scanning import Scan


def chunks(told: list[str], *sizes: int) -> Generator[Iterable[int]]:
    try:
        for number, size in enumerate(sizes):
            told.append(f"chunk {number}")
            yield range(size)
    finally:
        told.append("over")


def test_items_come_one_by_one_and_chunks_when_they_are_due() -> None:
    told: list[str] = []
    scan = Scan.of(chunks(told, 0, 2, 1))
    assert told == ["chunk 0"]
    assert next(scan) == 0
    assert told == ["chunk 0", "chunk 1"]
    assert list(scan) == [1, 0]
    assert told == ["chunk 0", "chunk 1", "chunk 2", "over"]


def test_what_it_is_read_from_is_let_go_when_it_is_closed_or_forgotten() -> None:
    told: list[str] = []
    scan = Scan.of(chunks(told, 3, 3))
    assert next(scan) == 0
    scan.close()
    assert told == ["chunk 0", "over"]
    assert list(scan) == []
    scan = Scan.of(chunks(told, 3, 3))
    del scan
    assert told == ["chunk 0", "over"] * 2


def test_an_error_at_the_beginning_comes_at_the_call() -> None:
    def failing() -> Generator[Iterable[int]]:
        yield range(1 // 0)

    with pytest.raises(ZeroDivisionError):
        Scan.of(failing())
    assert list(Scan.of(chunks([]))) == []
