"""The contract of Documents (objstore/documents.py)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from objstore.documents import DIRECTORY, Change, Commit, Documents
from objstore.errors import (
    ClosedError,
    ConflictError,
    FormatError,
    KeyNotFoundError,
    LayoutError,
    ReadOnlyError,
    StoreNotFoundError,
)
from objstore.layout import ANYTHING
from objstore.values import MISSING
from tests.conformance.layouts import LIBRARY
from tests.conformance.makers import MAKERS, Maker

ADA = {"name": "Ada", "born": 1815}
BOB = {"name": "Bob", "born": 1970}


@pytest.fixture(params=MAKERS, ids=lambda maker: maker.name)
def maker(request: pytest.FixtureRequest) -> Maker:
    found: Maker = request.param
    return found


@pytest.fixture
def url(maker: Maker, tmp_path: Path) -> str:
    return maker.url(tmp_path)


@pytest.fixture
def documents(maker: Maker, url: str) -> Iterator[Documents]:
    opened = maker.open(url, layout=ANYTHING)
    yield opened
    opened.close()


@pytest.fixture
def peek(maker: Maker, url: str) -> Callable[[str], Any]:
    return lambda unit: maker.peek(url, unit)


def put(documents: Documents, **units: Any) -> Commit:
    """Make or replace units at the top, whatever is there."""
    changes = [change(documents, f"/{key}", new) for key, new in units.items()]
    return documents.commit(changes, base=documents.head())


def change(documents: Documents, unit: str, new: Any) -> Change:
    loaded = documents.load(unit)
    return Change(unit, loaded.value, new, loaded.stamp)


# An empty store


def test_a_new_store_is_empty(documents: Documents) -> None:
    assert documents.head() == 0
    assert documents.keys("") == []
    assert documents.look("") is DIRECTORY
    assert documents.look("/ada") is None
    assert documents.load("/ada") == (MISSING, None)
    assert documents.read("/ada") is MISSING


@pytest.mark.parametrize("options", [{"create": False}, {"readonly": True}])
def test_a_missing_store_is_not_found_unless_it_may_be_made(
    maker: Maker, url: str, options: dict[str, Any]
) -> None:
    with pytest.raises(StoreNotFoundError) as caught:
        maker.open(url, layout=ANYTHING, **options)
    assert caught.value.filename == url


@pytest.mark.parametrize("option", ["durability", "apply"])
def test_an_option_that_is_none_is_refused_by_naming_those_that_are(
    maker: Maker, url: str, option: str
) -> None:
    options: dict[str, Any] = {option: "fast"}
    allowed = {"durability": '"full" or "os"', "apply": '"eager" or "lazy"'}[option]
    with pytest.raises(ValueError, match=f"{option} must be {allowed}, not 'fast'"):
        maker.open(url, layout=ANYTHING, **options)


@pytest.mark.parametrize("options", [{"durability": "os"}, {"apply": "lazy"}, {"umask": 0o77}])
def test_options_change_nothing_about_contents(
    maker: Maker, url: str, options: dict[str, Any]
) -> None:
    documents = maker.open(url, layout=ANYTHING, **options)
    put(documents, ada=ADA)
    documents.flush()
    assert maker.peek(url, "/ada") == ADA


# Commit and load


def test_a_commit_makes_units(documents: Documents, peek: Callable[[str], Any]) -> None:
    put(documents, ada=ADA, bob=BOB)
    assert documents.load("/ada").value == ADA
    assert documents.read("/bob") == BOB
    assert peek("/ada") == ADA
    assert peek("/bob") == BOB


def test_a_commit_says_what_was_committed(documents: Documents) -> None:
    put(documents, ada=ADA)
    old = change(documents, "/ada", BOB)
    commit = documents.commit([old], base=1, meta={"author": "me"})
    assert commit.number == documents.head() == 2
    assert commit.meta == {"author": "me"}
    assert commit.scope is None
    assert commit.time.utcoffset() == timedelta(0)
    [done] = commit.changes
    assert done[:3] == ("/ada", ADA, BOB)
    assert done.stamp not in (None, old.stamp)


def test_a_commit_without_meta_has_an_empty_one(documents: Documents) -> None:
    assert put(documents, ada=ADA).meta == {}


def test_units_lie_in_directories(documents: Documents, peek: Callable[[str], Any]) -> None:
    documents.commit([Change("/people/ladies/ada", MISSING, ADA)], base=0)
    assert peek("/people/ladies/ada") == ADA
    assert documents.look("/people") is DIRECTORY
    assert documents.look("/people/ladies") is DIRECTORY
    assert documents.keys("") == ["people"]
    assert documents.keys("/people") == ["ladies"]
    assert documents.keys("/people/ladies") == ["ada"]


def test_contents_may_be_an_array(documents: Documents, peek: Callable[[str], Any]) -> None:
    put(documents, entries=[1, 2.5, None, True, "é", {"a": []}])
    assert documents.load("/entries").value == [1, 2.5, None, True, "é", {"a": []}]
    assert peek("/entries") == [1, 2.5, None, True, "é", {"a": []}]


@pytest.mark.parametrize("value", [42, "text", None, True])
def test_contents_must_be_an_object_or_an_array(documents: Documents, value: Any) -> None:
    with pytest.raises(FormatError, match="expected an object or array at top level") as caught:
        put(documents, ada=value)
    assert caught.value.pointer == ""
    assert documents.keys("") == []


def test_loaded_contents_stay_as_they_were(documents: Documents) -> None:
    put(documents, ada=ADA)
    before = documents.load("/ada").value
    put(documents, ada=BOB)
    assert before == ADA


def test_another_handle_sees_commits(maker: Maker, url: str, documents: Documents) -> None:
    put(documents, ada=ADA)
    other = maker.open(url, layout=ANYTHING, create=False)
    assert other.load("/ada").value == ADA
    put(documents, ada=BOB)
    assert other.load("/ada").value == BOB


def test_contents_are_there_after_reopening(maker: Maker, url: str, documents: Documents) -> None:
    put(documents, ada=ADA, bob=BOB)
    put(documents, bob=MISSING)
    documents.close()
    again = maker.open(url, layout=ANYTHING, create=False)
    assert again.keys("") == ["ada"]
    assert again.load("/ada").value == ADA


# Deletion


def test_a_deleted_unit_is_missing(documents: Documents, peek: Callable[[str], Any]) -> None:
    put(documents, ada=ADA, bob=BOB)
    commit = put(documents, ada=MISSING)
    assert commit.changes[0].stamp is None
    assert documents.load("/ada") == (MISSING, None)
    assert documents.look("/ada") is None
    assert documents.keys("") == ["bob"]
    assert peek("/ada") is MISSING


def test_a_directory_goes_with_its_last_member(documents: Documents) -> None:
    documents.commit([Change("/a/b/c", MISSING, ADA), Change("/a/d", MISSING, BOB)], base=0)
    documents.commit([change(documents, "/a/b/c", MISSING)], base=1)
    assert documents.look("/a/b") is None
    assert documents.keys("/a") == ["d"]


def test_a_unit_can_be_made_again(documents: Documents, peek: Callable[[str], Any]) -> None:
    put(documents, ada=ADA)
    put(documents, ada=MISSING)
    put(documents, ada=BOB)
    assert peek("/ada") == BOB


# Looks and stamps


def test_a_look_gives_the_known_stamp_while_nothing_changes(documents: Documents) -> None:
    committed = put(documents, ada=ADA).changes[0].stamp
    assert documents.look("/ada", committed) is committed
    loaded = documents.load("/ada").stamp
    assert documents.look("/ada", loaded) is loaded
    put(documents, bob=BOB)
    assert documents.look("/ada", committed) is committed
    assert documents.look("/ada", loaded) is loaded


def test_a_look_gives_another_stamp_after_a_change(
    maker: Maker, url: str, documents: Documents
) -> None:
    put(documents, ada=ADA)
    known = documents.load("/ada").stamp
    put(maker.open(url, layout=ANYTHING), ada=BOB)
    seen = documents.look("/ada", known)
    assert seen is not known
    assert seen not in (None, DIRECTORY)


def test_a_look_without_a_stamp_tells_what_is_there(documents: Documents) -> None:
    put(documents, ada=ADA)
    seen = documents.look("/ada")
    assert seen not in (None, DIRECTORY)
    assert documents.look("/ada", seen) is seen


def test_a_stamp_of_a_look_is_good_for_a_commit(documents: Documents) -> None:
    put(documents, ada=ADA)
    seen = documents.look("/ada")
    documents.commit([Change("/ada", ADA, BOB, seen)], base=1)
    assert documents.load("/ada").value == BOB
    with pytest.raises(ConflictError):
        documents.commit([Change("/ada", ADA, BOB, seen)], base=1)


def test_a_look_at_a_deleted_unit_gives_none(documents: Documents) -> None:
    known = put(documents, ada=ADA).changes[0].stamp
    put(documents, ada=MISSING)
    assert documents.look("/ada", known) is None


# Keys


def test_keys_are_sorted(documents: Documents) -> None:
    put(documents, bob=BOB, ada=ADA, Zoe={}, é={})
    assert documents.keys("") == ["Zoe", "ada", "bob", "é"]


@pytest.mark.parametrize(
    ("key", "token"),
    [
        ("a/b", "a~1b"),
        ("a~b", "a~0b"),
        ("..", ".."),
        (".hidden", ".hidden"),
        ("100%", "100%"),
        ("%41", "%41"),
        ("CON", "CON"),
        ("a.json", "a.json"),
        (" a b ", " a b "),
        ('<>:"|?*\\', '<>:"|?*\\'),
        ("zero\0byte", "zero\0byte"),
        ("😀 é", "😀 é"),
    ],
)
def test_a_key_is_any_text(maker: Maker, url: str, key: str, token: str) -> None:
    documents = maker.open(url, layout=ANYTHING)
    documents.commit(
        [Change(f"/{token}", MISSING, ADA), Change(f"/in/{token}/below", MISSING, BOB)], base=0
    )
    again = maker.open(url, layout=ANYTHING)
    assert again.load(f"/{token}").value == ADA
    assert again.load(f"/in/{token}/below").value == BOB
    assert again.keys("") == sorted([key, "in"])
    assert again.keys("/in") == [key]


def test_a_missing_directory_has_no_keys(documents: Documents) -> None:
    assert documents.keys("/nobody") == []


def test_a_pointer_begins_with_a_slash(documents: Documents) -> None:
    with pytest.raises(ValueError, match="JSON Pointer"):
        documents.load("ada")


# Layouts


def test_the_layout_says_which_units_there_are(maker: Maker, url: str) -> None:
    documents = maker.open(url, layout=LIBRARY)
    documents.commit(
        [
            Change("/people/ada", MISSING, ADA),
            Change("/settings", MISSING, {"dark": True}),
            Change("/reading", MISSING, ["a", "b"]),
        ],
        base=0,
    )
    assert documents.keys("") == ["people", "reading", "settings"]
    assert documents.load("/reading").value == ["a", "b"]
    for unit in ("/other", "/settings/dark", "/people/ada/name"):
        with pytest.raises(KeyNotFoundError, match="no place for"):
            documents.load(unit)
        with pytest.raises(KeyNotFoundError, match="no place for"):
            documents.look(unit)
        with pytest.raises(KeyNotFoundError, match="no place for"):
            documents.commit([Change(unit, MISSING, {})], base=1)


def test_a_declared_member_is_listed_only_if_it_exists(maker: Maker, url: str) -> None:
    documents = maker.open(url, layout=LIBRARY)
    documents.commit([Change("/settings", MISSING, {})], base=0)
    assert documents.keys("") == ["settings"]
    assert documents.look("/reading") is None


def test_a_declared_directory_is_no_unit(maker: Maker, url: str) -> None:
    documents = maker.open(url, layout=LIBRARY)
    for use in (
        lambda: documents.load("/people"),
        lambda: documents.load(""),
        lambda: documents.commit([Change("/people", MISSING, {})], base=0),
    ):
        with pytest.raises(LayoutError, match="is a directory"):
            use()


def test_a_unit_is_no_directory(documents: Documents) -> None:
    put(documents, ada=ADA)
    with pytest.raises(LayoutError, match="ada"):
        documents.keys("/ada")
    with pytest.raises(LayoutError, match="ada"):
        documents.commit([Change("/ada/child", MISSING, BOB)], base=1)
    assert documents.keys("") == ["ada"]


def test_a_directory_is_no_unit(documents: Documents) -> None:
    documents.commit([Change("/people/ada", MISSING, ADA)], base=0)
    with pytest.raises(LayoutError, match="people"):
        documents.load("/people")
    with pytest.raises(LayoutError, match="people"):
        documents.commit([Change("/people", MISSING, BOB)], base=1)
    assert documents.read("/people/ada") == ADA


def test_one_commit_cannot_make_a_unit_and_its_directory(documents: Documents) -> None:
    with pytest.raises(LayoutError, match="/a"):
        documents.commit([Change("/a", MISSING, ADA), Change("/a/b", MISSING, BOB)], base=0)
    assert documents.keys("") == []


def test_source_names_the_unit(documents: Documents) -> None:
    assert "ada" in documents.source("/people/ada")
    documents.commit([Change("/people/ada", MISSING, ADA)], base=0)
    assert "ada" in documents.source("/people/ada")


# Conflicts


def test_a_stale_stamp_is_a_conflict(documents: Documents) -> None:
    put(documents, ada=ADA)
    stale = change(documents, "/ada", {"name": "ours"})
    put(documents, ada=BOB)
    with pytest.raises(ConflictError) as caught:
        documents.commit([stale], base=1)
    error = caught.value
    assert (error.pointer, error.base, error.ours, error.theirs) == (
        "/ada",
        ADA,
        {"name": "ours"},
        BOB,
    )
    assert documents.read("/ada") == BOB
    assert documents.head() == 2


def test_making_what_somebody_made_is_a_conflict(documents: Documents) -> None:
    ours = change(documents, "/ada", ADA)
    put(documents, ada=BOB)
    with pytest.raises(ConflictError) as caught:
        documents.commit([ours], base=0)
    assert caught.value.base is MISSING
    assert caught.value.theirs == BOB


@pytest.mark.parametrize("new", [BOB, MISSING])
def test_changing_what_somebody_deleted_is_a_conflict(documents: Documents, new: Any) -> None:
    put(documents, ada=ADA)
    ours = change(documents, "/ada", new)
    put(documents, ada=MISSING)
    with pytest.raises(ConflictError) as caught:
        documents.commit([ours], base=1)
    assert caught.value.theirs is MISSING
    assert documents.keys("") == []


def test_making_again_what_somebody_made_again_is_a_conflict(documents: Documents) -> None:
    put(documents, ada=ADA)
    stale = change(documents, "/ada", BOB)
    put(documents, ada=BOB)
    put(documents, ada=MISSING)
    put(documents, ada={"another": 1})
    with pytest.raises(ConflictError):
        documents.commit([stale], base=1)


@pytest.mark.parametrize("at", [0, 1, 2])
def test_one_conflict_and_nothing_is_written(documents: Documents, at: int) -> None:
    put(documents, ada=ADA, bob=BOB)
    changes = [
        change(documents, "/ada", {"new": 1}),
        change(documents, "/bob", MISSING),
    ]
    stamp_of_another = documents.load("/bob").stamp
    changes.insert(at, Change("/eve", {"never": 1}, {"there": 1}, stamp_of_another))
    with pytest.raises(ConflictError):
        documents.commit(changes, base=1)
    assert documents.keys("") == ["ada", "bob"]
    assert documents.read("/ada") == ADA
    assert documents.head() == 1


def test_a_commit_of_nothing_is_refused(documents: Documents) -> None:
    with pytest.raises(ValueError, match="at least one change"):
        documents.commit([], base=0)


def test_a_commit_changes_a_unit_once(documents: Documents) -> None:
    twice = [Change("/ada", MISSING, ADA), Change("/ada", MISSING, BOB)]
    with pytest.raises(ValueError, match="each unit once"):
        documents.commit(twice, base=0)
    assert documents.keys("") == []


# Read-only, closed


def test_a_readonly_store_is_read_and_not_written(maker: Maker, url: str) -> None:
    put(maker.open(url, layout=ANYTHING), ada=ADA)
    documents = maker.open(url, layout=ANYTHING, readonly=True)
    assert documents.keys("") == ["ada"]
    with pytest.raises(ReadOnlyError):
        put(documents, ada=BOB)
    assert documents.load("/ada").value == ADA


def test_a_closed_store_refuses_everything_but_close(documents: Documents) -> None:
    put(documents, ada=ADA)
    documents.close()
    documents.close()
    uses: list[Callable[[], object]] = [
        documents.head,
        documents.flush,
        lambda: documents.load("/ada"),
        lambda: documents.read("/ada"),
        lambda: documents.look("/ada"),
        lambda: documents.keys(""),
        lambda: documents.source("/ada"),
        lambda: documents.commit([Change("/bob", MISSING, BOB)], base=0),
    ]
    for use in uses:
        with pytest.raises(ClosedError):
            use()


# Threads


def test_of_all_who_commit_on_one_stamp_exactly_one_wins(documents: Documents) -> None:
    put(documents, ada={"winner": None})
    for turn in range(10):
        start = threading.Barrier(4)
        changes = [change(documents, "/ada", {"winner": [turn, n]}) for n in range(4)]

        def attempt(n: int, start: threading.Barrier = start, all_: Any = changes) -> int | None:
            start.wait()
            try:
                documents.commit([all_[n]], base=documents.head())
            except ConflictError:
                return None
            return n

        with ThreadPoolExecutor(4) as pool:
            winners = [n for n in pool.map(attempt, range(4)) if n is not None]
        assert len(winners) == 1
        assert documents.read("/ada") == {"winner": [turn, winners[0]]}


def test_threads_that_try_again_lose_no_update(maker: Maker, url: str) -> None:
    """Half of the threads share a handle, half have their own."""
    shared = maker.open(url, layout=ANYTHING, durability="os")
    put(shared, counter=[0])

    def count(n: int) -> None:
        documents = shared if n % 2 else maker.open(url, layout=ANYTHING, durability="os")
        done = 0
        while done < 25:
            loaded = documents.load("/counter")
            assert isinstance(loaded.value, list)
            new = [loaded.value[0] + 1]
            try:
                documents.commit([Change("/counter", loaded.value, new, loaded.stamp)], base=0)
            except ConflictError:
                continue
            done += 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(4)))
    assert maker.peek(url, "/counter") == [100]


def test_threads_on_different_units_do_not_conflict(
    documents: Documents, peek: Callable[[str], Any]
) -> None:
    def write(n: int) -> None:
        for turn in range(5):
            documents.commit([change(documents, f"/people/{n}", [n, turn])], base=0)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert documents.keys("/people") == ["0", "1", "2", "3"]
    assert [peek(f"/people/{n}") for n in range(4)] == [[n, 4] for n in range(4)]
    assert documents.head() == 20


def test_a_reader_sees_whole_units_while_others_write(documents: Documents) -> None:
    put(documents, ada=[0] * 2000)
    stop = threading.Event()

    def read() -> int:
        reads = 0
        while not stop.is_set() or not reads:
            value = documents.load("/ada").value
            assert isinstance(value, list)
            assert len(set(value)) == 1
            reads += 1
        return reads

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        for turn in range(20):
            put(documents, ada=[turn] * 2000)
        stop.set()
        assert all(reader.result() > 0 for reader in readers)
