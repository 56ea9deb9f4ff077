"""What was edited while nobody watched, as a store is opened."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

import objstore
from objstore import Commit, Store
from objstore.backings.filesystem.watching.following import SLACK_NS
from tests.conformance.library import ADA, BOB, Library, fill
from tests.news import PATIENCE, Heard, fence

from .saving import EDA, replace, text_of

MOMENT = 10_000_000_000
"""In nanoseconds, more than the clocks of file systems are behind."""

EVE = {"name": "Eve", "born": 1990}


@pytest.fixture
def head(folder: Path) -> int:
    """The newest commit of a store that was closed a while ago, as its log says."""
    with objstore.open(folder, Library) as store:
        fill(store)
        head = store.head
    for path in (folder / ".objstore/log").iterdir():
        earlier = path.stat().st_mtime_ns - MOMENT
        os.utime(path, ns=(earlier, earlier))
    return head


@contextmanager
def watched(folder: Path, head: int) -> Generator[tuple[Store[Library], Commit]]:
    """The store, and the next commit."""
    with objstore.open(folder, Library, watch=True) as store, store.changes(after=head) as changes:
        commit = changes.take(PATIENCE)
        assert isinstance(commit, Commit)
        yield store, commit


def test_edits_that_were_made_while_the_store_was_closed_are_one_commit(
    folder: Path, head: int
) -> None:
    replace(folder / "people/ada.json", text_of(EDA))
    (folder / "people/bob.json").unlink()
    (folder / "people/eve.json").write_text(text_of(EVE))
    with watched(folder, head) as (store, commit):
        assert (commit.number, commit.external) == (head + 1, True)
        assert {change.unit: change[1:3] for change in commit.changes} == {
            "/people/ada": (ADA, EDA),
            "/people/bob": (BOB, objstore.MISSING),
            "/people/eve": (objstore.MISSING, EVE),
        }
        assert commit.unknown == {"/people/eve"}  # it may have been there before
        assert store.root.people["ada"] == EDA
        assert store.at(head).root.people["ada"] == ADA
    with objstore.open(folder, Library, watch=True) as store:
        with fence(store, folder / "settings.json") as heard:
            pass
        assert heard.news == []


def test_a_folder_that_was_moved_while_the_store_was_closed(folder: Path, head: int) -> None:
    (folder / "people").rename(folder / "moved")
    with watched(folder, head) as (store, commit):
        assert sorted(change.unit for change in commit.changes) == ["/people/ada", "/people/bob"]
        assert [*store.root.people] == []


def test_a_folder_that_a_backup_was_put_in_the_place_of_while_the_store_was_closed(
    folder: Path, head: int
) -> None:
    """The folder alone is new there: its files have the times that they had."""
    backup, people = folder.with_name("backup"), folder / "people"
    shutil.copytree(people, backup / "deep")
    shutil.copytree(people, backup, dirs_exist_ok=True)
    (backup / "ada.json").write_text(text_of(EDA))
    newest = max(path.stat().st_ctime_ns for path in backup.rglob("*"))
    people.rename(folder.with_name("old"))
    backup.rename(people)
    while people.stat().st_ctime_ns <= newest:  # the system's clock ticks slowly
        people.rename(backup)
        backup.rename(people)
    for path in (folder / ".objstore/log").iterdir():
        os.utime(path, ns=(0, newest + 1 + SLACK_NS))
    with watched(folder, head) as (store, commit):
        assert {change.unit: change[1:3] for change in commit.changes} == {
            "/people/ada": (ADA, EDA)
        }
        assert store.root.people["ada"] == EDA


def test_what_is_as_it_was_is_no_edit(folder: Path, head: int) -> None:
    """Though all files are new ones, and some have changed in ways that tell nothing."""
    shutil.copytree(folder, folder.with_name("copy"), symlinks=True)
    shutil.rmtree(folder)
    folder.with_name("copy").rename(folder)
    ada = folder / "people/ada.json"
    replace(ada, json.dumps(ADA))
    ada.chmod(0o600)
    with objstore.open(folder, Library, watch=True) as store:
        with fence(store, folder / "settings.json") as heard:
            pass
        assert heard.news == []
        assert store.head == head + 1  # the fence's


def test_what_the_log_has_not_and_nobody_wrote_since_is_no_edit(folder: Path, head: int) -> None:
    eve = folder / "people/eve.json"
    eve.write_text(text_of(EVE))
    os.utime(eve, (1, 1))
    with objstore.open(folder, Library, watch=True) as store:
        with fence(store, folder / "settings.json") as heard:
            pass
        assert heard.news == []
        assert store.root.people["eve"] == EVE


def test_files_without_a_log_are_no_edits(folder: Path) -> None:
    (folder / "people").mkdir(parents=True)
    (folder / "people/ada.json").write_text(text_of(ADA))
    with objstore.open(folder, Library, watch=True) as store:
        with fence(store, folder / "settings.json") as heard:
            pass
        assert heard.news == []


def test_what_was_broken_while_the_store_was_closed_is_told(folder: Path, head: int) -> None:
    (folder / "people/ada.json").write_text("{")
    with objstore.open(folder, Library, watch=True) as store, Heard(store) as heard:
        invalid = heard.invalid()
        assert (invalid.source, invalid.line) == ("people/ada.json", 1)
        replace(folder / "people/ada.json", text_of(EDA))
        heard.mended()
        assert store.root.people["ada"] == EDA
