"""A watch where the system loses events, allows no more, or the program does odd things."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import objstore
from objstore import BackingError, Commit, Invalid
from objstore.backings.filesystem.addresses import Addresses
from objstore.backings.filesystem.documents import FilesystemDocuments
from objstore.backings.filesystem.git import is_at_work
from objstore.backings.filesystem.io import Entry, Files, Snapshot
from objstore.backings.filesystem.places import Places
from objstore.backings.filesystem.watching import eyes, owed
from objstore.backings.filesystem.watching.following import SLACK_NS, Following
from objstore.documents import Loaded
from objstore.errors import ObjstoreError
from objstore.layout import ANYTHING
from tests.faults.machine import in_child, need_tool
from tests.news import PATIENCE, Heard

# Python 3.12 and later warn of what these tests are about.
threads_may_fork = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")


def replace(file: Path, contents: object) -> None:
    temporary = file.with_name(".new")
    temporary.write_text(json.dumps(contents))
    temporary.rename(file)


_FOLLOW = """
import sys, objstore
from objstore import Commit
with objstore.open(sys.argv[1], watch=True) as store, store.changes() as feed:
    held = store["kept"]
    print(held.n, flush=True)
    sys.stdin.readline()
    missing = {"/lost", "/deep/lost", "/kept"}
    while missing:
        news = feed.take(60)
        missing -= {change.unit for change in news.changes}
    print(held.n, "/gone" in store, store["idle"].contents, flush=True)
