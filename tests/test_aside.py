"""What is done beside something else, and what becomes of it where Python ends."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest

from objstore._aside import Aside


def test_what_no_thread_takes_any_more_is_done_behind_what_one_has_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in a thread that goes on when the main one has ended: a digest is of bytes in order."""

    def refuse(*_: Any) -> None:
        raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    done: list[str] = []
    too_early = Event()

    def first() -> None:
        too_early.wait(0.2)
        done.append("first")

    def third() -> None:
        done.append("third")
        too_early.set()

    aside = Aside("objstore-test")
    began = [aside.start(first), aside.start(done.append, "second")]
    monkeypatch.setattr(ThreadPoolExecutor, "submit", refuse)
    began.append(aside.start(third))
    aside.start(done.append, "fourth")
    assert done == ["first", "second", "third", "fourth"]
    assert all(one.done() for one in began)
    aside.close()
