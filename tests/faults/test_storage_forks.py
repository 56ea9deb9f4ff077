"""Forks amid transactions and iterations whose children end as programs do, by ``sys.exit``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from objstore import ValueLogStorage
from tests.faults.value_logs import value_files

_COMMON = """
import os, sys
from objstore import {maker}
storage = {maker}({path!r}, create=True)
storage.add_container("c")
storage.set_container_items("c", {{f"{{n:05}}": "x" * 2000 for n in range(500)}})

def end_a_child():
    child = os.fork()
    if child == 0:
        sys.exit(0)  # frees what modules and frames hold
    assert os.waitpid(child, 0)[1] == 0
"""

_WRITING = """
with storage.transaction():
    for part in range(100):
        storage.set_container_items("c", {f"{part}-{n}": "y" * 2000 for n in range(50)})
    end_a_child()
    storage.set_container_item("c", "last", "z")
"""

_READING = """
items = storage.scan("c")
next(items)
end_a_child()
writer = '''
from objstore import %s
storage = %s(%r)
for turn in range(20):
    storage.set_container_items("c", {f"{n:05}": str(turn) * 1500 for n in range(500)})
'''
import subprocess
subprocess.run([sys.executable, "-c", writer % (MAKER, MAKER, PATH)], check=True)
assert [value for _, value in items] == ["x" * 2000] * 499
"""

_AFTER = """
storage.close()
storage = {maker}({path!r})
assert storage.check() == []
assert len(list(storage.scan("c"))) == {count}
"""


_LEAVING = """
with storage:
    for turn in range(5):
        child = os.fork()
        if child == 0:
            sys.exit(0)  # closes it
        for n in range(100):
            storage.set_container_item("c", f"{turn}-{n}", "y" * 300)
        assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.parametrize("maker", ["SqliteStorage", "LmdbStorage", "ValueLogStorage"])
@pytest.mark.parametrize(("work", "count"), [(_WRITING, 5501), (_READING, 500), (_LEAVING, 1000)])
def test_a_child_that_ends_takes_nothing_from_its_parent(
    tmp_path: Path, maker: str, work: str, count: int
) -> None:
    path = str(tmp_path / "storage")
    names = f"MAKER, PATH = {maker!r}, {path!r}\n"
    common = _COMMON.format(maker=maker, path=path)
    script = names + common + work + _AFTER.format(maker=maker, path=path, count=count)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


_DROPPING = """
items = storage.scan("c")
next(items)
child = os.fork()
if child == 0:
    del items
    try:
        storage.get_container_item("c", "00000")
    except StorageError as error:
        os._exit(0 if "forked in the middle" in str(error) else 1)
    os._exit(2)
assert os.waitpid(child, 0)[1] == 0
assert len(list(items)) == 499
"""


@pytest.mark.parametrize("maker", ["SqliteStorage", "LmdbStorage"])
def test_a_child_that_drops_the_iteration_is_refused_all_the_same(
    tmp_path: Path, maker: str
) -> None:
    path = str(tmp_path / "storage")
    script = _COMMON.format(maker=maker, path=path) + _DROPPING
    script = "from objstore import StorageError\n" + script
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


_MAKING = """
import random, signal, threading, time
from objstore import StorageError

def use(n):
    while True:
        name = f"{PATH} {random.random()}"
        if n == 0:
            MAKER(name, create=True).close()
        elif n == 1:
            storage.backup(name)
            time.sleep(0.02)
        else:
            with MAKER(PATH) as other:
                other.set_container_item("c", "00000", other.get_container_item("c", "00001"))

for n in range(4):
    threading.Thread(target=use, args=(n,), daemon=True).start()
whole = 0
for turn in range(40):
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        try:
            with MAKER(PATH) as other:
                other.set_container_item("c", "00002", "y")
        except StorageError as error:
            os._exit(1 if "forked in the middle" in str(error) else 2)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.waitstatus_to_exitcode(status) in (0, 1), status
    whole += status == 0
assert whole
os._exit(0)
"""


def test_a_child_goes_on_whatever_threads_of_its_parent_were_making(tmp_path: Path) -> None:
    path = str(tmp_path / "storage")
    names = f"PATH = {path!r}\nfrom objstore import SqliteStorage as MAKER\n"
    script = _COMMON.format(maker="SqliteStorage", path=path) + names + _MAKING
    # Python from 3.12 on warns of forks beside threads, which this is about.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


_CLOSING = """
storage = ValueLogStorage(PATH)
storage.set_container_item("c", "new", "x")

def in_a_child(work):
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        work()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0

def close():
    before = len(os.listdir("/proc/self/fd"))
    storage.close()
    storage.close()
    assert len(os.listdir("/proc/self/fd")) < before
    calls = [
        lambda: storage.get_container_item("c", "new"),
        lambda: storage.set_container_item("c", "new", "y"),
        lambda: storage.scan("c"),
        storage.compact,
        storage.check,
        storage.begin,
    ]
    for call in calls:
        try:
            call()
        except ClosedError:
            continue
        os._exit(1)

def write():
    with ValueLogStorage(PATH, wait=1) as other:
        other.set_container_item("c", "other", "y")

data = open(FILE, "rb").read()
with storage._ending, storage._view.guard:  # as another thread may have them
    in_a_child(close)
assert open(FILE, "rb").read() == data
in_a_child(write)
assert storage.get_container_item("c", "other") == "y"
"""


def test_a_child_that_closes_a_value_log_leaves_it_to_its_parent(tmp_path: Path) -> None:
    with ValueLogStorage(tmp_path / "s", create=True) as storage:
        storage.add_container("c")
    [file] = value_files(tmp_path / "s")
    script = "import os, signal\nfrom objstore import ClosedError, ValueLogStorage\n"
    script += f"PATH, FILE = {str(tmp_path / 's')!r}, {str(file)!r}\n" + _CLOSING
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_child_that_cannot_open_a_value_log_leaves_it_alone(tmp_path: Path) -> None:
    """With every call, and not with the first one only."""
    script = """
import os, sys
from objstore import CorruptionError, ValueLogStorage
path = sys.argv[1]
storage = ValueLogStorage(path, create=True)
storage.add_container("c")
os.rename(path + "/valuelog.json", path + "/away")
open(path + "/valuelog.json", "w").close()
child = os.fork()
if child == 0:
    for turn in range(2):
        try:
            storage.set_container_item("c", "k", "v")
        except CorruptionError:
            continue
        os._exit(1)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
os.rename(path + "/away", path + "/valuelog.json")
storage.set_container_item("c", "k", "v")
assert storage.check() == []
"""
    command = [sys.executable, "-c", script, str(tmp_path / "s")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
