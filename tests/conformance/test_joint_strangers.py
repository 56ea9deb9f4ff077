"""Joint transactions: who took no part in one is not told that it has committed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import pytest

import objstore
from objstore import MISSING, Dict, Directory, List, Store
from objstore.meetings import Note

from .joint import add, replace, store, together
from .stores import Opener, reopen_logged

__all__ = ["reopen_logged", "store"]

Share = tuple[str, list[dict[str, Any]], Any]

SAT: Share = ("doc/a", [add("/z", {"n": 1.0})], {"x": 1})

OTHERS: list[Share] = [
    ("doc/b", SAT[1], SAT[2]),
    (SAT[0], [add("/z", {"n": 2.0})], SAT[2]),
    (SAT[0], [add("/z", {"n": 1})], SAT[2]),
    (SAT[0], [], SAT[2]),
    (SAT[0], SAT[1], {"x": 77}),
    (SAT[0], SAT[1], MISSING),
    (SAT[0], SAT[1], None),
]


@pytest.mark.parametrize("other", OTHERS, ids=str)
def test_who_has_anothers_name_and_brings_something_else_is_refused(
    store: Store[Any], other: Share
) -> None:
    tx = store.new_tx(2, timeout=5)
    last = tx.patcher("doc/b", [add("/z", 2)])
    with ThreadPoolExecutor(1) as pool:
        sat = pool.submit(tx.patcher(*SAT, name="billing").commit)
        tx._meetings.wait(tx.id, 1, None)
        with pytest.raises(objstore.TransactionError, match=r"'billing' has joined .*doc/a, with"):
            store.get_tx(tx.id).patcher(*other, name="billing").commit()
        results = [last.commit(), sat.result(timeout=30)]
    assert store.get_tx(tx.id).patcher(*SAT, name="billing").commit() == results[1]
    assert [result.commit for result in results] == [2, 2]
    assert store["/doc/a"] == {"x": 1, "z": {"n": 1.0}}
    assert store["/doc/b"] == {"y": 2, "z": 2}
    assert store.head == 2


def test_who_took_no_part_in_what_is_over_is_refused(store: Store[Any]) -> None:
    tx = store.new_tx(2)
    ours, theirs = ("doc/a", [replace(2, "/x")]), ("doc/b", [replace(3, "/y")])
    done = together(tx.patcher(*ours), tx.patcher(*theirs))
    again = store.get_tx(tx.id)
    for part, result in zip((ours, theirs), done, strict=True):
        assert again.patcher(*part).commit() == result
    for part in (
        ("doc/a", [replace(4, "/x")]),
        ("doc/list/0", [replace(5, "/n")]),
        ("doc/list", [replace(5, "/9")]),
        ("other", [add("", {})]),
    ):
        with pytest.raises(objstore.TransactionError, match="is over, and its commit 2 did not"):
            again.patcher(*part).commit()
    assert store.head == 2


def test_who_sits_down_as_all_have_left_is_refused_if_it_took_no_part(
    store: Store[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    tx = store.new_tx(1)
    first, late = tx.patcher("doc/a", [add("/z", 1)]), tx.patcher("doc/b", [add("/z", 1)])
    meetings = type(tx._meetings)
    put = meetings.put

    def put_late(self: Any, id: str, name: str, note: Note) -> Note:
        patch.undo()
        assert first.commit().commit == 2
        return put(self, id, name, note)

    with monkeypatch.context() as patch:
        patch.setattr(meetings, "put", put_late)
        with pytest.raises(objstore.TransactionError, match="is over, and its commit 2 did not"):
            late.commit()
    assert store.head == 2
    assert tx._meetings.notes(tx.id) == {}


Id = Annotated[int, {"autoid": True}]


class Part(Dict):
    id: Id
    name: str


class Row(Dict):
    id: Id
    name: str
    parts: List[Part]


class Numbered(Directory):
    rows: List[Row]
    named: Dict[str, Row]
    people: Directory[Row]


ROW = {"name": "a", "parts": [{"name": "p"}, {"name": "q", "id": 7}]}


def test_who_took_no_part_in_what_gave_numbers_is_refused(reopen_logged: Opener) -> None:
    store = reopen_logged(Numbered)
    with store.transaction():
        store["/rows"] = [{"id": 1, "name": "old", "parts": []}]
        store["/named"] = {}
    tx = store.new_tx(3)
    parts = [
        ("rows", [add("/-", ROW), replace("new", "/0/name")]),
        ("named", [add("/x", {**ROW, "id": None})]),
        ("people/ada", [add("", ROW)]),
    ]
    done = together(*(tx.patcher(*part) for part in parts))
    assert [result.commit for result in done] == [2, 2, 2]
    rows: Any = done[0].data
    assert [row["id"] for row in rows] == [1, 2]
    assert {part["name"]: part["id"] for part in rows[1]["parts"]}.keys() == {"p", "q"}
    again = store.get_tx(tx.id)
    for part, result in zip(parts, done, strict=True):
        assert again.patcher(*part).commit() == result
    for stranger in (
        ("stranger", [add("", {"rows": [{"never": "written"}]})]),
        ("rows", [add("/-", {**ROW, "name": "b"}), replace("new", "/0/name")]),
        ("rows", [add("/-", ROW)]),
        ("rows", [add("/-", ROW), replace("new", "/0/name"), add("/-", ROW)]),
        ("rows", [add("/-", {**ROW, "id": 9}), replace("new", "/0/name")]),
        ("rows", [add("/-", {"name": "a", "parts": [{"name": "p"}]}), replace("new", "/0/name")]),
        ("named", [add("/y", ROW)]),
        ("named", [add("/x", 5)]),
        ("people/ada", [add("", [])]),
        ("people/bob", [add("", ROW)]),
    ):
        with pytest.raises(objstore.TransactionError, match="is over, and its commit 2 did not"):
            again.patcher(*stranger).commit()
    assert store.head == 2


def test_how_many_took_part_is_not_told_where_nobody_knows(store: Store[Any]) -> None:
    tx = store.new_tx(2)
    together(tx.patcher("doc/a", [add("/z", 1)]), tx.patcher("doc/b", [add("/z", 1)]))
    again = store.get_tx(tx.id)
    assert (tx.participants, again.participants) == (2, None)
    assert repr(tx) == f"<Tx {tx.id} of 2>"
    assert repr(again) == f"<Tx {tx.id}, over>"


@pytest.mark.parametrize("odd", [5, None, b"0" * 32], ids=repr)
def test_what_is_no_text_is_no_id_and_no_name(store: Store[Any], odd: Any) -> None:
    with pytest.raises(TypeError, match="a joint transaction's id is text, not"):
        store.get_tx(odd)
    tx = store.new_tx(1)
    if odd is not None:
        with pytest.raises(TypeError, match="a participant's name is text, or None, not"):
            tx.patcher("doc/a", [], name=odd)
    with pytest.raises(TypeError, match="a participant's name is text, or None, not 0"):
        tx.patcher("doc/a", [], name=0)  # type: ignore[arg-type]
    assert tx.patcher("doc/a", [add("/z", 1)], name="").commit().committed
