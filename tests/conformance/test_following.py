"""Objects follow their elements when others change the list (design, section 4)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import objstore
from objstore import DetachedError, Dict, Directory, List, Store

from .stores import Opener, reopen

__all__ = ["reopen"]


class Pair:
    """Two stores on one folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "list.json"
        self.store: Store[Any] = objstore.open(folder)
        self.other: Store[Any] = objstore.open(folder)
        self.store["list"] = [{"n": 0}, {"n": 1}, {"n": 2}]
        self.list: Any = self.store["list"]
        self.held = list(self.list)

    def on_disk(self) -> Any:
        return json.loads(self.path.read_text())

    def close(self) -> None:
        self.store.close()
        self.other.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    made = Pair(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("together", [False, True])
def test_a_change_is_made_where_the_element_is_now(pair: Pair, together: bool) -> None:
    pair.other["list"].insert(0, {"n": 9})
    if together:
        with pair.store.transaction():
            pair.held[1]["m"] = 1
    else:
        pair.held[1]["m"] = 1
    assert pair.on_disk() == [{"n": 9}, {"n": 0}, {"n": 1, "m": 1}, {"n": 2}]
    assert pair.held == [{"n": 0}, {"n": 1, "m": 1}, {"n": 2}]


def test_an_edit_by_hand(pair: Pair) -> None:
    pair.path.write_text('[{"n": 2}, {"n": 7}, {"n": 1, "m": 1}]')
    assert pair.store["list"] is pair.list
    assert pair.held[2] == {"n": 2}
    pair.held[2]["x"] = 3
    assert pair.on_disk()[0] == {"n": 2, "x": 3}


def test_an_element_that_others_removed_is_gone(pair: Pair) -> None:
    del pair.other["list"][1]
    assert pair.store["list"] is pair.list
    assert (pair.held[0], pair.held[2]) == ({"n": 0}, {"n": 2})
    with pytest.raises(objstore.DetachedError):
        pair.held[1]["n"]
    with pytest.raises(objstore.DetachedError):
        pair.held[1]["n"] = 5
    assert pair.on_disk() == [{"n": 0}, {"n": 2}]


def test_a_transaction_goes_on_seeing_elements_where_they_were(tmp_path: Path) -> None:
    path = tmp_path / "sheet.json"
    path.write_text('[{"id": 1}, {"id": 2}, {"id": 3}]')
    with objstore.open(tmp_path, _Sheets) as store, objstore.open(tmp_path, _Sheets) as other:
        sheet = store.root.sheet
        held = list(sheet)
        with store.transaction():
            assert held[1] == {"id": 2}
            other.root.sheet.insert(0, _Row(id=9))
            assert [row.id for row in sheet] == [1, 2, 3]
            held[1].text = "ours"
            sheet.append(_Row(id=4))
            new = sheet[3]
            assert held == [{"id": 1}, {"id": 2, "text": "ours"}, {"id": 3}]
        assert [row.id for row in sheet] == [9, 1, 2, 3, 4]
        assert held == [{"id": 1}, {"id": 2, "text": "ours"}, {"id": 3}]
        assert new == {"id": 4}
        held[1].text = "again"
        assert json.loads(path.read_text())[2] == {"id": 2, "text": "again"}


def test_what_was_removed_outside_and_stored_again_is_followed_from_there(pair: Pair) -> None:
    pair.path.unlink()
    assert "list" not in pair.store
    pair.store["list"] = [{"n": 9}, {"n": 0}, {"n": 1}]
    last = pair.store["list"][2]
    pair.path.write_text('[{"n": 8}, {"n": 9}, {"n": 0}, {"n": 1}]')
    assert pair.store["list"] is pair.list
    assert last == {"n": 1}


def test_undo(pair: Pair) -> None:
    pair.list.insert(0, {"n": 9})
    pair.store.undo(pair.store.head)
    assert pair.held == [{"n": 0}, {"n": 1}, {"n": 2}]
    del pair.list[0]
    pair.store.undo(pair.store.head)
    assert pair.held[1:] == [{"n": 1}, {"n": 2}]


class _Row(Dict):
    id: int
    text: str = ""


class _Sheets(Directory):
    sheet: Annotated[List[_Row], {"mergeKey": "id"}]


def test_the_key_of_a_list_tells(tmp_path: Path) -> None:
    path = tmp_path / "sheet.json"
    path.write_text('[{"id": 1, "text": "a"}, {"id": 2, "text": "b"}]')
    with objstore.open(tmp_path, _Sheets) as store:
        first, second = store.root.sheet
        path.write_text('[{"id": 2, "text": "other"}, {"id": 1, "text": "others"}]')
        assert [row.text for row in store.root.sheet] == ["other", "others"]
        assert (first.text, second.text) == ("others", "other")


def test_below_a_list_in_a_list(tmp_path: Path) -> None:
    path = tmp_path / "sheet.json"
    with objstore.open(tmp_path) as store:
        store["sheet"] = {
            "rows": [
                {"id": 1, "cells": [{"v": 1}, {"v": 2}]},
                {"id": 2, "cells": [{"v": 3}]},
            ]
        }
        rows = store["sheet"]["rows"]
        last, other = rows[1]["cells"][0], rows[0]["cells"][1]
        contents = json.loads(path.read_text())
        contents["rows"].insert(0, {"id": 0, "cells": []})
        contents["rows"][1]["cells"].insert(0, {"v": 0})
        path.write_text(json.dumps(contents))
        assert store["sheet"]["rows"] is rows
        assert (last, other) == ({"v": 3}, {"v": 2})
        other["w"] = 4
    assert json.loads(path.read_text())["rows"][1]["cells"][2] == {"v": 2, "w": 4}


class _Rooms(Directory):
    rooms: List[Dict]


@settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["insert", "delete", "move", "change", "own insert", "own delete"]),
            st.integers(0, 30),
            st.integers(0, 30),
        ),
        max_size=12,
    )
)
def test_whatever_others_do(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    """Elements have numbers of their own, by which it is known where each one is."""
    folder = tmp_path_factory.mktemp("following")
    path = folder / "rooms.json"
    path.write_text(json.dumps([{"n": number, "m": 0} for number in range(5)]))
    with objstore.open(folder, _Rooms) as store:
        rooms: Any = store.root.rooms
        held = {room["n"]: room for room in rooms}
        numbers = iter(range(100, 200))
        for step, first, second in steps:
            contents = json.loads(path.read_text())
            if step.startswith("own"):
                if step == "own insert":
                    rooms.insert(first % (len(contents) + 1), {"n": next(numbers), "m": 0})
                elif contents:
                    del rooms[first % len(contents)]
                contents = json.loads(path.read_text())
            else:
                if step == "insert":
                    new = {"n": next(numbers), "m": 0}
                    contents.insert(first % (len(contents) + 1), new)
                elif contents and step == "delete":
                    del contents[first % len(contents)]
                elif contents and step == "move":
                    moved = contents.pop(first % len(contents))
                    contents.insert(second % (len(contents) + 1), moved)
                elif contents:
                    contents[first % len(contents)]["m"] += 1
                path.write_text(json.dumps(contents))
            assert store.root.rooms is rooms
            there = {one["n"]: one for one in contents}
            for number, room in held.items():
                if number in there:
                    assert room == there[number]
                else:
                    with pytest.raises(objstore.DetachedError):
                        room["n"]
            held.update((room["n"], room) for room in rooms)


# --- files of another kind ------------------------------------------------------------------------


def test_a_list_file_that_another_makes_a_dict_file_and_back(reopen: Opener) -> None:
    store, other = reopen(), reopen()
    for first, second in (([1], {"x": 1}), ({"x": 2}, [2])):
        store["/u"] = first
        before = store["/u"]
        assert before.contents == first
        other["/u"] = second
        assert store["/u"].contents == second
        assert store.root["u"].contents == second
        with pytest.raises(DetachedError):
            before.contents


def test_a_member_of_either_kind_by_the_schema(reopen: Opener) -> None:
    class Either(Directory[Any]):
        u: List[int] | Dict[str, int]

    store, other = reopen(Either), reopen(Either)
    store["/u"] = [1]
    assert store.root.u.contents == [1]
    other["/u"] = {"x": 1}
    with store.transaction():
        assert store.root.u.x == 1
    other["/u"] = [2]
    assert store.root.u[0] == 2
