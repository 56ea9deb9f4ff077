"""The depot on plain files: format, tree, modes, memory; and references to blobs."""

from __future__ import annotations

import hashlib
import io
import json
import re
import stat
import subprocess
import sys
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import jsonschema
import pytest

import objstore
from objstore import (
    CorruptionError,
    Depot,
    FormatError,
    Identifier,
    LmdbStorage,
    MemoryDepot,
    MemoryStorage,
    ObjectStateT,
    ReadOnlyError,
    SqliteStorage,
    StorageDepot,
    StorageError,
    ValueLogStorage,
    schemas,
)
from objstore.backings import filesystem
from objstore.backings.filesystem.blobs import blobmeta, rangelog
from objstore.backings.filesystem.blobs.blobmeta import BlobMeta, Found
from objstore.backings.filesystem.blobs.depot import open_depot
from objstore.depot import Range
from objstore.references import Dangling, find_dangling, find_references
from objstore.storage import Storage
from tests.realdata import ROOT

PAGE = (ROOT / "docs/formats/depot.md").read_text("utf-8")
ONE = Identifier(UUID("62af3937-4c5b-405b-a170-6ef12a5e246a"), 1)
FOLDER = "depot/6/2/a"


def check(name: str, value: Any) -> None:
    """Raise where JSON is not what the schema of that name asks for."""
    kind = jsonschema.Draft202012Validator
    validator: Any = kind(schemas.load(name), format_checker=kind.FORMAT_CHECKER)
    validator.validate(value)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# The page


def example(name: str) -> str:
    """The indented block that follows a line with the file's name."""
    found = re.search(rf"^    {re.escape(name)}\n\n((?:    .*\n)+)", PAGE, re.MULTILINE)
    assert found is not None
    return re.sub("^    ", "", found[1], flags=re.MULTILINE)


def test_the_metadata_of_the_worked_example() -> None:
    text = example(f"{ONE}.json")
    found = blobmeta.parse(text.encode(), "file")
    digest = hashlib.sha256(b"hello").hexdigest()
    made = datetime(2026, 11, 20, 13, tzinfo=UTC)
    final = Found(5, digest, made + timedelta(seconds=1))
    assert found == BlobMeta(None, 64 << 20, None, made, {"name": "greeting.txt"}, final)
    assert found.encode().decode() == text
    check("blob-meta", json.loads(text))


def test_the_ranges_of_the_worked_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = example("90c1f0d8-2e6b-4d0e-9a31-6d6b0c8f7e11.1.ranges")
    for line in text.splitlines():
        said = json.loads(line)
        check("blob-ranges", said)
        assert (
            rangelog.encode({k: v for k, v in said.items() if k != "crc32c"})
            == f"{line}\n".encode()
        )
    depot = filesystem.Depot(tmp_path)
    depot.reserve(ONE, 5 << 20)
    depot.write(ONE, (5 << 20) - 1, b"x")
    (tmp_path / FOLDER / f"{ONE}.ranges").write_text(text)
    monkeypatch.setattr(rangelog, "this_boot", lambda: "90d9855772134f5b")
    end = (4 << 20) + 1000
    assert depot.missing_ranges(ONE) == [
        Range((1 << 20) + 5, (3 << 20) - 5),
        Range(end, (5 << 20) - end),
    ]
    monkeypatch.setattr(rangelog, "this_boot", lambda: "0" * 16)
    assert depot.missing_ranges(ONE)[0] == Range(1 << 20, 3 << 20)


def test_a_depot_over_a_storage_without_savepoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """As others may make one: what is more than the contract asks for is not used."""
    monkeypatch.setattr(MemoryStorage, "_nested", Storage._nested)
    depot = StorageDepot(MemoryStorage("", create=True))
    left = [Identifier.new(), Identifier.new()]
    for identifier in left:
        depot.reserve(identifier, 10)
    kept = depot.put(b"kept")
    assert depot.sweep(timedelta(0)) == sorted(left)
    depot.purge(kept)
    assert list(depot.blobs()) == []


