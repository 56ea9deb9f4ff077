"""The log of a path: read from its records alone, and the same as if all were read."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore import Retention
from objstore._touched import touches
from objstore.backings.filesystem.documents import FilesystemDocuments
from objstore.backings.filesystem.history import past, record
from objstore.backings.filesystem.log import logfiles
from tests.counting import calls_of

NAMES = ["ada", "bob", 'sa"y', "zoë", "tab\tbed", "q/r"]


def _made(folder: Path, seed: int) -> None:
    """Commits of several files at a time, of scopes, and by hand."""
    pick = random.Random(seed)  # noqa: S311
    (folder / "people").mkdir()
    for name in ("ada", "kept"):
        (folder / f"people/{name}.json").write_text("{}")
    with objstore.open(folder, durability="os") as store:
        draft = store.scope("draft")
        for n in range(60):
            target = draft if pick.random() < 0.2 else store
            with target.transaction():
                people = target["people"]
                for name in pick.sample(NAMES, pick.randint(1, 3)):
                    if name in people and pick.random() < 0.2:
                        del people[name]
                    elif name in people and pick.random() < 0.6:
                        people[name]["deep"] = {"n": n, "same": 1}
                    else:
                        people[name] = {"n": n, "none": None}
            if n % 20 == 7:
                (folder / "people/ada.json").write_text(json.dumps({"by": "hand", "n": n}))


@pytest.mark.parametrize("seed", range(3))
def test_what_is_passed_over_changes_nothing_in_what_is_found(tmp_path: Path, seed: int) -> None:
    _made(tmp_path, seed)
    paths = ["/people", "/elsewhere", "/people/ada/deep/n", "/people/ada/\ud800"]
    paths += ["/people/" + name.replace("/", "~1") for name in NAMES]
    with objstore.open(tmp_path) as store:
        documents = store._documents
        every = list(documents.commits())
        assert len(every) > 50
        for path in paths:
            for after in (0, 1, 13, every[-1].number - 3):
                wanted = [one for one in every if one.number > after and touches(one, path)]
                assert list(documents.commits(after, path)) == wanted, (path, after)


def test_records_of_other_files_are_not_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[bytes] = []

    def decode(payload: bytes, generation: int) -> record.Said:
        parsed.append(payload)
        return record.decode(payload, generation)

    (tmp_path / "people").mkdir()
    for name in ("ada", "adam", "bob"):
        (tmp_path / f"people/{name}.json").write_text('{"n": 0}')
    with objstore.open(tmp_path) as store:
        store["people/ada/n"] = 1
        for n in range(10):
            store["people/bob/n"] = store["people/adam/n"] = n + 1
        store["people/ada/n"] = 2
        last = store.head
        store["people/bob/n"] = 0
        monkeypatch.setattr(past, "decode", decode)
        assert [one.number for one in store.log("people/ada")] == [1, last]
        assert len(parsed) == 2
        assert {at: one and one.number for at, one in store.blame("people/ada").items()} == {
            "/people/ada/n": last
        }
        assert all(b'"/people/ada"' in one for one in parsed)


PATHS = ["/seldom", "/seldom/0", "/seldom/0/n", "/seldom/1/deep", "/busy", "/made", "/made/x", ""]


def _grown(folder: Path, seed: int) -> None:
    """Long, with few changes of most files: by hand too, in scopes that stay and in others that go,
    some of what compaction has joined, in several files of the log."""
    pick = random.Random(seed)  # noqa: S311
    with objstore.open(folder, durability="os") as store:
        store["busy"] = {"n": 0}
        store["seldom/0"] = {"n": 0, "deep": {"a": 0}}
        for n in range(240):
            store["busy/n"] = n
            what = pick.random()
            if what < 0.06:
                kept = {"n": n, "deep": {"a": pick.randint(0, 1)}}
                store[f"seldom/{pick.randint(0, 3)}"] = kept
            elif what < 0.08 and (folder / "seldom/0.json").exists():
                del store["seldom"]["0"]
            elif what < 0.12:
                store.scope(pick.choice("ab"))[f"seldom/{pick.randint(0, 1)}"] = {"n": -n}
            elif what < 0.13 and store._documents.scopes():
                store.delete_scope(store._documents.scopes()[0])
            elif what < 0.14:
                if (folder / "made").exists() or (folder / "made.json").exists():
                    del store["made"]
                else:
                    store[pick.choice(["made", "made/x"])] = {"x": n}
            elif what < 0.15:
                (folder / "seldom").mkdir(exist_ok=True)
                (folder / "seldom/0.json").write_text(json.dumps({"n": n, "by": "hand"}))
            elif what < 0.17:
                store.switch_and_snapshot()
            elif n in (90, 180):
                store.pin(store.head - 40)
                store.compact(_all_but(pick.randint(1, 30), store))


def _all_but(newest: int, store: objstore.Store[Any]) -> Retention:
    times = [one.time for one in store.log()]
    keep = datetime.now(UTC) - times[-newest]
    return Retention(keep=keep, every=timedelta(days=1), slots=1)


@pytest.mark.parametrize("seed", range(6))
def test_what_links_lead_to_is_what_reading_all_finds(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if seed % 2:
        monkeypatch.setattr(logfiles, "_KEPT", 2)
    _grown(tmp_path, seed)
    with objstore.open(tmp_path) as store:
        documents = store._documents
        every = list(documents.commits())
        store.read_at("busy", store.head)  # from here on links are known
        numbers = [0, *(one.number for one in every)]
        for path in PATHS:
            for after in numbers[::7]:
                wanted = [one for one in every if one.number > after and touches(one, path)]
                assert list(documents.commits(after, path)) == wanted, (path, after)
        assert store.check() == []


def _old(folder: Path, size: int) -> objstore.Store[Any]:
    """A store of many commits, two of which are of the file that is asked for."""
    store = objstore.open(folder, durability="os")
    store["old"] = {"v": 0}
    store["busy"] = {"v": 0}
    with store.transaction():
        for name in range(20):
            store[f"others/{name}"] = {"v": 0}
    for n in range(size):
        store["busy/v"] = n
        if n == size // 2:
            store["old/v"] = n
    return store


ASKED: list[Callable[[objstore.Store[Any]], object]] = [
    lambda store: list(store.log("old")),
    lambda store: next(store.log("others")),
    lambda store: list(store.log("old/v", newest_first=True)),
    lambda store: store.diff(1, store.head, "old"),
    lambda store: store.blame("old"),
    lambda store: store.changes("old", after=1).take(0),
]


@pytest.mark.parametrize("ask", ASKED)
def test_what_a_file_was_costs_its_commits_not_the_stores(
    tmp_path: Path, ask: Callable[[objstore.Store[Any]], object]
) -> None:
    cost: list[int] = []
    for size in (100, 800):
        with _old(tmp_path / str(size), size) as store:
            ask(store)
            cost.append(calls_of(lambda: ask(store)))
    assert cost[1] < 1.5 * cost[0] + 200


def test_the_first_commit_of_a_busy_file_is_found_without_the_others(tmp_path: Path) -> None:
    with objstore.open(tmp_path, durability="os") as store:
        store["half"] = store["busy"] = {"v": 0}
        for n in range(900):
            store["busy/v"] = n
            if not n % 9:
                store["half/v"] = n
        assert len(list(store.log("half"))) == 100
        found = calls_of(lambda: next(store.log("half")))
        assert found < calls_of(lambda: list(store.log("half"))) / 5


def test_who_only_reads_a_short_log_does_not_learn_of_all_files_for_it(tmp_path: Path) -> None:
    with _old(tmp_path, 300), objstore.open(tmp_path, durability="os") as other:
        assert [one.number for one in other.log("old")] == [1, 154]
        assert isinstance(other._documents, FilesystemDocuments)
        assert other._documents._engine.ledger._heads is None


def test_a_transaction_that_is_over_is_looked_for_without_all_commits(tmp_path: Path) -> None:
    cost: list[int] = []
    for size in (100, 800):
        with _old(tmp_path / str(size), size) as store:

            def look(store: objstore.Store[Any] = store) -> None:
                with pytest.raises(objstore.TransactionNotFoundError):
                    store.get_tx("0" * 32)

            cost.append(calls_of(look))
            over = store.new_tx(1)
            over.patcher("/old", [{"op": "replace", "path": "/v", "value": -1}]).commit()
            every = calls_of(partial(max, store.log()))
            assert calls_of(partial(store.get_tx, over.id)) < every / 2
    assert cost[1] < 1.5 * cost[0]
