"""Edits in a store that is watched: of files that no commit has touched, and what is not valid."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import pytest

import objstore
from objstore import Commit, Invalid, Mended, Store
from objstore._news import News
from objstore.backings.filesystem.later import Later
from tests.conformance.library import ADA, BOB, Library
from tests.conformance.retentions import NEWEST
from tests.conformance.test_autoids import Board, ids
from tests.news import PATIENCE, Heard, fence

from .saving import (
    EDA,
    replace,
    text_of,
)

# --- files that no commit has touched -------------------------------------------------------------


@pytest.fixture
def untouched(folder: Path) -> Iterator[Store[Library]]:
    """Over files that were there before, and with no log."""
    (folder / "people").mkdir(parents=True)
    for name, person in (("ada", ADA), ("bob", BOB)):
        (folder / "people" / f"{name}.json").write_text(json.dumps(person))
    with objstore.open(folder, Library, watch=True) as store:
        yield store


@pytest.mark.parametrize("how", ["saved again", "touched", "broken and mended"])
def test_what_is_saved_as_it_was_is_no_edit(
    untouched: Store[Library], folder: Path, ada: Path, how: str
) -> None:
    store, before = untouched, ada.read_text()
    assert store.root.people["ada"].name == "Ada"
    with Heard(store) as heard:
        if how == "saved again":
            replace(ada, before)
        elif how == "touched":
            ada.touch()
        else:
            ada.write_text("{")
            heard.invalid()
            ada.write_text(before)
            heard.mended()
        replace(folder / "people/bob.json", json.dumps({**BOB, "name": "Bo"}))
        commit = heard.commit()
        assert [change.unit for change in commit.changes] == ["/people/bob"]
        replace(ada, json.dumps(EDA))
        commit = heard.commit()
        assert (commit.changes[0].old, commit.unknown) == (ADA, frozenset())
    assert store.at(1).root.people["ada"] == ADA


def test_what_an_object_shows_is_what_was_before(untouched: Store[Library], ada: Path) -> None:
    store = untouched
    person = store.root.people["ada"]
    assert person.name == "Ada"
    with Heard(store) as heard:
        replace(ada, json.dumps(EDA))
        commit = heard.commit()
        assert person == EDA
        assert str(commit).endswith("/people/ada changed (made outside)")
        assert (commit.changes[0].old, commit.unknown) == (ADA, frozenset())
    assert [(one.changes[0].old, one.unknown) for one in store.log()] == [(ADA, frozenset())]
    assert store.at(0).root.people["ada"] == ADA
    assert store.diff(0, 1) == [{"op": "replace", "path": "/people/ada/name", "value": "Eda"}]
    store.undo(1)
    assert json.loads(ada.read_text()) == ADA


@pytest.mark.parametrize("is_shown", [True, False])
def test_a_deletion_is_told(untouched: Store[Library], ada: Path, is_shown: bool) -> None:
    store = untouched
    person = store.root.people["ada"]
    assert not is_shown or person.name == "Ada"
    with Heard(store) as heard:
        ada.unlink()
        commit = heard.commit()
    assert str(commit).endswith("/people/ada deleted (made outside)")
    change = commit.changes[0]
    assert (change.old, change.new) == (ADA if is_shown else objstore.MISSING, objstore.MISSING)
    assert commit.unknown == (frozenset() if is_shown else {"/people/ada"})
    with pytest.raises(objstore.DetachedError):
        person.name
    assert list(store.root.people) == ["bob"]
    assert list(store.at(0).root.people) == ["ada", "bob"]
    store.close()
    with objstore.open(ada.parent.parent, Library) as again:
        [one] = again.log()
        assert (one.changes, one.unknown) == (commit.changes, commit.unknown)
        assert again.check() == []


@pytest.mark.parametrize("is_gone", [False, True])
def test_what_was_before_and_nobody_knows_is_not_made_up(
    untouched: Store[Library], ada: Path, is_gone: bool
) -> None:
    store = untouched
    with Heard(store) as heard:
        if is_gone:
            ada.unlink()
        else:
            replace(ada, json.dumps(EDA))
        commit = heard.commit()
        assert commit.unknown == {"/people/ada"}
        replace(ada, json.dumps({"name": "Ida", "born": 1}))
        assert heard.commit().unknown == frozenset()
    made = ada.read_text()
    for ask in (
        lambda: store.undo(1),
        lambda: store.diff(0, 2),
        lambda: store.diff(2, 0, "people/ada/born"),
        lambda: store.read_at("people/ada", 0),
    ):
        with pytest.raises(objstore.HistoryGone, match=r"/people/ada was before .* is not known"):
            ask()
    assert ada.read_text() == made
    assert store.diff(1, 2, "people/ada") != []
    assert store.diff(0, 2, "people/bob") == []


def test_who_set_what_nobody_knew_is_not_made_up(untouched: Store[Library], ada: Path) -> None:
    with Heard(untouched) as heard:
        replace(ada, json.dumps({**ADA, "email": "e"}))
        assert heard.commit().unknown == {"/people/ada"}
    untouched.root.people["ada"].email = "new"
    blamed = untouched.blame("people/ada")
    assert {leaf: commit and commit.number for leaf, commit in blamed.items()} == {
        "/people/ada/name": None,
        "/people/ada/born": None,
        "/people/ada/email": 2,
    }


@pytest.mark.parametrize("way", ["at once", "broken first", "with its folder"])
def test_a_file_that_came_was_not_there(
    untouched: Store[Library], folder: Path, ada: Path, tmp_path: Path, way: str
) -> None:
    store, eve = untouched, ada.with_name("eve.json")
    with Heard(store) as heard:
        if way == "with its folder":
            shutil.copytree(ada.parent, tmp_path / "copy")
            (tmp_path / "copy" / "eve.json").write_text(text_of(EDA))
            (tmp_path / "copy").rename(folder / "anything-not")
            shutil.rmtree(folder / "anything-not")
            eve.write_text(text_of(EDA))
        else:
            if way == "broken first":
                eve.write_text("{")
                heard.invalid()
            replace(eve, text_of(EDA))
        commit = heard.commit()
    assert [change.unit for change in commit.changes] == ["/people/eve"]
    assert commit.unknown == frozenset()
    assert list(store.at(0).root.people) == ["ada", "bob"]
    store.undo(1)
    assert not eve.exists()


# --- what is not valid ----------------------------------------------------------------------------


def test_a_file_that_does_not_parse_keeps_the_last_good_contents(
    store: Store[Library], ada: Path
) -> None:
    person = store.root.people["ada"]
    assert person.name == "Ada"
    broken = '{"name": "Eda",\n "born": }\n'
    with Heard(store) as heard:
        ada.write_text(broken)
        told = heard.invalid()
        assert (told.unit, told.source, told.line) == ("/people/ada", "people/ada.json", 2)
        assert told.reason.startswith("people/ada.json, line 2, column 10: ")
        assert isinstance(told.error, objstore.FormatError)
        assert person == ADA
        assert store.root.people["ada"] == ADA
        with store.transaction():
            assert store.root.people["ada"].born == 1815
        assert [(f.source, f.pointer) for f in store.check()] == [("people/ada.json", "")]
        with pytest.raises(objstore.FormatError, match="line 2, column 10"):
            person.born = 1816
        assert ada.read_text() == broken
        ada.write_text(text_of(EDA))
        commit = heard.commit()
        assert commit.changes[0].new == EDA
        assert heard.mended() == Mended("/people/ada", "people/ada.json")
    assert person == EDA
    assert store.check() == []
    person.born = 1816
    assert json.loads(ada.read_text()) == {"name": "Eda", "born": 1816}


def test_a_file_that_is_broken_before_a_commit_has_reached_it_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Later, "ask", _is_later)  # files are written when they are asked for
    with objstore.open(folder, apply="lazy", watch=True) as store, Heard(store) as heard:
        store["a"] = {"n": 0}
        store.flush()
        heard.commit()
        store["a"]["n"] = 1
        heard.commit()
        (folder / "a.json").write_text('{"n": ')
        assert heard.invalid().line == 1
        store.flush()
        assert (folder / "a.json").read_text() == '{"n": '
        (folder / "a.json").write_text('{"n": 7}')
        heard.mended()
        store.flush()
        assert heard.commit().changes[0].new == {"n": 7}
        assert store["a"] == {"n": 7}


def _is_later(_: Later) -> bool:
    return True


def test_a_file_against_the_schema_keeps_the_last_good_contents(
    store: Store[Library], ada: Path
) -> None:
    person = store.root.people["ada"]
    assert person.name == "Ada"
    with Heard(store) as heard:
        replace(ada, text_of({"name": "Ada", "born": "long ago", "nick": 1}))
        told = heard.invalid()
        assert isinstance(told.error, objstore.ValidationError)
        assert [failure.pointer for failure in told.error.failures] == ["/born", "/nick"]
        assert "people/ada.json at /born: expected an integer" in told.reason
        assert person == ADA
        broken = ada.read_bytes()
        with pytest.raises(objstore.ValidationError, match="at /born: expected an integer"):
            person.email = "x"
        assert ada.read_bytes() == broken
        assert person == ADA
        replace(ada, text_of({"name": "Ada", "born": "long ago"}))
        assert "/nick" not in heard.invalid().reason
        replace(ada, text_of(ADA))  # as it was: no commit
        heard.mended()
    assert heard.commits == []
    assert person == ADA


def test_the_valid_part_of_a_burst_is_committed(store: Store[Library], ada: Path) -> None:
    bob = ada.with_name("bob.json")
    with Heard(store) as heard:
        ada.write_text("{")
        bob.write_text(text_of(EDA))
        kinds = {type(heard.until(lambda _: True)) for _ in range(2)}
    assert kinds == {Invalid, Commit}
    assert store.root.people["bob"] == EDA


def test_a_broken_file_that_is_deleted_is_mended(store: Store[Library], ada: Path) -> None:
    with Heard(store) as heard:
        ada.write_text("{")
        heard.invalid()
        ada.unlink()
        heard.mended()
        assert heard.commits[-1].changes[0].new is objstore.MISSING
        ada.with_name("new.json").write_text("[")
        heard.invalid()
        ada.with_name("new.json").unlink()
        assert heard.mended().unit == "/people/new"


def test_what_is_invalid_is_told_once(store: Store[Library], folder: Path, ada: Path) -> None:
    person = store.root.people["ada"]
    assert person.name == "Ada"
    with fence(store, folder / "settings.json") as heard:
        ada.write_text("{")
        heard.invalid()
        for _ in range(5):
            assert store.root.people["ada"] is person
            ada.write_text("{")
            with Heard(store, "settings") as others:  # one more burst, and its second look
                replace(folder / "settings.json", text_of({"size": ada.stat().st_mtime_ns}))
                others.commit()
    assert [type(news) for news in heard.news if not isinstance(news, Commit)] == [Invalid]


def test_slow_callbacks_hear_of_what_is_broken_and_what_is_mended(folder: Path) -> None:
    """What they were late for is read from the log, which has nothing of either."""
    may_go, heard = threading.Event(), Queue[News]()

    def listen(news: News) -> None:
        heard.put(news)
        if isinstance(news, Commit):
            assert may_go.wait(PATIENCE)

    with objstore.open(folder, watch=True, durability="os") as store:
        for name in ("a", "b", "c", "n"):
            store[name] = {"n": 0}
        store.on_change("", listen)
        for name in ("b", "c"):
            (folder / f"{name}.json").write_text("{")
        told = [heard.get(timeout=PATIENCE) for _ in range(2)]
        assert [type(news) for news in told] == [Invalid, Invalid]
        with store.changes(limit=3000) as others:
            for number in range(1, 1100):  # more than wait for it: the feed is dropped
                store["n"].n = number
            (folder / "a.json").write_text("{")
            while not isinstance(others.take(PATIENCE), Invalid):
                pass
            (folder / "b.json").write_text('{"n": 1}')
            while not isinstance(others.take(PATIENCE), Mended):
                pass
        may_go.set()
        numbers = range(store.head - 1099, store.head + 1)
        commits = [heard.get(timeout=PATIENCE) for _ in numbers]
        assert [news.number for news in commits if isinstance(news, Commit)] == [*numbers]
        rest = [heard.get(timeout=PATIENCE) for _ in range(2)]
        assert isinstance(rest[0], Mended)
        assert isinstance(rest[1], Invalid)
        assert [rest[0].unit, rest[1].unit] == ["/b", "/a"]
        store["n"].n = 0
        assert isinstance(heard.get(timeout=PATIENCE), Commit)  # and nothing of c in between


# --- numbers that people write --------------------------------------------------------------------


@pytest.mark.parametrize("how", ["at once", "reopened", "gone", "compacted", "gone and compacted"])
def test_a_number_that_was_written_by_hand_is_not_given_again(folder: Path, how: str) -> None:
    with objstore.open(folder, Board) as store:
        store["/people/ada"] = {"name": "Ada"}
    with objstore.open(folder, Board, watch=True) as store:
        with Heard(store) as heard:
            replace(folder / "people/ada.json", '{"name": "Ada", "id": 3}')
            assert heard.commit().external
        if "gone" in how:
            del store["/people/ada"]
        if "compacted" in how:
            store["/settings"] = {"name": "s"}
            store.compact(NEWEST)
        if how == "at once":
            _require_next(store, 4)
            return
    with objstore.open(folder, Board) as store:
        _require_next(store, 4)


def _require_next(store: Store[Board], number: int) -> None:
    for key in ("bob", "eve"):
        store[f"/people/{key}"] = {"name": key}
    assert ids([store["/people/bob"], store["/people/eve"]]) == [number, number + 1]


@pytest.mark.parametrize("key", ["ada", "new"])
def test_a_number_that_is_read_before_a_commit_has_it_is_not_given_again(
    folder: Path, key: str
) -> None:
    with objstore.open(folder, Board) as store:
        store["/people/ada"] = {"name": "Ada"}
        replace(folder / f"people/{key}.json", '{"name": "N", "id": 2}')
        assert store[f"/people/{key}"].id == 2
        _require_next(store, 3)