def test_the_record_of_the_worked_example() -> None:
    text = example(str(ONE)).strip()
    check("blob-record", json.loads(text))
    storage = MemoryStorage("page", create=True)
    depot = StorageDepot(storage)
    depot.reserve(ONE, 10)
    storage.set_container_item("depot", str(ONE), text)
    assert depot.missing_ranges(ONE) == [Range(5, 2), Range(9, 1)]
    depot.write(ONE, 5, b"12345")
    depot.finalize(ONE)
    assert depot.read(ONE, 0, 20) == b"\0\0\0\0\x0012345"
    check("blob-record", json.loads(str(storage.get_container_item("depot", ONE))))
    [(key, block)] = storage.get_container_items("depot blocks")
    assert (key, block) == (f"{ONE}/000000000000", b"\0\0\0\0\x0012345")


def test_a_record_without_a_token_is_written_to_and_read() -> None:
    said = json.loads(example(str(ONE)))
    del said["token"]
    check("blob-record", said)
    storage = MemoryStorage("older", create=True)
    depot = StorageDepot(storage)
    depot.reserve(ONE, 10)
    storage.set_container_item("depot", ONE, json.dumps(said))
    depot.write(ONE, 0, b"0123456789")
    depot.finalize(ONE)
    assert "token" not in json.loads(str(storage.get_container_item("depot", ONE)))
    with depot.open(ONE) as blob:
        assert blob.read(3) == b"012"
        depot.purge(ONE)
        depot.put(b"abcdefghij", identifier=ONE)
        blob.seek(0)
        with pytest.raises(StorageError, match="was purged"):
            blob.raw.read(3)


def test_a_record_that_is_none_is_told() -> None:
    storage = MemoryStorage("damage", create=True)
    depot = StorageDepot(storage)
    depot.put(b"hello", identifier=ONE)
    text = str(storage.get_container_item("depot", ONE))
    for broken in ("", "[]", "{}", "1", text[:-1], text.replace("length", "lenght")):
        storage.set_container_item("depot", ONE, broken)
        with pytest.raises(CorruptionError, match="this is no record of a blob"):
            depot.info(ONE)
    storage.set_container_item("depot", ONE, text.replace('"format":1', '"format":2'))
    with pytest.raises(FormatError, match="format 2 is not known"):
        depot.info(ONE)
    storage.set_container_item("depot", ONE, text)
    storage.set_container_item("depot blocks", f"{ONE}/{0:012}", b"hallo")
    [damage] = depot.scrub().damaged
    assert damage.identifier == ONE


@pytest.mark.parametrize("kind", [SqliteStorage, LmdbStorage, ValueLogStorage])
def test_rotten_records_are_told_and_purged(tmp_path: Path, kind: Any) -> None:
    with kind(tmp_path / "s", create=True) as storage, storage.transaction():
        depot = StorageDepot(storage)
        for n in range(100):
            depot.put(b"x" * n, identifier=Identifier(UUID(int=n)))
        bad = [depot.put(bytes(100_000), meta={"a": f"rotten {n}"}) for n in range(3)]
        bad.append(depot.put(b"whole", identifier=Identifier(UUID(int=77), 11)))
        depot.reserve(ONE, 5)
        depot.put(b"rotten block" * 9, identifier=Identifier(UUID(int=5), 2))
    for path in [one for one in tmp_path.rglob("*") if one.is_file()]:
        path.write_bytes(path.read_bytes().replace(b"rotten", b"rotteN"))
    with kind(tmp_path / "s") as storage:
        depot = StorageDepot(storage)
        rotten = {*bad[:3], Identifier(UUID(int=5), 2)}
        for _ in range(2):
            found = depot.scrub()
            assert {damage.identifier for damage in found.damaged} == rotten
            assert found.sound == 101
        assert depot.sweep(timedelta(0)) == [ONE]
        for identifier in rotten:
            depot.purge(identifier)
        assert depot.scrub() == (101, (), ())
        assert storage.get_container_len("depot blocks") == 100


