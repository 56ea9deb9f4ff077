"""What a value log is after a crash at any moment: states of the disk, built from what was done."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from objstore.backings.filesystem import names
from objstore.backings.filesystem.values import vlogcompact
from objstore.errors import StorageNotFoundError
from tests.faults.crash_states import CrashState, Quick, Recording
from tests.faults.value_logs import Contents, OverFiles, contents, small_steps, value_files


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    small_steps(monkeypatch)
    monkeypatch.setattr(vlogcompact, "_MOST", 4)


def commit(files: Recording, storage: OverFiles, changes: dict[str, str | None]) -> None:
    """One batch; what it makes is noted before it begins, and once it was reported."""
    after = contents(storage)
    for key, value in changes.items():
        if value is None:
            after["c"].pop(key, None)
        else:
            after["c"][key] = value
    files.note(("begun", after))
    with storage.transaction():
        storage.set_container_items("c", {k: v for k, v in changes.items() if v is not None})
        storage.delete_container_items("c", [k for k, v in changes.items() if v is None])
    files.note(("done", after))


def work(files: Recording) -> None:
    """Batches of all sizes through several files, and two compactions."""
    storage = OverFiles(files, create=True, capacity=1500)
    nothing: Contents = {}
    empty: Contents = {"c": {}}
    files.note(("done", nothing))
    files.note(("begun", empty))
    storage.add_container("c")
    files.note(("done", empty))
    for n in range(9):
        value = f"{n}" * (1 + n * 70)
        commit(files, storage, {f"k{n % 4}": value, f"k{(n + 1) % 5}": None, f"n{n}": "x"})
    storage.compact(0.4)
    commit(files, storage, {"k2": "after", "n3": None})
    storage.compact()
    commit(files, storage, {"z": "z" * 2000, "n4": None})
    storage.close()
    storage = OverFiles(files)
    commit(files, storage, {"last": "one"})
    storage.close()


def allowed(state: CrashState) -> list[Contents]:
    """What may be there: all that was reported, and what had begun, or not."""
    made: list[Contents] = []
    for kind, after in state.notes:
        made = [after] if kind == "done" else [*made[-1:], after]
    return made


def look(state: CrashState, folder: Path) -> None:
    state.build(folder)
    try:
        storage = OverFiles(Quick(str(folder)))
    except StorageNotFoundError:
        # While it was being made. It can be made again.
        assert not state.notes
        OverFiles(Quick(str(folder)), create=True).close()
        return
    found = contents(storage)
    assert found in (allowed(state) or [{}])
    assert storage.check() == []
    if "c" in found:
        storage.set_container_item("c", "added", "later")
        found["c"]["added"] = "later"
    storage.compact()
    assert contents(storage) == found
    left = {path for path in (folder / "values").rglob("*") if path.is_file()}
    assert left == set(value_files(folder))
    storage.close()
    with OverFiles(Quick(str(folder))) as again:
        assert contents(again) == found
        assert again.check() == []


def crash(tmp_path: Path, seed: int, each: int) -> None:
    files = Recording(tmp_path / "recorded")
    work(files)
    for number, state in enumerate(files.crash_states(Random(seed), each=each)):  # noqa: S311
        look(state, tmp_path / str(number))


def test_a_crash_at_any_moment_loses_nothing_that_was_reported(tmp_path: Path) -> None:
    crash(tmp_path, seed=1, each=2)


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(10))
def test_many_crashes(tmp_path: Path, seed: int) -> None:
    crash(tmp_path, seed, each=20)


def test_the_work_has_all_steps(tmp_path: Path) -> None:
    """The states above are of files that are begun, sealed, merged and removed."""
    files = Recording(tmp_path)
    work(files)
    steps = [event.step for event in files.events]
    lists = [e for e in files.events if names.value_list(str(tmp_path)) in e.arguments]
    assert len(lists) > 5
    assert {"unlink", "truncate", "rename", "sync folder", "allocate"} <= set(steps)