"""


def test_events_that_the_system_lost_are_made_up_for(tmp_path: Path) -> None:
    """A process that is stopped does not read its events; the kernel keeps 16,384 of them."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("kept", "gone", "idle"):
        replace(folder / f"{name}.json", {"n": 1})
    command = [sys.executable, "-c", _FOLLOW, str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "1\n"
        child.send_signal(signal.SIGSTOP)
        with (folder / "1.txt").open("wb", 0) as one, (folder / "2.txt").open("wb", 0) as other:
            for _ in range(_queue_length()):  # by turns, as what is repeated counts once
                one.write(b"x")
                other.write(b"x")
        (folder / "deep").mkdir()
        replace(folder / "deep" / "lost.json", {"n": 2})
        replace(folder / "lost.json", {"n": 2})
        replace(folder / "kept.json", {"n": 2})
        (folder / "gone.json").unlink()
        child.send_signal(signal.SIGCONT)
        told, complaints = child.communicate("go on\n", timeout=PATIENCE)
        assert told == "2 False {'n': 1}\n", complaints
    with objstore.open(folder) as store:
        units = sorted(change.unit for commit in store.log() for change in commit.changes)
    assert set(units) >= {"/deep/lost", "/kept", "/lost"}
    assert len(units) == len(set(units))


def _queue_length() -> int:
    return int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ("max_inotify_watches", "fs.inotify.max_user_watches"),
        ("max_inotify_instances", "fs.inotify.max_user_instances"),
    ],
)
def test_limits_of_the_system_are_named(tmp_path: Path, limit: str, reason: str) -> None:
    need_tool("unshare", "util-linux")
    for number in range(4):
        (tmp_path / f"folder{number}").mkdir()
    program = (
        "import sys, objstore\n"
        "try:\n"
        "    objstore.open(sys.argv[1], watch=True)\n"
        "except objstore.BackingError as error:\n"
        "    print(error.strerror)\n"
    )
    # Limits belong to the user namespace: in one of their own they bind nobody else.
    script = f'echo {0 if "instances" in limit else 3} > /proc/sys/user/{limit} && exec "$@"'
    unshare = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"]
    done = subprocess.run(
        [*unshare, sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert reason in done.stdout
    assert "cannot watch" in done.stdout


@threads_may_fork
def test_a_forked_child_is_not_watched_and_disturbs_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with objstore.open(folder, watch=True) as store, Heard(store) as heard:
        store["a"] = {"n": 1}
        heard.commit()
        held = store["a"]

        def child() -> None:
            assert held.n == 1
            store["b"] = {"n": 1}
            replace(folder / "a.json", {"n": 2})
            assert store["a"].n == 2
            store.close()

        assert in_child(child) == 0
        heard.until_units({"/a", "/b"})
        replace(folder / "a.json", {"n": 3})
        heard.until(lambda news: isinstance(news, Commit) and news.changes[0].new == {"n": 3})
        assert held.n == 3


@threads_may_fork
def test_forks_amid_bursts(tmp_path: Path) -> None:
    """No lock is held in a child by a thread that it has not."""
    folder = tmp_path / "data"
    with objstore.open(folder, watch=True) as store:
        store["a"] = {"n": 0}
        stop = threading.Event()

        def edit() -> None:
            while not stop.is_set():
                replace(folder / "b.json", {"n": 1})
                replace(folder / "b.json", {"n": 2})

        thread = threading.Thread(target=edit)
        thread.start()
        try:
            for number in range(20):
                assert in_child(lambda: store.PUT("a/n", number)) == 0  # noqa: B023
                assert store["a"].n == number
        finally:
            stop.set()
            thread.join()


def test_a_burst_that_fails_is_logged_and_the_next_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    original = FilesystemDocuments.commit_external
    failures: list[Exception] = [BackingError(errno.EIO, "no", "x"), RuntimeError("odd")]
    failed = threading.Semaphore(0)

    def fail(
        self: FilesystemDocuments,
        units: Sequence[str],
        judge: Callable[[str, Loaded | ObjstoreError], bool],
        **known: Any,
    ) -> Commit | None:
        if failures:
            failed.release()
            raise failures.pop()
        return original(self, units, judge, **known)

    monkeypatch.setattr(FilesystemDocuments, "commit_external", fail)
    with objstore.open(tmp_path, watch=True) as store, Heard(store) as heard:
        for number in range(2):
            replace(tmp_path / f"a{number}.json", [number])
            assert failed.acquire(timeout=PATIENCE)
        replace(tmp_path / "b.json", [2])
        heard.until_units({"/b"})
    assert "RuntimeError: odd" in caplog.text
    assert "could not be taken in" in caplog.text


class Refusing:
    """Refuses to enter some units, a number of times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, unit: str, times: int) -> None:
        self.left = times
        self.refused = threading.Semaphore(0)
        original = FilesystemDocuments.commit_external

        def enter(
            documents: FilesystemDocuments, units: Sequence[str], *rest: Any, **known: Any
        ) -> Commit | None:
            if unit in units and self.left:
                self.left -= 1
                self.refused.release()
                raise BackingError(errno.ENOSPC, "No space left on device", "log")
            return original(documents, units, *rest, **known)

        monkeypatch.setattr(FilesystemDocuments, "commit_external", enter)


def test_edits_that_cannot_be_entered_are_entered_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    refusing = Refusing(monkeypatch, "/new", 4)
    with objstore.open(tmp_path, watch=True) as store, Heard(store) as heard:
        replace(tmp_path / "new.json", [1])
        assert refusing.refused.acquire(timeout=PATIENCE)
        replace(tmp_path / "other.json", [1])  # what comes meanwhile does not wait for it
        replace(tmp_path / "new.json", [2])
        assert [change.unit for change in heard.commit().changes] == ["/other"]
        (change,) = heard.commit().changes
        assert (change.unit, change.old, change.new) == ("/new", objstore.MISSING, [2])
        assert not heard.commits[-1].unknown
        assert refusing.left == 0
        replace(tmp_path / "new.json", [3])
        heard.commit()
    assert caplog.text.count("could not be taken in") == 1


def test_edits_that_cannot_be_entered_take_turns_and_no_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owed, "FIRST", 0.2)
    refusing = Refusing(monkeypatch, "/a", 1_000_000)
    with objstore.open(tmp_path, watch=True):
        (tmp_path / "a.json").write_text("[1]")
        assert refusing.refused.acquire(timeout=PATIENCE)
        for _ in range(20):  # what is done to it meanwhile changes nothing of when it has its turn
            (tmp_path / "a.json").write_text("[2]")
            threading.Event().wait(0.05)
        begun = time.monotonic()
    assert 1_000_000 - refusing.left < 6
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("replaced", [False, True])
def test_a_store_that_is_moved_away_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, replaced: bool
) -> None:
    folder, aside = tmp_path / "data", tmp_path / "aside"
    with objstore.open(folder, watch=True) as store, Heard(store) as heard:
        store["a"] = [1]
        heard.commit()
        folder.rename(aside)
        if replaced:
            folder.mkdir()
            (folder / "a.json").write_text("[9]")
        until = time.monotonic() + 3
        while time.monotonic() < until:
            assert folder.exists() == replaced
            time.sleep(0.0005)
        assert caplog.text.count("removed or replaced while it was in use") <= 1
        reasons = [str(one.exc_info[1]) for one in caplog.records if one.exc_info]
        assert 1 <= len(reasons) == len(set(reasons)), "each is told once"
        if replaced:
            assert [one.name for one in folder.iterdir()] == ["a.json"]
            (folder / "a.json").unlink()
            folder.rmdir()
        replace(aside / "a.json", [2])
        aside.rename(folder)
        heard.until(lambda news: isinstance(news, Commit) and news.changes[0].new == [2])


def test_what_is_owed_is_told_after_pauses_that_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(f"{owed.__name__}.time", SimpleNamespace(monotonic=lambda: now))
    owing, told = owed.Owed[owed.Seen](), list[tuple[float, str]]()
    for unit in ("/a", "/b", "/a"):
        owing.add(owed.Seen({unit: unit}, set(), appended=False))

    def tell(seen: owed.Seen) -> bool:
        (unit,) = seen.units
        told.append((now, unit))
        return unit == "/b" or now > 70

    while owing.due is not None:
        now = owing.due - 0.01
        owing.settle(tell)
        now = owing.due
        owing.settle(tell)
    assert [unit for _, unit in told] == ["/a", "/b", *["/a"] * 7]
    times = [when for when, unit in told if unit == "/a"]
    assert times == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 61.5, 91.5]


def test_a_file_that_cannot_be_read_holds_back_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Files.read

    def read(self: Files, path: str, limit: int) -> Snapshot | None:
        if path.endswith("locked.json"):
            raise BackingError(errno.EACCES, "cannot read locked.json: Permission denied", path)
        return original(self, path, limit)

    with objstore.open(tmp_path, watch=True) as store, Heard(store) as heard:
        store["locked"] = [1]
        held = store["locked"]
        assert held == [1]
        heard.commit()
        with monkeypatch.context() as patched:
            patched.setattr(Files, "read", read)
            replace(tmp_path / "locked.json", [2])
            replace(tmp_path / "other.json", [2])
            told = {type(heard.until(lambda _: True)) for _ in range(2)}
            assert told == {Commit, Invalid}
            reasons = [news.reason for news in heard.news if isinstance(news, Invalid)]
            assert "Permission denied" in reasons[0]
            assert held == [1]
        replace(tmp_path / "locked.json", [3])
        heard.mended()
        assert held == [3]


def test_a_file_that_cannot_be_read_for_a_moment_is_read_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, left = Files.read, [4]

    def read(self: Files, path: str, limit: int) -> Snapshot | None:
        if path.endswith("a.json") and left[0]:
            left[0] -= 1
            raise BackingError(errno.EMFILE, "cannot read a.json: Too many open files", path)
        return original(self, path, limit)

    with objstore.open(tmp_path, watch=True) as store, Heard(store) as heard:
        store["a"] = [1]
        held = store["a"]
        assert held == [1]
        heard.commit()
        monkeypatch.setattr(Files, "read", read)
        replace(tmp_path / "a.json", [2])
        heard.commit()
        assert [type(one) for one in heard.news] == [Commit, Commit]
        assert (held, left) == ([2], [0])


def test_commits_of_others_that_cannot_be_read_for_a_moment_are_told_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, left = FilesystemDocuments.refresh, [3]

    def refresh(self: FilesystemDocuments) -> None:
        if left[0]:
            left[0] -= 1
            raise BackingError(errno.EMFILE, "cannot read the log: Too many open files", "log")
        original(self)

    with objstore.open(tmp_path, watch=True) as store, Heard(store) as heard:
        store["a"] = [1]
        heard.commit()
        monkeypatch.setattr(FilesystemDocuments, "refresh", refresh)
        with objstore.open(tmp_path) as other:
            other.scope("aside")["a"] = [2]  # which is in the log alone
        assert heard.commit().scope == "aside"
        assert left == [0]


def test_a_folder_that_cannot_be_listed_for_a_moment_is_listed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    original, left = Files.entries, [3]

    def entries(self: Files, folder: str) -> list[Entry]:
        if folder.endswith("/team/deep") and left[0]:
            left[0] -= 1
            raise BackingError(errno.EMFILE, "cannot list team: Too many open files", folder)
        return original(self, folder)

    folder, new = tmp_path / "data", tmp_path / "new"
    (new / "deep").mkdir(parents=True)
    for name in ("a", "deep/b"):
        (new / f"{name}.json").write_text("[1]")
    with objstore.open(folder, watch=True) as store, Heard(store) as heard:
        store["other"] = [1]
        heard.commit()
        monkeypatch.setattr(Files, "entries", entries)
        new.rename(folder / "team")
        replace(folder / "other.json", [2])
        heard.until_units({"/other", "/team/a", "/team/deep/b"})
        assert left == [0]
    assert caplog.text.count("cannot be followed for now") == 1


def test_a_folder_that_is_a_file_when_it_is_listed_holds_back_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Files.entries

    def entries(self: Files, folder: str) -> list[Entry]:
        if folder.endswith("/brief"):
            os.rmdir(folder)
            Path(folder).write_text("")
        return original(self, folder)

    with objstore.open(tmp_path, watch=True) as store, Heard(store) as heard:
        store["a"] = [1]
        heard.commit()
        monkeypatch.setattr(Files, "entries", entries)
        (tmp_path / "brief").mkdir()
        replace(tmp_path / "a.json", [2])
        assert heard.commit().changes[0].new == [2]


def test_what_was_lost_is_found_by_the_look_after_one_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Files(str(tmp_path))
    addresses = Addresses(files, Places(files.root, ANYTHING))
    followed = Following(files, addresses, _yes, _nothing)
    for name in ("gone/x", "kept/x"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / f"{name}.json").write_text("[1]")
    followed.look_again(str(tmp_path))
    (tmp_path / "gone/x.json").unlink()
    (tmp_path / "gone").rmdir()
    (tmp_path / "kept/new.json").write_text("[1]")
    (tmp_path / "last").mkdir()
    later = time.time_ns() + 2 * SLACK_NS
    with monkeypatch.context() as patched:
        patched.setattr(Files, "entries", _failing_in_last)
        with pytest.raises(BackingError):
            followed.look_for_changes(later)
    changed = followed.look_for_changes(later).changed
    assert {os.path.relpath(path, tmp_path) for path in changed} == {"gone/x.json", "kept/new.json"}


_entries = Files.entries


def _failing_in_last(self: Files, folder: str) -> list[Entry]:
    found = _entries(self, folder)
    if folder == self.root:
        return sorted(found, reverse=True)  # it is looked at from the end
    if folder.endswith("/last"):
        raise BackingError(errno.EMFILE, "cannot list last: Too many open files", folder)
    return found


def test_a_folder_that_is_exchanged_while_events_are_lost_is_found(tmp_path: Path) -> None:
    folder, backup = tmp_path / "data", tmp_path / "backup"
    for where in (folder / "team", folder / "other", backup):
        (where / "deep").mkdir(parents=True)
        for name in ("a", "deep/b"):
            (where / f"{name}.json").write_text("[1]")
    files = Files(str(folder))
    addresses = Addresses(files, Places(files.root, ANYTHING))
    followed = Following(files, addresses, _yes, _nothing)
    followed.look_again(str(folder))
    later = time.time_ns() + 2 * SLACK_NS  # what a file's own times say is of before
    assert not followed.look_for_changes(later).changed
    (folder / "team").rename(tmp_path / "old")
    backup.rename(folder / "team")
    changed = followed.look_for_changes(later).changed
    assert {os.path.relpath(path, folder) for path in changed} == {
        "team/a.json",
        "team/deep/b.json",
    }
    assert not followed.look_for_changes(later).changed


def _yes(_: str) -> bool:
    return True


def _nothing(_: str) -> None:
    return


def test_a_git_file_that_a_stop_has_torn_says_nothing(tmp_path: Path) -> None:
    (tmp_path / ".git").write_bytes(b"gitdir: /x\0\0\0\n")
    assert not is_at_work(Files(str(tmp_path)))


def test_what_git_does_is_over_when_git_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "work" / "data"
    folder.mkdir(parents=True)
    git = tmp_path / "work" / ".git"
    git.mkdir()
    with objstore.open(folder, watch=True) as store, Heard(store) as heard:
        for _ in range(2):
            lock = git / "index.lock"
            lock.touch()
            for name in ("a", "b", "c"):
                replace(folder / f"{name}.json", [os.urandom(4).hex()])
                threading.Event().wait(0.1)
            lock.unlink()
            heard.commit()
            assert heard.units[-1] == ["/a", "/b", "/c"]
            if git.parent != tmp_path:  # a work tree whose .git is a file that says where it lies
                git = git.rename(tmp_path / "elsewhere")
                (tmp_path / "work" / ".git").write_text("gitdir: ../elsewhere\n")
        stale = git / "index.lock"
        stale.touch()
        os.utime(stale, (1, 1))
        replace(folder / "a.json", [1])
        heard.commit()


# What watchdog sees twice of a folder that is made meanwhile; an error would end its thread.
@pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning")
def test_systems_without_inotify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not Linux has watchdog's Observer, which is on Linux as well."""
    monkeypatch.setattr(eyes, "_PLATFORM", "other")
    folder, before = tmp_path / "data", threading.active_count()
    with objstore.open(folder, watch=True) as store, Heard(store) as heard:
        folder.mkdir()
        (folder / "a.json").write_text("[1]")
        heard.until_units({"/a"})
        replace(folder / "a.json", [2])
        heard.until_units({"/a"})
        (folder / "a.json").write_text("[")
        assert heard.invalid().line == 1
        (folder / "a.json").rename(folder / "b.json")
        (folder / "b.json").write_text("[3]")
        heard.until(lambda news: isinstance(news, Commit) and news.changes[-1].unit == "/b")
        (folder / "deep" / "er").mkdir(parents=True)
        (folder / "deep" / "er" / "c.json").write_text("[4]")
        heard.until_units({"/deep/er/c"})
        (folder / "deep").rename(folder / "other")
        heard.until_units({"/deep/er/c", "/other/er/c"})
    assert threading.active_count() <= before


def test_a_folder_that_may_not_be_watched_any_more_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Folders that come later may be too many; the rest is followed."""
    from objstore.backings.filesystem.watching.inotify import Inotify

    original = Inotify.add

    def add(self: Any, folder: str) -> bool:
        if folder.endswith("/many"):
            raise BackingError(errno.ENOSPC, "cannot watch it", folder)
        return original(self, folder)

    monkeypatch.setattr(Inotify, "add", add)
    with objstore.open(tmp_path, watch=True) as store, Heard(store) as heard:
        (tmp_path / "many").mkdir()
        (tmp_path / "a.json").write_text("[1]")
        heard.until_units({"/a"})
        (tmp_path / "many" / "b.json").write_text("[1]")
        assert store["many/b"] == [1]
    assert "changes there are noticed only when they are met" in caplog.text


def test_a_git_folder_that_becomes_a_file_ends_no_watch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at ``.git`` and the one at what is in it."""

    def unread(_files: Files, path: str) -> str:
        return path

    (tmp_path / ".git").write_text("gitdir: elsewhere")
    monkeypatch.setattr("objstore.backings.filesystem.git._led", unread)
    assert not is_at_work(Files(str(tmp_path)))