def test_a_blob_is_written_within_the_callers_transaction() -> None:
    storage = MemoryStorage("together", create=True)
    depot = StorageDepot(storage)
    storage.add_container("notes")
    with pytest.raises(ZeroDivisionError), storage.transaction():
        storage.set_container_item("notes", "photo", depot.put(b"hello").link)
        raise ZeroDivisionError
    assert list(depot.identifiers()) == []
    with storage.transaction():
        storage.set_container_item("notes", "photo", depot.put(b"hello").link)
    found = Identifier.parse(str(storage.get_container_item("notes", "photo")))
    assert depot.read(found, 0, 9) == b"hello"


def test_the_tree_of_the_page(tmp_path: Path) -> None:
    depot = filesystem.Depot(tmp_path / "parent")
    depot.put(b"hello", identifier=ONE)
    depot.reserve(Identifier.parse("90c1f0d8-2e6b-4d0e-9a31-6d6b0c8f7e11.1"), 5)
    shown = re.findall(r"^    (parent/depot/\S+)", PAGE, re.MULTILINE)
    assert files(tmp_path) == sorted(shown)


@pytest.mark.parametrize("name", ["blob-meta", "blob-ranges", "blob-link", "blob-record"])
def test_the_schemas_are_schemas(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schemas.load(name))


def test_what_is_written_is_what_the_schemas_ask_for(tmp_path: Path) -> None:
    depot = filesystem.Depot(tmp_path)
    meta = tmp_path / FOLDER / f"{ONE}.json"
    ranges = tmp_path / FOLDER / f"{ONE}.ranges"
    blob = depot.create(meta={"é": [1.5, None]}, identifier=ONE)
    check("blob-meta", json.loads(meta.read_text("utf-8")))
    blob.write(b"hello")
    blob.truncate(4)
    blob.sync()
    lines = [json.loads(line) for line in ranges.read_text().splitlines()]
    assert [sorted(line.keys() - {"crc32c"})[0] for line in lines] == [
        "boot",
        "at",
        "cut",
        "synced",
    ]
    for line in lines:
        check("blob-ranges", line)
    blob.close()
    check("blob-meta", json.loads(meta.read_text("utf-8")))
    check("blob-link", depot.link(ONE))
    with pytest.raises(jsonschema.ValidationError):
        check("blob-link", f"{depot.link(ONE)}.wr")


def test_a_sync_covers_what_was_noted_before_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    depot = filesystem.Depot(tmp_path)
    depot.reserve(ONE, 30)
    first, second = (rangelog.encode({"at": at, "size": 10, "boot": "1" * 16}) for at in (0, 20))
    synced = rangelog.encode({"synced": len(first)})
    ranges = tmp_path / FOLDER / f"{ONE}.ranges"
    ranges.write_bytes(first + second + synced)
    monkeypatch.setattr(rangelog, "this_boot", lambda: "1" * 16)
    assert depot.missing_ranges(ONE) == [Range(10, 10)]
    monkeypatch.setattr(rangelog, "this_boot", lambda: "2" * 16)
    assert depot.missing_ranges(ONE) == [Range(10, 20)]
    ranges.write_bytes(first + second + rangelog.encode({"failed": True}) + synced)
    monkeypatch.setattr(rangelog, "this_boot", lambda: "1" * 16)
    assert depot.missing_ranges(ONE) == [Range(0, 30)]


def test_behind_a_line_that_was_not_finished_others_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(log: rangelog.RangeLog) -> None:
        """Say nothing, so that the line that is torn stays the last one."""

    monkeypatch.setattr(rangelog.RangeLog, "begin", begin)
    depot = filesystem.Depot(tmp_path)
    depot.reserve(ONE, 5)
    with (tmp_path / FOLDER / f"{ONE}.ranges").open("ab") as file:
        file.write(b'{"at":0,"siz')
    depot.write(ONE, 0, b"hello")
    assert depot.missing_ranges(ONE) == []


# The tree


