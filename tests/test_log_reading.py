"""The log of a path: read from its records alone, and the same as if all were read."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

import objstore
from objstore._touched import touches
from objstore.backings.filesystem.history import past, record

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
        assert len(parsed) <= 4
