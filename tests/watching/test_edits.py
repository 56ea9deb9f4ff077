"""Edits made outside, by the ways that real tools have of saving, in a store that is watched."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore import Commit, Retention, Store
from objstore.backings.filesystem.watching import bursts
from tests.conformance.library import ADA, BOB, Library, fill
from tests.faults.machine import need_tool
from tests.news import PATIENCE, Heard, fence
from tests.realdata import caniuse_files

from .saving import (
    EDA,
    WAYS,
    replace,
    run,
    text_of,
)


@pytest.mark.parametrize("way", WAYS)
def test_a_file_that_is_saved_is_one_commit(
    store: Store[Library], folder: Path, ada: Path, way: str
) -> None:
    person = store.root.people["ada"]
    assert person.name == "Ada"
    before = store.head
    with fence(store, folder / "settings.json") as heard:
        WAYS[way](ada, text_of(EDA))
        commit = heard.commit()
        assert person == EDA
    assert heard.commits == [commit]
    assert (commit.number, commit.external, commit.scope) == (before + 1, True, None)
    change = commit.changes[0]
    assert (change.unit, change.old, change.new) == ("/people/ada", ADA, EDA)
    assert store.at(before).root.people["ada"] == ADA
    assert store.at(before + 1).root.people["ada"] == EDA


def test_a_file_that_is_deleted(store: Store[Library], ada: Path) -> None:
    person = store.root.people["ada"]
    assert person.name == "Ada"
    with Heard(store) as heard:
        ada.unlink()
        commit = heard.commit()
    assert commit.external
    assert (commit.changes[0].unit, commit.changes[0].new) == ("/people/ada", objstore.MISSING)
    with pytest.raises(objstore.DetachedError):
        person.name


def test_what_was_written_slowly_is_told_when_it_is_closed(
    store: Store[Library], ada: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever else happened meanwhile."""
    monkeypatch.setitem(bursts._HOLDS, bursts.Kind.OPEN, 4 * PATIENCE)
    monkeypatch.setattr(bursts, "LONGEST", 4 * PATIENCE)
    with Heard(store) as heard:
        with ada.open("w") as file:
            file.write('{"name": "Eda",')
            file.flush()
            ada.with_name("bob.json").unlink()
            time.sleep(2 * bursts.GONE)
            file.write('"born": 1815}')
        heard.until_units({"/people/ada", "/people/bob"})


def test_a_file_that_is_renamed_is_one_commit(store: Store[Library], ada: Path) -> None:
    with Heard(store) as heard:
        ada.rename(ada.with_name("eve.json"))
        heard.commit()
    assert heard.units == [["/people/ada", "/people/eve"]]
    assert list(store.root.people) == ["bob", "eve"]


def test_what_is_no_key_is_nothing(store: Store[Library], folder: Path, ada: Path) -> None:
    with fence(store, folder / "settings.json") as heard:
        for name in (".ada.json.swp", "ada.json~", "4913", "#ada.json#", "notes.txt", "ada.bak"):
            (ada.parent / name).write_text("x")
            (ada.parent / name).unlink()
        (folder / ".git").mkdir()
        (folder / ".git" / "x.json").write_text("x")
        (folder / "unknown.json").write_text("{}")
    assert heard.news == []


def test_touching_and_rewriting_the_same_is_nothing(
    store: Store[Library], folder: Path, ada: Path
) -> None:
    with fence(store, folder / "settings.json") as heard:
        ada.touch()
        ada.write_bytes(ada.read_bytes())
        ada.chmod(0o600)
    assert heard.news == []


@pytest.mark.parametrize("apply", ["eager", "lazy"])
def test_own_writes_never_echo(folder: Path, apply: str) -> None:
    with objstore.open(folder, Library, watch=True, apply=apply) as store:
        with fence(store, folder / "settings.json") as heard:
            fill(store)
            for year in range(50):
                store.root.people["ada"].born = year
            del store.root.people["bob"]
            store.flush()
        assert [commit.external for commit in heard.commits] == [False] * 52
        assert [commit.number for commit in heard.commits] == list(range(1, 53))


def test_edits_and_own_writes_in_turn(store: Store[Library], ada: Path) -> None:
    person = store.root.people["ada"]
    with Heard(store) as heard:
        for year in range(1900, 1920):
            replace(ada, text_of({"name": "Ada", "born": year}))
            heard.until(lambda one: isinstance(one, Commit) and one.external)
            assert person.born == year
            person.email = f"{year}@example.org"
    assert json.loads(ada.read_text()) == {
        "name": "Ada",
        "born": 1919,
        "email": "1919@example.org",
    }