def test_line_5_the_tree_is_the_seeds(tmp_path: Path) -> None:
    depot = filesystem.Depot(tmp_path)
    assert isinstance(depot, Depot)
    depot.reserve(ONE, 10)
    path = tmp_path / "depot/6/2/a/62af3937-4c5b-405b-a170-6ef12a5e246a.1"
    assert path.with_name(f"{path.name}.wr").stat().st_size == 10
    assert not path.exists()
    depot.write(ONE, 5, b"hello")
    depot.finalize(ONE, zeroes=True)
    assert path.read_bytes() == b"\0\0\0\0\0hello"
    assert files(tmp_path) == [f"{FOLDER}/{ONE}", f"{FOLDER}/{ONE}.json"]
    depot.purge(ONE)
    assert files(tmp_path) == []


def test_a_depot_that_another_program_made(tmp_path: Path) -> None:
    """As the seed's own has it: blobs, and nothing beside them."""
    folder = tmp_path / FOLDER
    folder.mkdir(parents=True)
    other = Identifier(ONE.uuid, 2)
    (folder / str(ONE)).write_bytes(b"hello")
    (folder / f"{other}.wr").write_bytes(bytes(5))
    depot = filesystem.Depot(tmp_path)
    assert list(depot.identifiers()) == [ONE, other]
    assert depot.read(ONE, 0, 9) == b"hello"
    info = depot.info(ONE)
    assert (info.size, info.sha256, info.meta) == (5, None, {})
    assert depot.scrub() == (0, (), (ONE,))
    assert depot.missing_ranges(other) == [Range(0, 5)]
    depot.write(other, 0, b"world")
    with pytest.raises(StorageError, match="has 5 bytes"):
        depot.write(other, 1, b"world")
    depot.finalize(other)
    assert depot.read(other, 0, 9) == b"world"
    assert depot.scrub().sound == 1
    depot.purge(ONE)
    depot.purge(other)
    assert files(tmp_path) == []


def test_what_is_no_blob_is_left_alone(tmp_path: Path) -> None:
    depot = filesystem.Depot(tmp_path)
    depot.put(b"hello", identifier=ONE)
    names = [
        *(
            f"{ONE.uuid}",
            f"{ONE}.tmp",
            f"{str(ONE).upper()}",
            f"{ONE.uuid}.01",
            "README",
            ".hidden",
        ),
        *("6" + str(ONE)[1:-1] + "x", f"7{str(ONE)[1:]}"),
    ]
    for name in names:
        (tmp_path / FOLDER / name).write_bytes(b"not ours")
    for folder in ("depot/x", "depot/66", "depot/6/2/a/b"):
        (tmp_path / folder).mkdir()
    (tmp_path / "depot/6/file").touch()
    (tmp_path / "depot/f").touch()
    assert list(depot.identifiers()) == [ONE]
    assert depot.sweep(timedelta(0)) == []
    assert depot.scrub().sound == 1
    assert {f"{FOLDER}/{name}" for name in names} < set(files(tmp_path))


def test_nothing_is_written_before_the_first_blob(tmp_path: Path) -> None:
    parent = tmp_path / "not/there"
    for depot in (filesystem.Depot(parent), open_depot(parent)):
        assert list(depot.identifiers()) == []
        assert not depot.exists(ONE)
        assert depot.scrub() == (0, (), ())
        assert depot.sweep() == []
        for refused in (depot.purge, depot.finalize, depot.open, depot.missing_ranges):
            with pytest.raises(StorageError, match="there is no blob"):
                refused(ONE)
    assert list(tmp_path.iterdir()) == []


def test_the_depot_of_a_store(tmp_path: Path) -> None:
    with objstore.open(tmp_path / "store") as store:
        depot = open_depot(tmp_path / "store")
        assert not (tmp_path / "store").exists()
        depot.put(b"hello", identifier=ONE)
        assert files(tmp_path / "store") == [
            ".objstore/.gitignore",
            f".objstore/{FOLDER}/{ONE}",
            f".objstore/{FOLDER}/{ONE}.json",
        ]
        assert (tmp_path / "store/.objstore/.gitignore").read_text() == "*\n"
        store["/doc"] = {"image": depot.link(ONE)}
        assert list(store) == ["/doc"]
    assert open_depot(tmp_path / "store", readonly=True).read(ONE, 0, 9) == b"hello"


