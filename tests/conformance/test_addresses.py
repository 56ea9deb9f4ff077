"""Every way to write an address of a store, in the calls that take one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from objstore import Dict, Directory, KeyNameError, KeyNotFoundError, PathError, Store

from .library import ADA, BOB, Library, fill
from .stores import Opener, reopen, reopen_logged

__all__ = ["reopen", "reopen_logged"]

USES: list[Callable[[Store[Any], str], Any]] = [
    Store.GET,
    Store.DELETE,
    lambda store, path: store.PUT(path, 3),
]


class Nested(Directory):
    teams: Directory[Directory[Dict]]


@pytest.fixture
def store(reopen: Opener) -> Store[Library]:
    found = reopen(Library)
    fill(found)
    return found


@pytest.fixture
def anything(reopen: Opener) -> Store[Directory[Any]]:
    return reopen()


@pytest.mark.parametrize("path", ["/people/bob/tags/1", "people/bob/tags/1", "people.bob.tags[1]"])
def test_an_address_leads_to_the_same_place_however_it_is_written(
    store: Store[Library], path: str
) -> None:
    assert store.GET(path) == store[path] == "b"
    assert store.HEAD(path)
    assert path in store
    store.PUT(path, "c")
    assert store.root.people["bob"].tags == ["a", "c"]
    store[path] = "d"
    assert store.root.people["bob"].tags == ["a", "d"]
    store.DELETE(path)
    assert store.root.people["bob"].tags == ["a"]
    assert not store.HEAD(path)


@pytest.mark.parametrize("path", ["people", "/people", "people/", "/people/", "//people//"])
def test_slashes_at_the_ends_of_a_directory_count_for_nothing(
    store: Store[Library], path: str
) -> None:
    assert store[path] is store.root.people
    assert list(store[path]) == ["ada", "bob"]


@pytest.mark.parametrize("path", ["", "/", "//"])
def test_the_root_is_an_address(store: Store[Library], path: str) -> None:
    assert store[path] is store.root


def test_within_a_file_an_empty_key_is_a_key(anything: Store[Directory[Any]]) -> None:
    anything["doc"] = {"": {"": 1}, "a": {"": 2}}
    assert anything["/doc/"] == {"": 1}
    assert anything["/doc//"] == 1
    assert anything["/doc/a/"] == anything['doc.a.""'] == 2
    assert anything["doc/a/"] == {"": 2}
    anything["/doc/a/"] = 3
    assert anything["/doc"] == {"": {"": 1}, "a": {"": 3}}
    del anything["/doc/"]
    assert anything["doc"] == {"a": {"": 3}}


def test_within_a_file_of_then_an_empty_key_is_a_key(reopen_logged: Opener) -> None:
    store = reopen_logged()
    store["doc"] = {"a": {"": 1, "b": 2}, "n": None}
    store["doc/a"] = {"": 2, "b": 3}
    store["doc"] = {}
    assert [store.read_at("/doc/a/", number) for number in (1, 2)] == [1, 2]
    assert store.diff(1, 2, "/doc/a/") == [{"op": "replace", "path": "/doc/a/", "value": 2}]
    assert store.diff(3, 1, "/doc/a/") == [{"op": "add", "path": "/doc/a/", "value": 1}]
    assert store.at(2)["/doc/a/"] == 2
    assert store.read_at("/doc/n/", 1) is None
    store["folder/file"] = {"": 4}
    assert list(store.blame("/folder/file/")) == ["/folder/file/"]
    del store["folder"]
    assert store.read_at("/folder/", 4) == {"file": {"": 4}}
    assert store.diff(4, 5, "/folder/") == [{"op": "remove", "path": "/folder"}]
    with pytest.raises(KeyNotFoundError):
        store.read_at("/doc/a/", 3)


def test_a_slash_at_the_end_of_what_is_not_there_yet_counts_for_nothing(
    anything: Store[Directory[Any]],
) -> None:
    anything["/new/"] = {"x": 1}
    assert anything["new"] == {"x": 1}
    with pytest.raises(KeyNotFoundError):
        anything["/nothing/"]


def test_dots_make_a_path_unless_a_slash_or_quotes_say_otherwise(
    anything: Store[Directory[Any]],
) -> None:
    anything["/v1.0"] = {"x": 1}
    assert anything['"v1.0".x'] == anything["/v1.0/x"] == anything["v1.0/x"] == 1
    assert "v1.0" not in anything
    anything["v1"] = {"0": 2}
    assert anything["v1.0"] == 2


def test_get_and_setdefault_of_what_is_missing(store: Store[Library]) -> None:
    people, eve = store.root.people, {"name": "Eve", "born": 1990}
    assert people.get("eve") is store.get("people/eve") is None
    assert people.get("eve", 1) == store.get("people/eve", 1) == 1
    assert people.get("ada") is store.get("people.ada") is people["ada"]
    assert store.setdefault("people/eve", eve) is people["eve"]
    assert store.setdefault("people/eve", BOB) == people.get("eve") == eve
    with pytest.raises(IndexError):
        store.setdefault("people/eve/tags/0", "a")


@pytest.mark.parametrize("token", ["2", "9" * 18, "9" * 19, "9" * 5000])
def test_an_index_out_of_range_is_not_there(reopen_logged: Opener, token: str) -> None:
    store = reopen_logged()
    store["/a"] = {"l": [1, 2]}
    path = f"/a/l/{token}"
    assert store.get(path) is None
    assert store.get(path, "default") == "default"
    assert store.pop(path, "default") == "default"
    assert path not in store
    for use in USES:
        with pytest.raises(IndexError, match="out of range for 2 elements"):
            use(store, path)
    with pytest.raises(KeyNotFoundError):
        store.read_at(path, 1)
    assert list(store.log(path)) == list(store.log("/a"))


@pytest.mark.parametrize("path", ["/a/n/x", "/a/s/0", "/a/z/x", "/a/l/0/x"])
def test_nothing_is_popped_of_what_has_no_keys(reopen: Opener, path: str) -> None:
    store = reopen()
    store["/a"] = {"n": 5, "s": "text", "z": None, "l": [1]}
    with pytest.raises(KeyNotFoundError, match="which has no keys"):
        store.pop(path)
    assert store.pop(path, "default") == "default"


@pytest.mark.parametrize("token", ["\u0660", "\u0661", "01", "00", "-1", "+1", "1.0", "\u00b2", ""])
def test_what_is_no_index_is_not_there(reopen_logged: Opener, token: str) -> None:
    """RFC 6901, section 4: ASCII digits without leading zeros."""
    store = reopen_logged()
    store["/a"] = {"l": [1, 2]}
    store["/a/l/1"] = 3
    path = f"/a/l/{token}"
    assert store.get(path, "default") == "default"
    assert path not in store
    for use in USES:
        with pytest.raises(KeyNotFoundError, match="is no index of a list"):
            use(store, path)
    with pytest.raises(KeyNotFoundError):
        store.read_at(path, 1)
    assert [commit.number for commit in store.log(path)] == [1]


@pytest.mark.parametrize("key", ["", "\ud800"])
def test_a_key_that_no_file_can_be_named_after_is_refused(reopen: Opener, key: str) -> None:
    store = reopen(Library)
    with pytest.raises(KeyNameError):
        store.root.people[key] = ADA
    with pytest.raises(KeyNameError), store.transaction():
        store.root.people["bob"] = BOB
        store.root.people[key] = ADA
    assert list(store) == []
    assert key not in store.root.people
    nested = reopen(Nested)
    with pytest.raises(KeyNameError):
        nested.root.teams[key] = {"ada": ADA}
    assert list(nested) == []


def test_a_key_may_have_line_breaks(reopen_logged: Opener) -> None:
    store = reopen_logged()
    for key in ("line\nbreak", "\n", "end\n"):
        store.root[key] = {"n": 1}
        store.root[key].n = 2
    assert store.check() == []
    other = reopen_logged()
    assert other.check() == []
    assert sorted(other) == ["/\n", "/end\n", "/line\nbreak"]


def test_a_sparse_array_is_an_object_with_numbers_for_keys(
    anything: Store[Directory[Any]],
) -> None:
    anything["doc"] = {"rows": {}}
    anything["doc.rows{3}"] = "three"
    anything["doc.rows{17}"] = {"n": 17}
    assert type(anything["doc.rows"]) is Dict
    assert anything["doc"] == {"rows": {"3": "three", "17": {"n": 17}}}
    assert anything["doc.rows{17}.n"] == 17
    del anything["doc.rows{3}"]
    assert anything["doc.rows"] == {"17": {"n": 17}}


@pytest.mark.parametrize("path", ["/people/bob", "people/bob", "people/bob/", "people.bob"])
def test_addresses_of_patches_and_of_what_is_heard_of(reopen_logged: Opener, path: str) -> None:
    store = reopen_logged(Library)
    fill(store)
    heard = threading.Event()
    end = store.on_change(path, lambda _: heard.set())
    result = (
        store.new_tx(1).patcher(path, [{"op": "add", "path": "/tags/0", "value": "x"}]).commit()
    )
    assert result.committed
    assert store.root.people["bob"].tags == ["x", "a", "b"]
    assert heard.wait(30)
    end()


@pytest.mark.parametrize("path", ["people.", "people[", "a.*", "it's"])
def test_what_is_no_path_is_refused(store: Store[Library], path: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: store.GET(path),
        lambda: store.HEAD(path),
        lambda: store.DELETE(path),
        lambda: store.PUT(path, 1),
        lambda: store.read_at(path, 0),
        lambda: store.log(path),
        lambda: store.diff(0, 0, path),
        lambda: store.blame(path),
    ]
    for call in calls:
        with pytest.raises(PathError, match="character"):
            call()
    assert store.root.people == {"ada": ADA, "bob": BOB}


@pytest.mark.parametrize(
    ("path", "at"), [("/~3", 3), ("a~b", 3), ("/a~0/b~", 8), ("people/~~1", 9)]
)
def test_a_tilde_that_escapes_nothing_is_refused(reopen_logged: Opener, path: str, at: int) -> None:
    store = reopen_logged()
    store["a"] = {}
    calls: list[Callable[[], object]] = [
        lambda: store[path],
        lambda: store.__setitem__(path, {"n": 1}),
        lambda: path in store,
        lambda: store.HEAD(path),
        lambda: store.DELETE(path),
        lambda: store.read_at(path, 1),
        lambda: store.log(path),
        lambda: store.diff(0, 1, path),
        lambda: store.blame(path),
        lambda: store.changes(path),
        lambda: store.on_change(path, lambda _: None),
        lambda: store.new_tx(1).patcher(path, []),
    ]
    words = f'\'{path}\', character {at}: expected "0" or "1" behind "~"'
    for call in calls:
        with pytest.raises(PathError, match=words):
            call()
    assert list(store) == ["/a"]


def test_a_key_with_a_tilde_has_an_address_of_each_kind(reopen_logged: Opener) -> None:
    store = reopen_logged()
    store.root["a~b"] = {"c~1": {"d": 1}}
    assert list(store) == ["/a~0b"]
    for path in ("/a~0b/c~01", "a~0b/c~01", '"a~b".c~1'):
        assert store[path] == store.read_at(path, 1) == {"d": 1}
        assert [commit.number for commit in store.log(path)] == [1]


def test_what_is_no_text_is_no_path(store: Store[Library]) -> None:
    path: Any = 5
    calls: list[Callable[[], object]] = [
        lambda: store[path],
        lambda: store.PUT(path, {}),
        lambda: store.read_at(path, 0),
        lambda: store.log(path),
        lambda: store.diff(0, 0, path),
        lambda: store.blame(path),
        lambda: store.new_tx(1).patcher(path, []),
    ]
    for call in calls:
        with pytest.raises(TypeError, match="a path is text, not 5"):
            call()
    assert path not in store