@pytest.mark.parametrize("is_compacted", [False, True])
def test_edits_in_a_style_of_their_own_leave_a_whole_store(
    store: Store[Library], ada: Path, is_compacted: bool
) -> None:
    with Heard(store) as heard:
        for year in range(1900, 1906):
            replace(ada, f'{{"name":    "Ada",\n\n"born": {year}}}')
            heard.commit()
    newest = store.head
    if is_compacted:
        store.pin(newest - 1)
        store.compact(Retention(keep=timedelta(0), every=timedelta(days=1), slots=1))
    assert store.check() == []
    assert store.read_at("/people/ada/born", newest - 1) == 1904
    store.close()
    with objstore.open(ada.parent.parent, Library) as again:
        assert again.check() == []
        again.root.people["ada"].email = "ada@example.org"
        assert ada.read_text().startswith('{"name":    "Ada",\n\n"born": 1905')


# --- folders --------------------------------------------------------------------------------------


def test_a_checkout_is_one_commit(tmp_path: Path) -> None:
    need_tool("git", "git")
    folder, sources = tmp_path / "work", caniuse_files()
    features = folder / "data" / "features"
    features.mkdir(parents=True)
    for source in sources:
        shutil.copy(source, features)
    git = ("git", "-c", "user.name=x", "-c", "user.email=x@example.org")
    run(*git, "init", "--quiet", cwd=folder)
    run(*git, "add", ".", cwd=folder)
    run(*git, "commit", "--quiet", "-m", "one", cwd=folder)
    for file in features.iterdir():
        file.write_text(file.read_text().replace('"', ' "', 1))
        file.write_text(json.dumps({"title": file.stem}))
    run(*git, "commit", "--quiet", "--all", "-m", "two", cwd=folder)
    units = sorted(f"/features/{source.stem}" for source in sources)
    with objstore.open(folder / "data", watch=True) as store, Heard(store) as heard:
        held = store["features"][sources[0].stem]
        assert held.title == sources[0].stem
        run("git", "checkout", "--quiet", "HEAD~1", cwd=folder)
        heard.commit()
        assert heard.units == [units]
        assert held == json.loads(sources[0].read_text())
        run("git", "checkout", "--quiet", "-", cwd=folder)
        heard.commit()
        assert heard.units == [units, units]
        assert held == {"title": sources[0].stem}