def test_a_depot_that_is_only_read(tmp_path: Path) -> None:
    depot = filesystem.Depot(tmp_path)
    depot.put(b"hello", identifier=ONE)
    readers = filesystem.Depot(tmp_path, readonly=True)
    assert readers.read(ONE, 0, 9) == b"hello"
    other = Identifier(ONE.uuid, 2)
    depot.reserve(other, 5)
    assert readers.missing_ranges(ONE) == []
    assert readers.missing_ranges(other) == [Range(0, 5)]
    for refused in (
        lambda: readers.reserve(Identifier.new(), 1),
        lambda: readers.write(other, 0, b"x"),
        lambda: readers.finalize(other),
        lambda: readers.purge(ONE),
        lambda: readers.sweep(),
        lambda: readers.put(b""),
    ):
        with pytest.raises(ReadOnlyError, match="opened with readonly=True"):
            refused()
    assert depot.state(other) is ObjectStateT.WRITABLE


def test_modes_follow_the_umask(tmp_path: Path) -> None:
    depot = filesystem.Depot(tmp_path / "parent", umask=0o077)
    depot.put(b"hello", identifier=ONE)
    for path in (tmp_path / "parent").rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600)


def test_options_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='durability must be "full" or "os"'):
        filesystem.Depot(tmp_path, durability="none")


def test_a_gigabyte_that_is_reserved_takes_no_space(tmp_path: Path) -> None:
    depot = filesystem.Depot(tmp_path)
    depot.reserve(ONE, 1 << 40)
    depot.write(ONE, 1 << 39, b"here")
    found = (tmp_path / FOLDER / f"{ONE}.wr").stat()
    assert found.st_size == 1 << 40
    assert found.st_blocks * 512 < 1 << 20
    assert len(depot.missing_ranges(ONE)) == 2
    depot.purge(ONE)


def test_what_is_sought_over_takes_no_space(tmp_path: Path) -> None:
    depot = filesystem.Depot(tmp_path)
    with depot.create(identifier=ONE) as blob:
        blob.seek(64 << 20)
        blob.write(b"here")
    found = (tmp_path / FOLDER / str(ONE)).stat()
    assert found.st_size == (64 << 20) + 4
    assert found.st_blocks * 512 < 1 << 20


def test_a_program_reads_a_blob_as_its_input(tmp_path: Path) -> None:
    depot = filesystem.Depot(tmp_path)
    with depot.open(depot.put(b"hello")) as blob:
        done = subprocess.run(["cat"], stdin=blob, capture_output=True, check=True)
    assert done.stdout == b"hello"


def test_a_link_in_a_blobs_place_is_not_followed(tmp_path: Path) -> None:
    depot = filesystem.Depot(tmp_path)
    depot.put(b"hello", identifier=ONE)
    secret = tmp_path / "secret"
    secret.write_text("secret")
    other = Identifier(ONE.uuid, 2)
    (tmp_path / FOLDER / str(other)).symlink_to(secret)
    with pytest.raises(objstore.BackingError, match="Too many levels of symbolic links"):
        depot.read(other, 0, 9)


