"""Systems and disks that have not all that Linux has: what is done in its place works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_WITHOUT = """
import ctypes, fcntl, logging, os, sys, warnings

# watchdog's Observer of Linux, which objstore does not use, stands for the one of macOS here. It
# warns of a folder that was made while it looked through the tree, and as it is stopped (7.1.0).
warnings.filterwarnings("ignore", "Callback with id .* already exists", RuntimeWarning)
logging.getLogger("watchdog").setLevel(logging.CRITICAL)

class Library(ctypes.CDLL):
    def __getattr__(self, name):
        if name == "renameat2":
            raise AttributeError(name)
        return super().__getattr__(name)

ctypes.CDLL = Library
for name in ("O_PATH", "O_TMPFILE", "copy_file_range", "fdatasync", "posix_fadvise",
             "posix_fallocate"):
    delattr(os, name)
lacks = sys.argv[2]
fcntl.F_FULLFSYNC = fcntl.F_GETFD if lacks != "full sync" else 0x7FFFFFFF
"""

_USES = """
import json
from pathlib import Path
import objstore
from objstore.backings.filesystem.watching import eyes

eyes._PLATFORM = "darwin"
folder = Path(sys.argv[1])

for maker in (objstore.SqliteStorage, objstore.LmdbStorage, objstore.ValueLogStorage):
    path = str(folder / maker.__name__)
    with maker(path, create=True) as storage:
        storage.add_container("c")
        storage.set_container_item("c", "k", "v")
        storage.backup(path + ".copy")
    for one in (path, path + ".copy"):
        with maker(one) as storage:
            assert storage.get_container_item("c", "k") == "v"
            assert storage.check() == []
    try:
        maker(path, create=True)
    except objstore.DuplicateStorageError:
        pass
    else:
        raise AssertionError("a storage was made over another")

for options in ({}, {"apply": "lazy"}, {"durability": "os"}, {"watch": True}):
    with objstore.open(folder / "store", **options) as store:
        with store.transaction():
            for name in ("a", "deep/b", "c"):
                store[name] = {"n": 1}
        with store.transaction():
            store["a"]["n"] += 1
            store["deep/b"] = [1]
            del store["c"]
        store.flush()
        assert json.loads((folder / "store/a.json").read_text()) == {"n": 2}
        assert not (folder / "store/c.json").exists()
        (folder / "store/a.json").write_text('{"n": 5}')
        store["a"]["n"] += 1
        assert store["a"] == {"n": 6}, store["a"].contents
        store.switch_and_snapshot()
        tx = store.new_tx(2)
        with objstore.open(folder / "store") as other:
            from threading import Thread
            one = tx.patcher("/a", [{"op": "replace", "path": "/n", "value": 7}])
            two = other.get_tx(tx.id).patcher("/d", [{"op": "add", "path": "", "value": {}}])
            thread = Thread(target=two.commit)
            thread.start()
            assert one.commit().committed
            thread.join()
        store.events.append("note", {"n": 1})
        store.events.verify()
        store.containers["c"]["k"] = 1
        blob = store.depot.put(b"x" * 100_000)
        store.depot.get_to(blob, folder / "blob")
        assert (folder / "blob").read_bytes() == b"x" * 100_000
        assert store.check() == []
        del store["d"]

keeper = objstore.backings.filesystem.RecordKeeper(folder)
events = [objstore.Event("note", {"n": n}) for n in range(3)]
for event in events:
    keeper.add(event)
assert keeper.tail() == events[-1].uuid
left = [str(path) for path in folder.rglob("*") if ".objstore-tmp" in path.name]
assert left == [], left
"""


@pytest.mark.parametrize("lacks", ["nothing more", "full sync"])
def test_a_system_without_what_only_linux_has(tmp_path: Path, lacks: str) -> None:
    command = [sys.executable, "-c", _WITHOUT + _USES, str(tmp_path), lacks]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
