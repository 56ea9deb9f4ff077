"""Children of a program whose other threads use a store at the moment of the fork."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import os, signal, sys, threading
import objstore
import warnings

warnings.simplefilter("ignore")  # Python's own, of forks amid threads
path, options = sys.argv[1], dict(option.split("=") for option in sys.argv[3:])
beside = options.pop("beside", "no") == "yes"
options["watch"] = options.get("watch") == "yes"
THREADS, FORKS = 3, int(sys.argv[2])

with objstore.open(path, **options) as store:
    with store.transaction():
        for name in ["child", "both", "alone", *map(str, range(THREADS))]:
            store[name] = {"n": 0}
    stop = threading.Event()

    def count(name):
        while not stop.is_set():
            store[name]["n"] += 1
            with store.transaction():
                store[name]["n"] += 1
            if beside:
                use_beside(name)

    def use_beside(name):
        store.events.append("counted", {"by": name})
        # No transaction of theirs, amid which nobody may fork: docs/how-to/containers.md.
        store.containers["c"][name] = store.containers["c"].get(name, 0) + 1
        blob = store.depot.put(name.encode())
        assert store.depot.read(blob, 0, 9) == name.encode()
        store.depot.purge(blob)
        store.follow_commits()

    def go_on(turn):
        with store.transaction():
            store["child"]["n"] += 1
        seen = [store[str(n)]["n"] for n in range(THREADS)]
        with store.transaction():
            again = [store[str(n)]["n"] for n in range(THREADS)]
            assert all(one <= two for one, two in zip(seen, again)), (seen, again)
            store["both"]["n"] += 1
        store["alone"]["n"] = turn
        assert store.current() is None
        assert store.at(store.head)["child"]["n"] == turn + 1
        if beside:
            use_beside("child")

    threads = [threading.Thread(target=count, args=(str(n),)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(FORKS):
            child = os.fork()
            if child == 0:
                try:
                    signal.alarm(20)
                    go_on(turn)
                    os._exit(0)
                finally:
                    os._exit(1)
            assert os.waitpid(child, 0)[1] == 0, f"fork {turn}"
            with store.transaction():
                store["both"]["n"] += 1
    finally:
        stop.set()
    for thread in threads:
        thread.join()
    store.flush()
    assert store["child"]["n"] == FORKS
    assert store["both"]["n"] == 2 * FORKS
    assert store.check() == []
    if beside:
        assert store.containers["c"]["child"] == FORKS
        store.follow_commits()
        told = [event.data["number"] for event in store.events if event.type == "commit"]
        assert told == list(range(1, store.head + 1))
        by = [event.data["by"] for event in store.events if event.type == "counted"]
        assert all(by.count(name) == n for name, n in store.containers["c"].items())
        assert store.events.verify().position == len(by) + len(told)
        assert list(store.depot.blobs()) == []
with objstore.open(path) as store:
    assert store["child"]["n"] == FORKS
    assert store.check() == []
"""

OPTIONS = [
    ("apply=eager", "durability=full"),
    ("apply=lazy", "durability=full"),
    ("apply=lazy", "durability=os"),
    ("apply=eager", "watch=yes"),
    ("apply=eager", "beside=yes"),
]


def run(path: Path, forks: int, options: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", _PROGRAM, str(path), str(forks), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_children_go_on_with_a_store_that_threads_are_using(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    run(tmp_path / "store", 15, options)


@pytest.mark.torture
@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_many_children_do(tmp_path: Path, options: tuple[str, ...]) -> None:
    run(tmp_path / "store", 1000, options)


_FEEDS = """
import os, signal, sys, threading, warnings
import objstore

warnings.simplefilter("ignore")
with objstore.open(sys.argv[1]) as store:
    store["f"] = {"n": 0}
    polled, replayed = store.changes(), store.changes(after=0)
    amid, go_on = threading.Barrier(3), threading.Event()
    read = store._documents.commits

    def read_slowly(*args):
        for commit in read(*args):
            if threading.current_thread() is replaying:
                amid.wait()
                go_on.wait()
            yield commit

    def poll():
        with polled._changed:
            amid.wait()
            go_on.wait()

    store._documents.commits = read_slowly
    replaying = threading.Thread(target=replayed.take)
    threads = [replaying, threading.Thread(target=poll)]
    for thread in threads:
        thread.start()
    amid.wait()
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(20)
            store["f"]["n"] = 1
            assert polled.take(0).number == 2
            assert [replayed.take(0).number for _ in range(2)] == [1, 2]
            os._exit(0)
        finally:
            os._exit(1)
    go_on.set()
    assert os.waitpid(child, 0)[1] == 0
    for thread in threads:
        thread.join()
"""


def test_feeds_that_threads_are_taking_from(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _FEEDS, str(tmp_path / "store")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


_MEMORY = """
import os, signal, threading, warnings
import objstore

warnings.simplefilter("ignore")
with objstore.open("memory://") as store:
    store["f"] = {"n": 0}
    feed = store.changes()
    stop = threading.Event()

    def ask():
        while not stop.is_set():
            store.head

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(FORKS):
            child = os.fork()
            if child == 0:
                try:
                    signal.alarm(20)
                    store["f"]["n"] += 1
                    assert feed.take(0).number == 2
                    os._exit(0)
                finally:
                    os._exit(1)
            assert os.waitpid(child, 0)[1] == 0, f"fork {turn}"
    finally:
        stop.set()
        for thread in threads:
            thread.join()
"""


def test_children_of_a_store_in_memory() -> None:
    command = [sys.executable, "-c", _MEMORY.replace("FORKS", "30")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