_MEMORY = """
import sys
from objstore.backings.filesystem import Depot

def peak():
    # Not by getrusage: that counts what the parent had when it made this process.
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))

depot = Depot(sys.argv[1], durability="os")
before = peak()
identifier = depot.put(sys.argv[2])
with depot.create() as blob, depot.open(identifier) as source:
    while data := source.read(1 << 20):
        blob.write(data)
depot.reserve(other := type(identifier).new(), 96 << 20)
depot.write(other, 0, b"x")
depot.finalize(other, zeroes=True)
assert depot.scrub().sound == 3
depot.get_to(identifier, sys.argv[1] + "/out")
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_memory_does_not_grow_with_blobs(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(96 << 20))
    done = subprocess.run(
        [sys.executable, "-c", _MEMORY, str(tmp_path), str(source)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert 0 < int(done.stdout) * 1024 < 32 << 20
    assert (tmp_path / "out").stat().st_size == 96 << 20


@pytest.mark.parametrize("call", ["put", "finalize", "scrub"])
def test_a_small_blob_needs_little_memory(tmp_path: Path, call: str) -> None:
    depot = filesystem.Depot(tmp_path)
    depot.put(b"abc")
    depot.reserve(ONE, 3)
    depot.write(ONE, 0, b"abc")
    tracemalloc.start()
    try:
        if call == "put":
            depot.put(io.BytesIO(b"abc"))
        elif call == "finalize":
            depot.finalize(ONE)
        else:
            assert depot.scrub().sound == 1
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 4 << 20


def test_purging_leaves_no_file(tmp_path: Path) -> None:
    depot = filesystem.Depot(tmp_path)
    depot.reserve(ONE, 3)
    depot.write(ONE, 0, b"abc")
    depot.purge(ONE)
    depot.purge(depot.put(b"abc"))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


# References


def test_links_are_found_wherever_they_are() -> None:
    other = Identifier(ONE.uuid, 2)
    contents = {
        "image": ONE.link,
        "a/b": [1, {"~": other.link}, None, [ONE.link]],
        "no links": [str(ONE), f"{ONE.link} ", f"see {ONE.link}", f"{ONE.link}.wr", ""],
        ONE.link: "a key is none",
    }
    assert list(find_references("/people/ada", contents)) == [
        ("/people/ada/image", ONE),
        ("/people/ada/a~1b/1/~0", other),
        ("/people/ada/a~1b/3/0", ONE),
    ]
    assert list(find_references("", ONE.link)) == [("", ONE)]


def test_no_blob_is_called_unreferenced_while_a_file_cannot_be_read(tmp_path: Path) -> None:
    with objstore.open(tmp_path) as store:
        blob = store.depot.put(b"1")
        store["/ada"] = {"photo": store.depot.link(blob)}
        (tmp_path / "ada.json").write_text(f'{{"photo": "{blob.link}"')
        with pytest.raises(objstore.FormatError, match=r"ada\.json, line 1"):
            store.dangling()


def test_what_dangles_both_ways() -> None:
    depot = MemoryDepot()
    there, lonely, writable, unknown = (Identifier(UUID(int=n)) for n in range(4))
    depot.put(b"a", identifier=there)
    depot.put(b"b", identifier=lonely)
    depot.reserve(writable, 1)
    units: list[tuple[str, Any]] = [
        ("/a", {"blobs": [there.link, unknown.link]}),
        ("/b", {"blob": writable.link, "again": unknown.link}),
        ("/c", []),
    ]
    assert list(find_dangling(units, depot)) == [
        Dangling(unknown, "/a/blobs/1"),
        Dangling(writable, "/b/blob"),
        Dangling(unknown, "/b/again"),
        Dangling(lonely, None),
    ]
    assert list(find_dangling([("/a", [there.link, lonely.link])], depot)) == []


@pytest.mark.parametrize("first", ["", "import concurrent.futures.thread"])
def test_a_blob_is_put_when_python_is_ending(tmp_path: Path, first: str) -> None:
    """No thread is started any more by then, nor what would start it imported."""
    said = f"""
import atexit
import objstore
{first}

def end():
    depot = store.depot
    for blob in (b"hello", big):
        assert depot.read(depot.put(blob), 0, len(blob)) == blob
    with depot.create() as writer:
        writer.write(big)
        writer.sync()
    assert depot.scrub().sound == 3
    store.close()
    print("all is put")

atexit.register(end)
store = objstore.open({str(tmp_path)!r})
big = b"x" * 3_000_000
"""
    run = [sys.executable, "-c", said]
    found = subprocess.run(run, capture_output=True, text=True, check=False, cwd=ROOT)
    assert found.stdout == "all is put\n", found.stderr
