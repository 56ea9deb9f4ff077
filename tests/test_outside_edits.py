"""Edits by hand and by other processes: when they are noticed, and that none is overwritten."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore import Store

from .conformance.library import ADA, BOB, Library, fill


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def store(folder: Path) -> Iterator[Store[Library]]:
    with objstore.open(folder, Library) as store:
        fill(store)
        yield store


def edit(path: Path, **keys: Any) -> None:
    """As an editor that writes in place does it; the size may stay the same."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}, indent=2) + "\n")


def test_navigation_notices(store: Store[Library], folder: Path) -> None:
    ada = store.root.people["ada"]
    assert ada.born == 1815
    for born in range(1000, 1050):  # within one tick of the file system's clock, same size
        edit(folder / "people" / "ada.json", born=born)
        assert store.root.people["ada"].born == born
    assert store.root.people["ada"] is ada
    assert ada.born == 1049


def test_a_held_object_stays_until_then(store: Store[Library], folder: Path) -> None:
    ada = store.root.people["ada"]
    assert ada.name == "Ada"
    edit(folder / "people" / "ada.json", name="Eda", email="new")
    assert (ada.name, ada.email) == ("Ada", None)
    assert store.root.people["ada"].name == "Eda"
    assert (ada.name, ada.email) == ("Eda", "new")


def test_a_held_object_notices_when_a_transaction_begins(
    store: Store[Library], folder: Path
) -> None:
    ada = store.root.people["ada"]
    assert ada.name == "Ada"
    edit(folder / "people" / "ada.json", name="Eda")
    with store.transaction():
        assert ada.name == "Eda"


def test_setting_a_key_keeps_what_was_edited_outside(store: Store[Library], folder: Path) -> None:
    ada = store.root.people["ada"]
    assert ada.name == "Ada"
    edit(folder / "people" / "ada.json", name="Eda")
    ada.born = 1816
    assert ada == {"name": "Eda", "born": 1816}
    assert json.loads((folder / "people" / "ada.json").read_text()) == ada.contents


def test_an_edit_during_a_transaction_merges(store: Store[Library], folder: Path) -> None:
    path = folder / "people" / "ada.json"
    with store.transaction():
        store.root.people["ada"].born = 1816
        edit(path, name="Eda")
    assert store.root.people["ada"] == {"name": "Eda", "born": 1816}
    assert json.loads(path.read_text()) == {"name": "Eda", "born": 1816}


def test_an_edit_of_the_same_is_never_overwritten(store: Store[Library], folder: Path) -> None:
    path = folder / "people" / "ada.json"
    with pytest.raises(objstore.ConflictError) as caught, store.transaction():
        store.root.people["ada"].born = 1816
        store.root.people["bob"].born = 1816
        edit(path, born=1817)
    assert caught.value.pointer == "/people/ada/born"
    assert json.loads(path.read_text()) == {**ADA, "born": 1817}
    assert store.root.people["bob"] == BOB
    assert store.root.people["ada"].born == 1817


def test_files_that_come_and_go(store: Store[Library], folder: Path) -> None:
    people = folder / "people"
    ada = store.root.people["ada"]
    assert ada.name == "Ada"
    (people / "ada.json").rename(people / "eve.json")
    assert list(store.root.people) == ["bob", "eve"]
    assert "ada" not in store.root.people
    with pytest.raises(KeyError):
        ada.name
    assert store.root.people["eve"] == ADA
    (people / "zoe.yaml").write_text("name: Zoe  # by hand\nborn: 1990\n")
    assert store.root.people["zoe"].born == 1990
    store.root.people["zoe"].born = 1991
    assert (people / "zoe.yaml").read_text() == "name: Zoe  # by hand\nborn: 1991\n"


def test_a_broken_edit_is_told_and_kept(store: Store[Library], folder: Path) -> None:
    path = folder / "people" / "ada.json"
    path.write_text('{"name": "Ada",\n "born": }')
    for use in (
        lambda: store.root.people["ada"].name,
        lambda: store.root.people.__setitem__("ada", BOB),
        lambda: store.root.people.__delitem__("ada"),
        lambda: setattr(store.root.people["ada"], "name", "x"),
    ):
        with pytest.raises(objstore.FormatError, match=r"people/ada.json, line 2, column 10"):
            use()
    assert path.read_text() == '{"name": "Ada",\n "born": }'
    assert [f.source for f in store.check()] == ["people/ada.json"]
    path.write_text(json.dumps(ADA))
    assert store.root.people["ada"] == ADA


