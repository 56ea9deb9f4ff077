"""Stores whose callers are interrupted, as by Ctrl-C, at moments at which they can be.

A signal's handler runs as a Python function begins, as a call into C ends and as a loop goes on,
and may raise there.
"""

from __future__ import annotations

import dis
import functools
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

import pytest

import objstore
from objstore.store import Store
from tests.conformance.storage.calls import in_thread

# What is freed amid an interrupt tells of it, and goes on.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class Interrupt(BaseException):
    """As KeyboardInterrupt."""


class Interruption:
    """Interrupts a block at the ``at``-th such moment; with 0 it counts them."""

    def __init__(self, at: int) -> None:
        self.seen = 0
        self._at = at
        self._calling: dict[FrameType, int | None] = {}
        """By frame, where it has just called something, as far as we know written in C."""

    def __enter__(self) -> Interruption:
        sys.settrace(self._see)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        sys.settrace(None)
        self._calling.clear()
        return kind is not None and issubclass(kind, Interrupt)

    def _see(self, frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename == __file__:
            return None
        if event == "call":
            if frame.f_back in self._calling:
                self._calling[frame.f_back] = None
            frame.f_trace_lines, frame.f_trace_opcodes = False, True
            self._count()
        elif event == "opcode":
            at, called = frame.f_lasti, self._calling.get(frame)
            # It is for who handles errors of the call, and not for who may handle them from now on.
            if called is not None and _handler(frame.f_code, called) == _handler(frame.f_code, at):
                self._count()
            self._calling[frame] = at if frame.f_code.co_code[at] in _CALLS else None
        elif event == "return":
            self._calling.pop(frame, None)
        return self._see

    def _count(self) -> None:
        self.seen += 1
        if self.seen == self._at:
            sys.settrace(None)
            raise Interrupt


@functools.cache
def _handlers(code: CodeType) -> list[tuple[int, int, int]]:
    return [entry[:3] for entry in dis._parse_exception_table(code)]  # type: ignore[attr-defined]


def _handler(code: CodeType, at: int) -> int | None:
    """Where an error at an instruction leads to."""
    return next((to for start, end, to in _handlers(code) if start <= at < end), None)


_CALLS = {code for name, code in dis.opmap.items() if name.startswith(("CALL", "JUMP_BACKWARD"))}


def set_one(store: Store[Any], turn: int) -> None:
    store["a"]["n"] = turn


def set_many(store: Store[Any], turn: int) -> None:
    with store.transaction():
        for name in "ab":
            store[name]["n"] = turn
        with suppress(ZeroDivisionError), store.transaction():
            store["c"]["n"] = -1
            raise ZeroDivisionError
        store["c"]["n"] = turn


def make_and_delete(store: Store[Any], turn: int) -> None:
    with store.transaction():
        if "made" in store:
            del store["made"]
        else:
            store["made"] = {"n": turn}


def move_elements(store: Store[Any], turn: int) -> None:
    rows = store["rows"]["rows"]
    with store.transaction():
        rows.insert(0, {"id": turn})
        del rows[-2]


def set_again(store: Store[Any], turn: int) -> None:
    store.run(lambda _: store["b"].update(n=turn))


def read(store: Store[Any], _: int) -> None:
    with store.snapshot_view():
        assert store["a"]["n"] >= 0
    assert "/a/n" in store.blame("a")
    assert store.at(store.head)["b"]["n"] >= 0


def snapshot(store: Store[Any], turn: int) -> None:
    store["b"]["n"] = turn
    store.switch_and_snapshot()


def undo(store: Store[Any], turn: int) -> None:
    store["a"]["n"] = turn
    store.undo(store.head)


CALLS = [set_one, set_many, make_and_delete, move_elements, set_again, read, snapshot, undo]


class Mode(NamedTuple):
    apply: str
    durability: str


MODES = [Mode("eager", "full"), Mode("lazy", "full"), Mode("eager", "os")]


def contents(store: Store[Any]) -> dict[str, Any]:
    return {key: store[key].contents for key in store.root}


def fill(store: Store[Any]) -> None:
    with store.transaction():
        for name in "abc":
            store[name] = {"n": 0}
        store["rows"] = {"rows": [{"id": -3}, {"id": -2}, {"id": -1}]}


def check(store: Store[Any], folder: Path, mode: Mode, held: Any, turn: int) -> None:
    """That everybody sees the same, and can go on."""
    assert store.current() is None
    seen = contents(store)
    assert held["id"] == -1  # the last row stays, wherever it is
    assert held.contents == seen["rows"]["rows"][-1]
    with objstore.open(folder, durability="os") as other:
        assert store.head == other.head
        assert contents(other) == seen
        other["b"]["n"] = turn
        assert other.head == store.head  # which has all commits seen
    assert store["b"]["n"] == turn

    def change() -> None:
        with store.transaction():
            store["c"]["n"] = turn
            store["a"]["n"] = turn

    in_thread(change)
    assert store["c"]["n"] == store["a"]["n"] == turn
    store["a"]["n"] = turn + 1
    with objstore.open(folder, durability="os") as other:
        assert other.at(other.head)["a"]["n"] == turn + 1


def interrupt(folder: Path, call: Callable[[Store[Any], int], None], mode: Mode, most: int) -> None:
    """Interrupt a call at so many moments, all if there are no more."""
    with objstore.open(folder, **mode._asdict()) as store:
        fill(store)
        held = store["rows"]["rows"][-1]
        call(store, 1)
        with Interruption(0) as moments:
            call(store, 2)
        assert moments.seen > 200
        for turn, at in enumerate(range(1, moments.seen, max(moments.seen // most, 1)), 1):
            with Interruption(at):
                call(store, turn * 10)
            changed = [store[name]["n"] == turn * 10 for name in "abc"]
            assert call is not set_many or changed.count(True) in (0, 3)
            assert call is not move_elements or len(store["rows"]["rows"]) == 3
            check(store, folder, mode, held, turn * 10 + 5)
            if turn % 20 == 0:
                store.flush()
                assert list(store.check()) == []
    with objstore.open(folder) as store:
        assert list(store.check()) == []


@pytest.fixture(params=MODES, ids="-".join)
def mode(request: pytest.FixtureRequest) -> Mode:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def _warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is imported at the first call is imported: to interrupt that tells nothing."""
    for apply in ("eager", "lazy"):
        with objstore.open(tmp_path_factory.mktemp("warm") / apply, apply=apply) as store:
            fill(store)
            for call in CALLS:
                call(store, 1)


@pytest.mark.usefixtures("_warm")
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_a_store_goes_on_after_an_interrupt(
    call: Callable[[Store[Any], int], None], mode: Mode, tmp_path: Path
) -> None:
    interrupt(tmp_path / "store", call, mode, 20)


@pytest.mark.torture
@pytest.mark.usefixtures("_warm")
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_a_store_goes_on_after_many_interrupts(
    call: Callable[[Store[Any], int], None], mode: Mode, tmp_path: Path
) -> None:
    interrupt(tmp_path / "store", call, mode, 500)
