"""Forks amid transactions and iterations whose children end as programs do, by ``sys.exit``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("maker", ["SqliteStorage", "LmdbStorage"])
@pytest.mark.parametrize(("work", "count"), [(_WRITING, 5501), (_READING, 500)])
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