def test_an_edit_against_the_schema_is_told_and_can_be_mended(
    store: Store[Library], folder: Path
) -> None:
    edit(folder / "people" / "ada.json", born="long ago", nick="x")
    ada = store.root.people["ada"]
    with pytest.raises(objstore.ValidationError) as caught:
        ada.name
    assert [f.pointer for f in caught.value.failures] == ["/born", "/nick"]
    assert all(f.source == "people/ada.json" for f in caught.value.failures)
    assert [f.pointer for f in store.check()] == ["/born", "/nick"]
    with pytest.raises(objstore.ValidationError):
        ada.born = 1815  # the other failure is still there
    store.root.people["ada"] = ADA
    assert ada.name == "Ada"


def test_another_process(store: Store[Library], folder: Path) -> None:
    ada = store.root.people["ada"]
    assert ada.name == "Ada"
    program = (
        "import sys, objstore\n"
        "with objstore.open(sys.argv[1]) as store:\n"
        "    store['people/ada/name'] = 'Other'\n"
        "    store['people/new'] = {'name': 'N', 'born': 1}\n"
    )
    subprocess.run([sys.executable, "-c", program, str(folder)], check=True)
    assert store.root.people["ada"].name == "Other"
    assert store.root.people["new"].name == "N"


def test_processes_that_count_together_lose_nothing(folder: Path) -> None:
    program = (
        "import sys, objstore\n"
        "with objstore.open(sys.argv[1]) as store:\n"
        "    done = 0\n"
        "    while done < 40:\n"
        "        try:\n"
        "            with store.transaction():\n"
        "                store['counter'].n += 1\n"
        "        except objstore.ConflictError:\n"
        "            continue\n"
        "        done += 1\n"
    )
    with objstore.open(folder) as store:
        store["counter"] = {"n": 0}
        command = [sys.executable, "-c", program, str(folder)]
        children = [subprocess.Popen(command) for _ in range(3)]
        assert [child.wait(120) for child in children] == [0, 0, 0]
        assert store["counter/n"] == 120


def test_touching_a_file_is_no_change(store: Store[Library], folder: Path) -> None:
    with store.transaction() as transaction:
        store.root.people["ada"].email = "x"
        os.utime(folder / "people" / "ada.json")
    assert transaction.commit is not None


def test_check_lists_everything_that_is_wrong(store: Store[Library], folder: Path) -> None:
    people = folder / "people"
    edit(people / "bob.json", born="x", nick=1)
    (people / "ada.json").write_text("{")
    (folder / "settings.json").unlink()
    (folder / "settings.json").mkdir()
    (folder / "reading.yaml").write_text("- title: 1\n")
    assert sorted((f.source, f.pointer) for f in store.check()) == [
        ("people/ada.json", ""),
        ("people/bob.json", "/born"),
        ("people/bob.json", "/nick"),
        ("reading.yaml", "/0/title"),
        ("settings.json", ""),
    ]
    assert "ada" in store.root.people
    (people / "bob.yaml").write_text("name: Bob\nborn: 1\n")
    assert any(failure.source == "people/bob.yaml" for failure in store.check())


def test_a_held_object_that_was_never_loaded(store: Store[Library], folder: Path) -> None:
    store.root.people["eve"] = ADA
    with objstore.open(folder, Library) as other:
        eve = other.root.people["eve"]
        (folder / "people" / "eve.json").unlink()
        with pytest.raises(KeyError):
            other.root.people["eve"]
        with pytest.raises(KeyError):
            eve.name
        edit(folder / "people" / "ada.json", born="x")
        ada = other.root.people["ada"]
        with pytest.raises(objstore.ValidationError):
            ada.name
        assert repr(ada) == "<Person /people/ada, not as its schema wants it>"


@pytest.mark.parametrize("apply", ["eager", "lazy"])
@pytest.mark.parametrize("in_transaction", [True, False])
def test_a_file_that_is_reformatted_before_it_is_changed(
    tmp_path: Path, apply: str, in_transaction: bool
) -> None:
    path = tmp_path / "a.json"
    with objstore.open(tmp_path, apply=apply) as store:
        store["a"] = {"n": 0}
        store["a"]["n"] = 1
        store.flush()
        if in_transaction:
            with store.transaction():
                store["a"]["m"] = 2
                path.write_text('{"n":1}')
        else:
            held = store["a"]
            assert held["n"] == 1
            path.write_text('{"n":1}')
            held["m"] = 2
        store.flush()
        assert path.read_text() == '{"n":1,"m":2}'
        assert [*store.check()] == []
        past = [{"n": 0}, {"n": 1}, {"n": 1, "m": 2}]
        assert [store.read_at("a", number) for number in (1, 2, 3)] == past
    assert [*objstore.open(tmp_path).check()] == []
