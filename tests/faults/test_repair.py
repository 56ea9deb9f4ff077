"""Damage of a store's own files: ``check`` finds and locates it, ``objstore.repair`` mends it."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import jsonschema
import pytest

import objstore
from objstore import Directory, HistoryGone, List, Retention, Store, schemas
from objstore.backings.filesystem import names
from objstore.backings.filesystem.history import pins, record
from objstore.backings.filesystem.io import Files
from objstore.backings.filesystem.log.commitlog import CommitLog
from objstore.backings.filesystem.log.frames import Codec, crc32c
from objstore.backings.filesystem.log.logfile import LogFile
from objstore.backings.filesystem.log.loglock import LogLock
from objstore.errors import BackingError, BusyError, Failure, KeyNotFoundError, StoreNotFoundError

UNITS = ("/u0", "/u1", "/u2", "/y", "/t", "/folder/z")


class Busy(NamedTuple):
    """A store that has seen some of everything, closed."""

    folder: Path
    head: int
    past: dict[int, dict[str, Any]]
    """What each unit was after each commit."""
    now: dict[str, Any]


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Busy:
    folder = tmp_path_factory.mktemp("busy") / "store"
    store = objstore.open(folder)
    for n in range(9):
        store[f"/u{n % 3}"] = {"n": n, "text": "x" * 100, "list": [n] * 5}
    with store.transaction(meta={"author": "me"}):
        store["/u1"].n = 99
        store["/y"] = {"a": 1}
        store["/folder/z"] = [1]
    (folder / "u2.json").write_text('{"n": 8,   "edited": true}\n')
    (folder / "t.yaml").write_text("a: 1  # one\n")
    store["/u2"].n = 9
    store["/t"].a = 2
    store.switch_and_snapshot()
    for n in range(6):
        store[f"/u{n % 3}"].n = 100 + n
    store.scope("s")["/u1"].n = 5
    store.scope("gone")["/new"] = {"a": 1}
    store.delete_scope("gone")
    del store["/folder/z"]
    store["/y"].a = 2
    store.pin(3)
    head = store.head
    past = {n: {unit: at(store, unit, n) for unit in UNITS} for n in range(1, head + 1)}
    now = {path: store[path].contents for path in store}
    store.close()
    return Busy(folder, head, past, now)


@pytest.fixture
def store_of(busy: Busy, tmp_path: Path) -> Path:
    """A copy of the busy store."""
    folder = tmp_path / "store"
    shutil.copytree(busy.folder, folder)
    return folder


def at(store: Store[Any], path: str, number: int) -> Any:
    """What a unit was, None for nothing, HistoryGone where nobody knows."""
    try:
        return store.read_at(path, number)
    except HistoryGone:
        return HistoryGone
    except KeyNotFoundError:
        return None


def check(folder: Path) -> list[Failure]:
    with objstore.open(folder) as store:
        return store.check()


def engine(folder: Path, name: str) -> Path:
    return folder / ".objstore" / name


def logs(folder: Path) -> list[Path]:
    return sorted(engine(folder, "log").glob("*.log"))


def flip(path: Path, at: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(data)


def flip_record(folder: Path, number: int) -> None:
    link = CommitLog(Files(str(folder))).read(number).link
    flip(Path(names.log(str(folder), link.generation)), link.offset + 40)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def users_files(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in tree(folder).items() if ".objstore" not in name}


def require_mended(folder: Path, busy: Busy) -> list[str]:
    """Repair; what was done. Nothing that was told before is now told otherwise."""
    before = users_files(folder)
    done = objstore.repair(folder)
    assert done
    assert users_files(folder) == before
    assert check(folder) == []
    assert objstore.repair(folder) == []
    with objstore.open(folder) as store:
        assert {path: store[path].contents for path in store} == busy.now
        for number, units in busy.past.items():
            for unit, value in units.items():
                assert at(store, unit, number) in (value, HistoryGone), (number, unit)
        store["/u0"].n = -1
        assert store.read_at("/u0/n", store.head) == -1
    assert check(folder) == []
    return done


# Healthy stores


def test_a_healthy_store_is_left_alone(busy: Busy, store_of: Path) -> None:
    before = tree(store_of)
    assert check(store_of) == []
    assert objstore.repair(store_of) == []
    assert tree(store_of) == before, "a check writes nothing"


def test_edits_by_hand_are_no_damage(store_of: Path) -> None:
    (store_of / "u0.json").write_text('{"n": 1}')
    (store_of / "u1.json").unlink()
    (store_of / "fresh.json").write_text("[]")
    (store_of / "folder").mkdir()
    before = tree(store_of)
    assert check(store_of) == []
    assert objstore.repair(store_of) == []
    assert tree(store_of) == before


@pytest.mark.parametrize("apply", ["eager", "lazy"])
@pytest.mark.parametrize("durability", ["full", "os"])
def test_a_store_in_use_is_whole(tmp_path: Path, apply: str, durability: str) -> None:
    store = objstore.open(tmp_path, apply=apply, durability=durability)
    other = objstore.open(tmp_path)
    for n in range(20):
        store["/a"] = [n]
        other[f"/b{n % 3}"] = {"n": n}
        store.scope("s")["/a"] = [-n]
        if n == 10:
            assert store.check() == []
            store.pin(2)
            store.compact(Retention(timedelta(0), timedelta(days=10_000), slots=1))
    assert store.check() == other.check() == []
    store.close()
    other.close()
    assert check(tmp_path) == []


def test_a_folder_without_a_log(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    assert objstore.repair(tmp_path) == []
    assert check(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    with pytest.raises(StoreNotFoundError):
        objstore.repair(tmp_path / "missing")


def test_records_fit_their_schema(busy: Busy) -> None:
    kind = jsonschema.Draft202012Validator
    validator: Any = kind(schemas.load("record"), format_checker=kind.FORMAT_CHECKER)
    keys: set[str] = set()
    for one in CommitLog(Files(str(busy.folder))).records():
        said = json.loads(one.payload)
        validator.validate(said)
        keys.update(said, *said["changes"])
    told = {"time", "changes", "meta", "scope", "external", "deletes", "unit", "file", "patch"}
    assert told | {"before", "after", "image", "nth", "last", "jump"} <= keys


def test_the_other_files_fit_their_schemas(store_of: Path) -> None:
    with objstore.open(store_of) as store:
        store.switch_and_snapshot()
    for name, text in (
        ("index", engine(store_of, "index").read_text().split("\n")[0]),
        ("pins", engine(store_of, "pins.json").read_text()),
    ):
        kind: Any = jsonschema.Draft202012Validator
        kind.check_schema(schemas.load(name))
        kind(schemas.load(name)).validate(json.loads(text))


# The log


def damages(data: bytes) -> Iterator[tuple[int, int]]:
    flips = random.Random(1)  # noqa: S311
    for offset in sorted(flips.sample(range(len(data)), 8)):
        yield offset, flips.randrange(8)


@pytest.mark.parametrize("which", [0, 1])
def test_a_flipped_bit_is_found_and_mended(busy: Busy, tmp_path: Path, which: int) -> None:
    for number, (offset, bit) in enumerate(damages(logs(busy.folder)[which].read_bytes())):
        folder = tmp_path / str(number)
        shutil.copytree(busy.folder, folder)
        path = logs(folder)[which]
        flip(path, offset, bit)
        found = check(folder)
        assert [one for one in found if one.source.endswith(path.name) and one.offset is not None]
        done = require_mended(folder, busy)
        assert any("lost" in one for one in done), done
        assert list(engine(folder, "lost+found").iterdir()) != []


def test_what_lies_before_and_behind_the_damage_stays(busy: Busy, store_of: Path) -> None:
    flip_record(store_of, 5)  # of /u1
    [found] = check(store_of)
    assert (found.source, found.expected) == (".objstore/log/00000001-a.log", "a frame")
    require_mended(store_of, busy)
    with objstore.open(store_of) as store:
        gone = [n for n in busy.past if at(store, "/u0", n) is HistoryGone]
        assert gone == [5]
        known = [n for n in busy.past if at(store, "/u1", n) is not HistoryGone]
        assert known[:4] == [1, 2, 3, 4]
        assert known[-1] == busy.head
        with pytest.raises(HistoryGone, match="what /u1 was after commit 6 is lost"):
            store.read_at("/u1", 6)
        assert [commit.number for commit in store.log("/u0")][:3] == [1, 4, 7]
        assert store.head > busy.head


def test_what_is_lost_stays_so_after_compaction(busy: Busy, store_of: Path) -> None:
    flip_record(store_of, 5)  # of /u1
    objstore.repair(store_of)
    with objstore.open(store_of) as store:
        for number in (4, 6):
            store.pin(number)
        store.compact(Retention(timedelta(0), timedelta(days=10_000), slots=1))
        assert at(store, "/u1", 4) == busy.past[4]["/u1"]
        assert at(store, "/u1", 6) is HistoryGone
        assert at(store, "/u0", 6) == busy.past[6]["/u0"]
        assert {path: store[path].contents for path in store} == busy.now
        for number, what in ((5, "is lost: its record was damaged"), (7, "removed by compaction")):
            with pytest.raises(HistoryGone, match=what):
                store.at(number)
    assert check(store_of) == []


def test_what_is_lost_stays_so_after_another_repair(busy: Busy, store_of: Path) -> None:
    flip_record(store_of, 5)  # of /u1
    objstore.repair(store_of)
    flip_record(store_of, 3)  # of /u2
    require_mended(store_of, busy)
    with objstore.open(store_of) as store:
        assert at(store, "/u1", 6) is HistoryGone
        assert at(store, "/u2", 4) is HistoryGone
        assert at(store, "/u0", 6) == busy.past[6]["/u0"]
        for number in (3, 5):
            with pytest.raises(HistoryGone, match="is lost: its record was damaged"):
                store.at(number)


def test_what_a_repair_entered_tells_when_all_before_is_lost(tmp_path: Path) -> None:
    with objstore.open(tmp_path) as store:
        store["/a"] = [1]
        store["/a"] = [2]
        store["/b"] = [1]
    for number in (2, 1):
        flip_record(tmp_path, number)
        objstore.repair(tmp_path)
        assert check(tmp_path) == []
    with objstore.open(tmp_path) as store:
        assert [at(store, "/a", number) for number in (1, 2, 3)] == [HistoryGone] * 3
        assert at(store, "/a", 4) == at(store, "/a", store.head) == [2]
        assert at(store, "/b", 3) == [1]


def test_numbers_are_not_used_twice(busy: Busy, store_of: Path) -> None:
    """The newest record is damaged, and so is its number."""
    path = logs(store_of)[-1]
    data = path.read_bytes()
    start = data.rindex(b"\xffOR")
    path.write_bytes(data[:start] + b"?" * (len(data) - start))
    require_mended(store_of, busy)
    with objstore.open(store_of) as store:
        assert store.head > busy.head
        assert at(store, "/u0", busy.head) is HistoryGone


def test_a_file_cut_short(busy: Busy, store_of: Path) -> None:
    """A part of the last record is left, which is what a crash leaves: there is nothing to lose."""
    path = logs(store_of)[0]
    path.write_bytes(path.read_bytes()[:-200])
    assert check(store_of)[0].source.endswith(path.name)
    require_mended(store_of, busy)


def test_a_torn_tail(busy: Busy, store_of: Path) -> None:
    path = logs(store_of)[-1]
    end = path.stat().st_size
    store = UUID(json.loads(engine(store_of, "manifest.json").read_bytes())["store"])
    frame = Codec(store, 2).encode(b"R", busy.head + 1, 0, b'{"a":1}')
    path.write_bytes(path.read_bytes() + frame[:-4] + bytes(600))
    [found] = check(store_of)
    assert (found.expected, found.offset) == ("a whole record", end)
    assert require_mended(store_of, busy) == [
        f".objstore/log/{path.name}, byte {end}: a part of a record was cut off"
    ]


def test_an_ended_file_of_the_log_is_missing(busy: Busy, store_of: Path) -> None:
    logs(store_of)[0].unlink()
    assert check(store_of) != []
    require_mended(store_of, busy)


def test_the_newest_file_of_the_log_is_missing(busy: Busy, store_of: Path) -> None:
    """Nothing in the log tells that it is, as the next writer would make it; the index does."""
    with_index(store_of)
    for path in logs(store_of)[1:]:
        path.unlink()
    [found] = check(store_of)
    assert found.expected == f"a log up to record {busy.head}, as the index says"
    require_mended(store_of, busy)
    with objstore.open(store_of) as store:
        assert at(store, "/u0", busy.head) is HistoryGone


def test_the_newest_file_of_the_log_is_missing_in_the_same_run(busy: Busy, store_of: Path) -> None:
    """What was noted of files that were written tells, where no index does."""
    for path in logs(store_of)[1:]:
        path.unlink()
    boot = engine(store_of, "boot")
    this_run = boot.read_bytes()
    boot.write_bytes(b"another run\n")
    assert not any(one.source == ".objstore/log" for one in check(store_of))
    boot.write_bytes(this_run)
    found = next(one for one in check(store_of) if one.source == ".objstore/log")
    assert found.expected == f"a log up to record {busy.head}, as .objstore/written says"
    require_mended(store_of, busy)
    with objstore.open(store_of) as store:
        assert at(store, "/u0", busy.head) is HistoryGone
        assert store.head > busy.head


def test_the_log_is_missing(busy: Busy, store_of: Path) -> None:
    shutil.rmtree(engine(store_of, "log"))
    [found] = check(store_of)
    assert found.found == "the manifest is there, the log is not"
    assert any("all of the past with it" in one for one in objstore.repair(store_of))
    assert check(store_of) == []
    with objstore.open(store_of) as store:
        assert store.head == 0
        assert {path: store[path].contents for path in store} == busy.now


@pytest.mark.damage
def test_a_record_that_says_what_none_does(store_of: Path) -> None:
    log = CommitLog(Files(str(store_of)))
    records: list[dict[str, Any]] = [
        {"time": "2026-11-20T10:00:00+00:00", "changes": [], "color": 1},
        {"time": "2026-11-20T10:00:00+00:00", "changes": [{"unit": "/q", "patch": [], "nth": 9}]},
    ]
    for said in records:
        with log.writing() as writer:
            writer.append(json.dumps(said).encode())
    log.close()
    found = check(store_of)
    assert {one.source for one in found} == {f".objstore/log/{logs(store_of)[-1].name}"}
    assert "color" in str(found[0])


@pytest.mark.damage
@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("nth", 7, "a record that leads to the changes before of /a"),
        ("patch", [{"op": "remove", "path": "/9"}], "a record that has a patch that fits /a"),
        ("after", record.NO_FILE, "a record that says whether /a is there after it"),
        ("image", b"[9]", "a record that has an image of /a with"),
        ("before", record.NO_FILE, "a record that has an image of /a with what"),
    ],
)
def test_a_record_that_does_not_go_with_those_before(
    tmp_path: Path, field: str, value: Any, expected: str
) -> None:
    with objstore.open(tmp_path) as store:
        store["/a"] = [1]
        store["/a"] = [2]
    log = CommitLog(Files(str(tmp_path)))
    one = log.read(2)
    said = record.decode(one.payload, 1)
    entry = said.entries[0]
    assert entry.nth == 2
    changed = {"nth": 3, "last": one.link, "jump": one.link, "before": entry.after}
    broken = entry._replace(**{**changed, "image": None, "file": "a.json", field: value})
    with log.writing() as writer:
        writer.append(record.encode(said._replace(entries=[broken]), 1))
    log.close()
    assert expected in check(tmp_path)[0].expected


# What lies beside it


@pytest.mark.parametrize("how", ["flipped", "missing"])
def test_the_manifest(busy: Busy, store_of: Path, how: str) -> None:
    path = engine(store_of, "manifest.json")
    before = path.read_bytes()
    flip(path, 40) if how == "flipped" else path.unlink()
    assert [one.source for one in check(store_of)] == [".objstore/manifest.json"]
    require_mended(store_of, busy)
    assert path.read_bytes() == before


def with_index(store: Path) -> Path:
    with objstore.open(store) as opened:
        opened.switch_and_snapshot()
    return engine(store, "index")


def test_a_damaged_index(busy: Busy, store_of: Path) -> None:
    path = with_index(store_of)
    assert check(store_of) == []
    flip(path, 200)
    assert [one.source for one in check(store_of)] == [".objstore/index"]
    assert require_mended(store_of, busy)[0].startswith(".objstore/index: removed")


def test_an_index_that_says_something_else(busy: Busy, store_of: Path) -> None:
    path = with_index(store_of)
    said = json.loads(path.read_bytes().split(b"\n")[0])
    said["units"][0][4] += 1
    line = json.dumps(said).encode()
    path.write_bytes(b"%s\n%08x\n" % (line, crc32c(line)))
    [found] = check(store_of)
    assert found.expected.startswith(f"the newest change of {said['units'][0][1]}")
    require_mended(store_of, busy)


def test_pins(busy: Busy, store_of: Path) -> None:
    path = engine(store_of, "pins.json")
    path.write_bytes(pins.encode({3, 1000}))
    [found] = check(store_of)
    assert (found.source, found.found) == (".objstore/pins.json", "1000")
    require_mended(store_of, busy)
    with objstore.open(store_of) as store:
        assert store._documents.pins() == {3}
    path.write_text("?")
    assert [one.source for one in check(store_of)] == [".objstore/pins.json"]
    assert objstore.repair(store_of) != []
    assert check(store_of) == []


@pytest.mark.parametrize("place", ["u0.json", "folder/w.json", ".objstore/manifest.json"])
def test_leftovers(store_of: Path, place: str) -> None:
    (store_of / "folder").mkdir()
    path = Path(names.temporary_path(str(store_of / place)))
    path.write_text("what a person may want back")
    assert [one.source for one in check(store_of)] == [str(path.relative_to(store_of))]
    assert len(objstore.repair(store_of)) == 1
    [kept] = engine(store_of, "lost+found").iterdir()
    assert kept.read_text() == "what a person may want back"
    assert check(store_of) == []


def test_a_file_that_a_commit_has_not_reached(tmp_path: Path) -> None:
    class Library(Directory):
        reading: List[int] = objstore.file("books.yaml")

    store = objstore.open(tmp_path, Library, durability="os")
    store["/reading"] = [1]
    before = (tmp_path / "books.yaml").read_bytes()
    store.root.reading.append(2)
    after = (tmp_path / "books.yaml").read_bytes()
    (tmp_path / "books.yaml").write_bytes(before)
    engine(tmp_path, "written").unlink()  # as where it is killed before
    with objstore.open(tmp_path, Library) as other:
        [found] = other.check()
        assert (found.source, found.found) == ("books.yaml", "what was there before")
        assert other.root.reading == [1, 2]
    (tmp_path / "books.yaml").write_bytes(before)
    objstore.repair(tmp_path)
    assert (tmp_path / "books.yaml").read_bytes() == after
    assert check(tmp_path) == []


# Others


def test_nobody_repairs_while_somebody_writes(store_of: Path) -> None:
    flip(logs(store_of)[0], 600)
    lock = LogLock(Files(str(store_of)))
    lock.acquire()
    with pytest.raises(BusyError):
        objstore.repair(store_of)
    lock.release()
    assert objstore.repair(store_of) != []


def test_who_had_the_log_open_does_not_write_to_the_old_one(store_of: Path) -> None:
    store = objstore.open(store_of)
    store["/u0"].n = 1
    flip(logs(store_of)[0], 600)
    objstore.repair(store_of)
    with pytest.raises(BackingError, match="removed or replaced"):
        store["/u0"].n = 2
    assert check(store_of) == []


@pytest.mark.parametrize("step", range(6))
def test_a_repair_that_is_cut_off_is_done_again(
    busy: Busy, store_of: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    flip_record(store_of, 5)
    steps = iter(range(100))

    def cut_off(name: str) -> Callable[..., Any]:
        whole = getattr(Files, name)

        def maybe(*args: Any, **options: Any) -> Any:
            if next(steps) == step:
                raise KeyboardInterrupt
            return whole(*args, **options)

        return maybe

    with monkeypatch.context() as patch:
        for name in ("rename", "unlink", "make"):
            patch.setattr(Files, name, cut_off(name))
        with pytest.raises(KeyboardInterrupt):
            objstore.repair(store_of)
    require_mended(store_of, busy)


@pytest.mark.torture
def test_many_flipped_bits(busy: Busy, tmp_path: Path) -> None:
    flips = random.Random(2)  # noqa: S311
    for n in range(500):
        folder = tmp_path / str(n)
        shutil.copytree(busy.folder, folder)
        for _ in range(flips.randint(1, 3)):
            path = flips.choice(logs(folder))
            flip(path, flips.randrange(path.stat().st_size), flips.randrange(8))
        require_mended(folder, busy)
        shutil.rmtree(folder)


def test_the_first_frame_of_a_file(busy: Busy, store_of: Path) -> None:
    path = logs(store_of)[-1]
    flip(path, 50)
    assert check(store_of)[0].source.endswith(path.name)
    require_mended(store_of, busy)
    assert LogFile.open(Files(str(store_of)), 3) is not None