def test_many_files_that_are_copied(store: Store[Library], tmp_path: Path, ada: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    names = [f"p{number}" for number in range(200)]
    for name in names:
        (source / f"{name}.json").write_text(text_of(ADA))
    with Heard(store) as heard:
        run("cp", *source.iterdir(), ada.parent)
        heard.until_units({f"/people/{name}" for name in names})
    assert all(commit.external for commit in heard.commits)
    assert sum(len(units) for units in heard.units) == len(names)


def test_a_folder_that_moves(store: Store[Library], folder: Path, tmp_path: Path) -> None:
    people = folder / "people"
    both = ["/people/ada", "/people/bob"]
    person = store.root.people["ada"]
    assert person.name == "Ada"
    with Heard(store) as heard:
        people.rename(tmp_path / "away")
        heard.commit()
        assert heard.units[-1] == both
        assert list(store.root.people) == []
        (tmp_path / "away" / "ada.json").write_text(text_of(EDA))
        (tmp_path / "away").rename(people)
        heard.commit()
        assert heard.units[-1] == both
        assert person == EDA
        replace(people / "bob.json", text_of(EDA))  # what happens in it is heard as before
        heard.commit()
        assert heard.units[-1] == ["/people/bob"]


def test_folders_that_appear_with_all_that_is_in_them(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with objstore.open(folder, watch=True) as store, Heard(store) as heard:
        (folder / "a" / "b" / "c").mkdir(parents=True)
        (folder / "a" / "b" / "c" / "d.json").write_text("[1]")
        (folder / "a" / "x.json").write_text("[2]")
        heard.until_units({"/a/b/c/d", "/a/x"})
        os.rename(folder / "a" / "b", folder / "a" / "z")
        heard.until_units({"/a/b/c/d", "/a/z/c/d"})
        (folder / "a" / "z" / "c" / "d.json").write_text("[3]")
        heard.until_units({"/a/z/c/d"})
        shutil.rmtree(folder / "a")
        heard.until_units({"/a/z/c/d", "/a/x"})
        assert list(store) == []


def test_the_stores_folder_goes_and_comes_back(
    store: Store[Library], folder: Path, tmp_path: Path
) -> None:
    person = store.root.people["ada"]
    assert person.name == "Ada"
    with Heard(store) as heard:
        folder.rename(tmp_path / "aside")
        (tmp_path / "aside" / "people" / "ada.json").write_text(text_of(EDA))
        (tmp_path / "aside").rename(folder)
        heard.until_units({"/people/ada"})
        assert person == EDA
        replace(folder / "people" / "bob.json", text_of(EDA))
        heard.until_units({"/people/bob"})
    assert heard.units == [["/people/ada"], ["/people/bob"]]


# --- others ---------------------------------------------------------------------------------------

_COMMIT = """
import sys, objstore
with objstore.open(sys.argv[1]) as store:
    for year in range(1900, 1910):
        with store.transaction(meta={"year": year}):
            store["people/ada/born"] = year
            store["people/eve"] = {"name": "Eve", "born": year}
"""


def test_commits_of_another_process(store: Store[Library], folder: Path) -> None:
    person = store.root.people["ada"]
    assert person.name == "Ada"
    before = store.head
    with fence(store, folder / "settings.json") as heard:
        run(sys.executable, "-c", _COMMIT, folder)
        heard.until(lambda one: isinstance(one, Commit) and one.meta.get("year") == 1909)
        assert person.born == 1909
    assert [commit.number for commit in heard.commits] == list(range(before + 1, before + 11))
    assert not any(commit.external for commit in heard.commits)


def test_commits_in_a_folder_that_appears(tmp_path: Path) -> None:
    """They came before there was a log to watch."""
    with objstore.open(tmp_path / "made") as other:
        other["/ada"] = {"name": "Ada"}
    with objstore.open(tmp_path / "data", watch=True) as store, Heard(store) as heard:
        (tmp_path / "made").rename(tmp_path / "data")
        commit = heard.commit()
        assert (commit.number, commit.external) == (1, False)


def test_edits_are_entered_once_by_two_stores(store: Store[Library], folder: Path) -> None:
    other = objstore.open(folder, Library, watch=True)
    with other, Heard(other) as theirs, Heard(store) as heard:
        for year in range(1900, 1910):
            replace(folder / "people" / "ada.json", text_of({"name": "Ada", "born": year}))
            commit = heard.commit()
            assert theirs.commit().number == commit.number
            assert other.root.people["ada"].born == year
    assert all(commit.external for commit in theirs.commits)


def test_a_transaction_goes_on_seeing_what_it_saw(store: Store[Library], ada: Path) -> None:
    person = store.root.people["ada"]
    with Heard(store) as heard:
        with store.transaction():
            assert person.name == "Ada"
            replace(ada, text_of(EDA))
            heard.commit()
            assert person.name == "Ada"
            person.email = "x"
        assert person == {**EDA, "email": "x"}


# --- beginning and end ----------------------------------------------------------------------------


def test_closing_ends_all_threads(folder: Path) -> None:
    before = threading.active_count()
    store = objstore.open(folder, Library, watch=True)
    store.on_change("", lambda _: None)
    assert threading.active_count() > before
    store.close()
    store.close()
    assert threading.active_count() == before
    fill_by_hand = folder / "people"
    fill_by_hand.mkdir(parents=True)
    (fill_by_hand / "ada.json").write_text("{")


def test_opening_for_watching_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1]")
    with objstore.open(tmp_path, watch=True) as store:
        assert store["a"] == [1]
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_a_callback_may_close_the_store(folder: Path) -> None:
    store = objstore.open(folder, Library, watch=True)
    fill(store)
    done = threading.Event()

    def close(_: object) -> None:
        store.close()
        done.set()

    store.on_change("people/ada", close)
    replace(folder / "people" / "ada.json", text_of(EDA))
    assert done.wait(PATIENCE)


def test_a_store_that_cannot_enter_edits_cannot_be_watched(folder: Path) -> None:
    with objstore.open(folder) as store:
        store["a"] = [1]
    with pytest.raises(ValueError, match="readonly=True forbids it"):
        objstore.open(folder, readonly=True, watch=True)
    with pytest.raises(ValueError, match="memory:// cannot be watched"):
        objstore.open("memory://", watch=True)


def test_a_callback_that_fails_is_logged_and_the_watch_goes_on(
    store: Store[Library], ada: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("no")

    heard: list[Any] = []
    done = threading.Semaphore(0)

    def keep(news: Any) -> None:
        heard.append(news)
        done.release()

    store.on_change("people", fail)
    end = store.on_change("people", keep)
    for person in (EDA, ADA, BOB):
        replace(ada, text_of(person))
        assert done.acquire(timeout=PATIENCE)
    end()
    end()
    assert [news.changes[0].new for news in heard] == [EDA, ADA, BOB]
    assert caplog.text.count("RuntimeError: no") == 3
