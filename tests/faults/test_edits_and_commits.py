"""An edit is what no commit made: a file that another process is about to write is none."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from pathlib import Path
from threading import Thread

import pytest

from objstore.backings.filesystem import later, names
from objstore.backings.filesystem.documents import FilesystemDocuments
from objstore.backings.filesystem.history import ledger
from objstore.backings.filesystem.history.record import decode
from objstore.backings.filesystem.history.traces import Trace
from objstore.backings.filesystem.io import Files
from objstore.backings.filesystem.log.commitlog import CommitLog
from objstore.backings.filesystem.settling import Settling, Verdict
from objstore.documents import Change, Commit, Loaded
from objstore.errors import ConflictError, ObjstoreError
from objstore.layout import ANYTHING
from objstore.retention import Retention
from objstore.values import JSON, MISSING, Missing
from tests.folders import tree


class Amid(Files):
    """Does something amid a commit."""

    __slots__ = ("step",)

    def __init__(self, root: Path) -> None:
        super().__init__(str(root))
        self.step: Callable[[], object] = lambda: None

    def reached(self, point: str, path: str) -> None:
        if point == "sync data":  # the record is there, and the lock is anybody's
            self.step()


def let_go(made: Commit) -> AbstractContextManager[None]:
    """As who has other threads; else the lock is kept until the files are written."""
    return nullcontext()


def fits(unit: str, found: Loaded | ObjstoreError) -> bool:
    return not isinstance(found, ObjstoreError)


@pytest.mark.parametrize("count", [1, 3])
def test_files_that_are_about_to_be_written_are_no_edits(tmp_path: Path, count: int) -> None:
    files = Amid(tmp_path)
    writer = FilesystemDocuments(files, ANYTHING)
    other = FilesystemDocuments(Files(str(tmp_path), sync=False), ANYTHING)
    units = [f"/u{number}" for number in range(count)]
    entered: list[Commit | None] = []
    threads: list[Thread] = []

    def enter() -> None:
        entered.append(other.commit_external([*units, "/by-hand"], fits))

    def look() -> None:
        """Have the other one look, for as long as it takes if it need not wait for this commit."""
        thread = Thread(target=enter)
        thread.start()
        threads.append(thread)
        thread.join(0.1)

    for n in range(3):
        files.step = look if n else lambda: None
        changes = [
            Change(unit, *writer.load(unit)[:1], [n], writer.load(unit).stamp) for unit in units
        ]
        writer.commit(changes, base=writer.head(), waiting=let_go)
    for thread in threads:
        thread.join()
    assert threads
    assert entered == [None] * len(entered)
    assert [commit.external for commit in writer.commits()] == [False] * 3
    assert [other.load(unit).value for unit in units] == [[2]] * count
    (tmp_path / "by-hand.json").write_text("[1]")
    commit = other.commit_external([*units, "/by-hand"], fits)
    assert commit is not None
    assert [change.unit for change in commit.changes] == ["/by-hand"]
    writer.close()
    other.close()


def _look_for_edits(other: FilesystemDocuments) -> None:
    assert other.commit_external(["/a"], fits) is None


def _commit_in_vain(other: FilesystemDocuments) -> None:
    with pytest.raises(ConflictError):
        other.commit([Change("/a", [9], [8])], base=0)


@pytest.mark.parametrize("act", [_look_for_edits, _commit_in_vain])
def test_a_file_that_another_wrote_meanwhile_is_shown_as_it_wrote_it(
    tmp_path: Path, act: Callable[[FilesystemDocuments], None]
) -> None:
    files = Amid(tmp_path)
    writer = FilesystemDocuments(files, ANYTHING)
    other = FilesystemDocuments(Files(str(tmp_path), sync=False), ANYTHING)
    for number in range(3):
        files.step = (lambda: act(other)) if number == 1 else (lambda: None)
        loaded = writer.load("/a")
        change = Change("/a", loaded.value, [number], loaded.stamp)
        writer.commit([change], base=0, waiting=let_go)
    assert other.load("/a").value == [2]
    writer.close()
    other.close()


@pytest.mark.parametrize("lazy", [False, True])
def test_changes_of_others_do_not_pile_up_while_one_pauses(tmp_path: Path, lazy: bool) -> None:
    """What others know of each other's files must not wait for one that commits no more."""
    handles = [
        FilesystemDocuments(Files(str(tmp_path), sync=False), ANYTHING, lazy=lazy) for _ in range(3)
    ]
    paused, *others = handles
    for number in range(200):
        if number == 5:
            paused.commit([Change("/paused", MISSING, [1])], base=0)
            paused.flush()
        for name, one in enumerate(others):
            loaded = one.load(f"/{name}")
            one.commit([Change(f"/{name}", loaded.value, [number], loaded.stamp)], base=0)
            one.flush()
    for record in CommitLog(Files(str(tmp_path))).records(after=200):
        done = decode(record.payload, record.position.generation).done
        assert done is None or done > record.number - 100
    for one in handles:
        assert [one.load(unit).value for unit in ("/0", "/1")] == [[199], [199]]
        one.close()


def test_an_edit_that_was_entered_has_the_stamp_of_its_file(tmp_path: Path) -> None:
    documents = FilesystemDocuments(Files(str(tmp_path), sync=False), ANYTHING)
    (tmp_path / "a.json").write_text("[1]")
    commit = documents.commit_external(["/a"], fits)
    assert commit is not None
    stamp = commit.changes[0].stamp
    assert documents.look("/a", stamp) is stamp
    documents.commit([Change("/a", [1], [2], stamp)], base=commit.number)
    (tmp_path / "a.json").unlink()
    gone = documents.commit_external(["/a"], fits)
    assert gone is not None
    assert gone.changes[0].stamp is None
    documents.close()


@pytest.mark.parametrize("is_removed", [False, True])
def test_flush_writes_what_others_have_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_removed: bool
) -> None:
    """Else a file that is removed by hand behind it would be taken for one yet to be made."""
    monkeypatch.setattr(later, "_DELAY", 10**6)
    gone = FilesystemDocuments(Files(str(tmp_path)), ANYTHING, lazy=True)  # as killed: not closed
    other = FilesystemDocuments(Files(str(tmp_path)), ANYTHING)
    gone.commit([Change("/a", MISSING, [1])], base=0)
    path = tmp_path / "a.json"
    assert not path.exists()
    assert other.load("/a").value == [1]
    other.flush()
    assert json.loads(path.read_text()) == [1]
    if is_removed:
        path.unlink()
        assert other.look("/a") is None
    other.close()
    assert path.exists() is not is_removed
    other = FilesystemDocuments(Files(str(tmp_path)), ANYTHING, readonly=True)
    other.flush()
    assert other.read("/a") == (MISSING if is_removed else [1])
    other.close()


def _lost_and_found(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in (folder / ".objstore" / "lost+found").glob("*")]


def _commit(documents: FilesystemDocuments, value: JSON | Missing, unit: str = "/a") -> None:
    loaded = documents.load(unit)
    documents.commit([Change(unit, loaded.value, value, loaded.stamp)], base=documents.head())


@pytest.mark.parametrize("value", [[3], MISSING], ids=["set", "deleted"])
def test_an_edit_that_a_killed_process_has_taken_out_is_kept(
    tmp_path: Path, value: JSON | Missing
) -> None:
    """It died between the swap and the look at what had come out of it."""
    documents = FilesystemDocuments(Files(str(tmp_path)), ANYTHING)
    _commit(documents, [1])
    _commit(documents, [2])
    taken = Path(names.temporary_path(str(tmp_path / "a.json")))
    taken.write_text('["by hand"]')
    _commit(documents, value)
    assert _lost_and_found(tmp_path) == [b'["by hand"]']
    assert not taken.exists()
    assert documents.load("/a").value == value
    documents.close()


@pytest.mark.parametrize("name", ["a.json", "a.yaml"])
def test_an_edit_that_another_process_has_taken_out_is_kept_where_nothing_is_left_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(later, "_DELAY", 10**6)
    path = tmp_path / name
    path.write_text("[0]")
    lazy = FilesystemDocuments(Files(str(tmp_path)), ANYTHING, lazy=True)
    _commit(lazy, [1])
    other = FilesystemDocuments(Files(str(tmp_path)), ANYTHING)
    other.flush()  # and dies before it has looked at what came out
    assert "1" in path.read_text()
    taken = Path(names.temporary_path(str(path)))
    taken.write_text("[by hand]")
    lazy.flush()
    _commit(lazy, [2])
    lazy.flush()
    assert _lost_and_found(tmp_path) == [b"[by hand]"]
    assert not taken.exists()
    lazy.close()
    other.close()


@pytest.mark.parametrize("lazy", [False, True])
def test_what_the_log_has_is_not_kept(tmp_path: Path, lazy: bool) -> None:
    """Neither an earlier state of the file, nor one that was ready and superseded, nor nothing."""
    documents = FilesystemDocuments(Files(str(tmp_path)), ANYTHING, lazy=lazy)
    path = tmp_path / "a.yaml"
    path.write_text("n: 0\n")
    for number in range(5):
        _commit(documents, {"n": number + 1})
    documents.flush()
    for text in ("n: 2\n", ""):
        Path(names.temporary_path(str(path))).write_text(text)
        _commit(documents, {"n": text})
    documents.flush()
    assert _lost_and_found(tmp_path) == []
    documents.close()


def test_what_another_process_has_written_meanwhile_is_deleted_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file was to be made, and now is not to be: but it is there by then."""
    monkeypatch.setattr(later, "_DELAY", 10**6)
    lazy = FilesystemDocuments(Files(str(tmp_path)), ANYTHING, lazy=True)
    other = FilesystemDocuments(Files(str(tmp_path)), ANYTHING)
    _commit(lazy, [1])
    other.flush()
    assert (tmp_path / "a.json").exists()
    lazy.commit([Change("/a", [1], MISSING, lazy.look("/a"))], base=lazy.head())
    lazy.flush()
    assert not (tmp_path / "a.json").exists()
    assert lazy.load("/a").value is MISSING
    lazy.close()
    other.close()
    assert not (tmp_path / "a.json").exists()


def test_a_file_made_by_hand_where_one_came_and_went_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(later, "_DELAY", 10**6)
    lazy = FilesystemDocuments(Files(str(tmp_path)), ANYTHING, lazy=True)
    _commit(lazy, [1])
    _commit(lazy, MISSING)
    (tmp_path / "a.json").write_text('["by hand"]')
    lazy.flush()
    assert (tmp_path / "a.json").read_text() == '["by hand"]'
    assert [commit.external for commit in lazy.commits()] == [False, False, True]
    lazy.close()


@pytest.mark.parametrize("another", ["nobody", "one that lives on", "one that is dead"])
def test_what_comes_and_goes_before_it_is_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, another: str
) -> None:
    monkeypatch.setattr(later, "_DELAY", 10**6)
    first = FilesystemDocuments(Files(str(tmp_path)), ANYTHING, lazy=True)
    first.commit([Change("/b/c/a", MISSING, [1])], base=0)
    second = first
    if another != "nobody":
        second = FilesystemDocuments(Files(str(tmp_path)), ANYTHING, lazy=True)
    loaded = second.load("/b/c/a")
    second.commit([Change("/b/c/a", loaded.value, MISSING, loaded.stamp)], base=1)
    if another == "one that lives on":
        first.flush()
        first.close()
    second.flush()
    second.close()
    assert [path.name for path in tmp_path.iterdir()] == [".objstore"]
    assert _lost_and_found(tmp_path) == []


@pytest.mark.parametrize("name", ["a.json", "a.yaml"])
def test_what_is_changed_back_before_it_is_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(later, "_DELAY", 10**6)
    (tmp_path / name).write_text("n: 0\n" if name == "a.yaml" else '{"n": 0}')
    lazy = FilesystemDocuments(Files(str(tmp_path)), ANYTHING, lazy=True)
    _commit(lazy, {"n": 1})
    _commit(lazy, {"n": 0})
    lazy.flush()
    lazy.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".objstore", name]


def _commit_in_turn(folder: Path, lazy: bool) -> list[FilesystemDocuments]:
    """Two handles, each of which has always something of the other's to wait for."""
    both = [FilesystemDocuments(Files(str(folder)), ANYTHING, lazy=lazy) for _ in range(2)]
    for number in range(6):
        for name, documents in zip("ab", both, strict=True):
            loaded = documents.load(f"/{name}")
            change = Change(f"/{name}", loaded.value, [number, "x" * 600], loaded.stamp)
            documents.commit([change], base=documents.head())
    return both


@pytest.mark.parametrize("lazy", [False, True])
def test_what_is_whole_is_not_taken_for_torn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lazy: bool
) -> None:
    monkeypatch.setattr(later, "_DELAY", 10**6)
    both = _commit_in_turn(tmp_path, lazy)
    for documents in both:
        documents.flush()
    Path(names.boot(str(tmp_path))).unlink(missing_ok=True)  # as after the machine stopped
    third = FilesystemDocuments(Files(str(tmp_path)), ANYTHING)
    assert third.check() == []
    third.commit([Change("/c", MISSING, [1])], base=third.head())
    assert _lost_and_found(tmp_path) == []
    for documents in (third, *both):
        documents.close()


@pytest.mark.parametrize("lazy", [False, True])
def test_a_broken_edit_is_left_alone_while_others_are_about_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lazy: bool
) -> None:
    """The machine has not stopped, so that somebody may be amid writing it."""
    monkeypatch.setattr(later, "_DELAY", 10**6)
    both = _commit_in_turn(tmp_path, lazy)
    for documents in both:
        documents.flush()
    (tmp_path / "a.json").write_text('["half an edi')
    third = FilesystemDocuments(Files(str(tmp_path)), ANYTHING)
    third.commit([Change("/c", MISSING, [1])], base=third.head())
    assert (tmp_path / "a.json").read_text() == '["half an edi'
    for documents in (third, *both):
        documents.close()


@pytest.mark.parametrize(
    ("step", "before", "after", "edit", "left"),
    [
        ("exchange", {"n": 1}, {"n": 2}, {"n": 1, "m": 1}, {"n": 2, "m": 1}),
        ("exchange", {"n": 1}, {"n": 2}, {"n": 3}, {"n": 3}),
        ("rename", {"n": 1}, MISSING, {"n": 3}, {"n": 3}),
        ("place", MISSING, {"n": 2}, {"n": 3}, {"n": 3}),
    ],
)
def test_an_edit_at_the_last_moment_is_not_overwritten(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    before: JSON | Missing,
    after: JSON | Missing,
    edit: JSON,
    left: JSON,
) -> None:
    """It comes between the last look at the file and the step that would put another there."""
    documents = FilesystemDocuments(Files(str(tmp_path)), ANYTHING)
    path, other = tmp_path / "a.json", tmp_path / "editors"
    if before is not MISSING:
        _commit(documents, before)
    original, edits = getattr(Files, step), [json.dumps(edit)]

    def edited(self: Files, *paths: str) -> object:
        if edits and str(path) in paths:
            other.write_text(edits.pop())
            other.rename(path)
        return original(self, *paths)

    monkeypatch.setattr(Files, step, edited)
    _commit(documents, after)
    assert edits == []
    assert json.loads(path.read_text()) == left == documents.load("/a").value
    newest = list(documents.commits())[-1]
    assert (newest.external, newest.changes[0].new) == (True, left)
    assert [found.name for found in tmp_path.iterdir() if found.name != ".objstore"] == ["a.json"]
    documents.close()


BY_HAND = "# mine\nn:   1 # why\nnames:\n" + "".join(f"- name {n}\n" for n in range(50))


@pytest.mark.parametrize("is_reopened", [False, True])
def test_the_text_of_an_edit_outlives_who_changed_it_and_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_reopened: bool
) -> None:
    monkeypatch.setattr(later, "_DELAY", 10**6)
    monkeypatch.setattr(ledger, "_OFTEN", 1)  # every close writes down the index
    path = tmp_path / "a.yaml"
    path.write_text("[]")
    dying = FilesystemDocuments(Files(str(tmp_path)), ANYTHING, lazy=True)
    value: dict[str, JSON] = {"n": 0, "names": [f"name {n}" for n in range(50)]}
    _commit(dying, value)
    dying.flush()
    path.write_text(BY_HAND)
    assert dying.commit_external(["/a"], fits)
    again = BY_HAND
    if is_reopened:
        dying.switch_and_snapshot()
        _commit(dying, {**value, "n": 5})
        dying.flush()
        path.write_text(again := BY_HAND.replace("mine", "still mine"))
        assert dying.commit_external(["/a"], fits)
        dying.close()
        dying = FilesystemDocuments(Files(str(tmp_path)), ANYTHING, lazy=True)
    for n in (2, 3):
        _commit(dying, {**value, "n": n})
    assert path.read_text() == again
    other = FilesystemDocuments(Files(str(tmp_path)), ANYTHING)
    other.flush()
    assert path.read_text() == again.replace("1 #", "3 #")
    other.close()
    dying.close()


def test_edits_upon_edits_leave_a_log_that_is_whole(tmp_path: Path) -> None:
    documents = FilesystemDocuments(Files(str(tmp_path)), ANYTHING)
    path = tmp_path / "a.json"
    _commit(documents, [0])
    for n in range(1, 20):
        path.write_text(f"[ {n} ]")
        assert documents.commit_external(["/a"], fits)
        if n % 3 == 0:
            _commit(documents, [n, n])
    assert list(documents.check()) == []
    documents.switch_and_snapshot()
    retention = Retention(keep=timedelta(0), every=timedelta(days=1), slots=1)
    documents.pin(5)
    assert documents.compact(retention)
    assert list(documents.check()) == []
    documents.close()


def test_what_was_made_and_deleted_before_it_was_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(later, "_DELAY", 10**6)
    documents = FilesystemDocuments(Files(str(tmp_path)), ANYTHING, lazy=True)
    for unit in ("/a", "/b/c/d"):
        _commit(documents, [1], unit)
        _commit(documents, MISSING, unit)
    documents.flush()
    assert list(documents.check()) == []
    documents.close()
    assert tree(tmp_path) == []
    assert _lost_and_found(tmp_path) == []


def test_what_was_taken_back_before_it_was_written_has_reached_its_file(tmp_path: Path) -> None:
    documents = FilesystemDocuments(Files(str(tmp_path)), ANYTHING, lazy=True)
    for value in ({"n": 0}, {"n": 1}, {"n": 0}):
        _commit(documents, value)
        if value["n"] == 0:
            documents.flush()
    other = FilesystemDocuments(Files(str(tmp_path)), ANYTHING)
    assert list(other.check()) == []
    documents.close()
    other.close()


def test_a_commit_that_comes_as_its_file_is_judged_is_not_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one thread found out of the file is older than what another learned of the log."""
    monkeypatch.setattr(later, "_DELAY", 10**6)
    writer = FilesystemDocuments(Files(str(tmp_path)), ANYTHING, lazy=True)
    reader = FilesystemDocuments(Files(str(tmp_path)), ANYTHING)
    _commit(writer, {"n": 1})
    assert reader.head() == 1
    writer.flush()
    Path(names.written(str(tmp_path))).unlink()  # or nothing is to be found out
    judge, values = Settling.judge, [{"n": 2}]

    def judge_and_learn(self: Settling, unit: str, traces: Sequence[Trace]) -> Verdict:
        verdict = judge(self, unit, traces)
        if values:
            _commit(writer, values.pop())
            assert reader.head() == 2
        return verdict

    monkeypatch.setattr(Settling, "judge", judge_and_learn)
    reader.look("/a")
    assert values == []
    assert reader.commit_external(["/a"], fits) is None
    assert reader.load("/a").value == {"n": 2}
    writer.close()
    reader.close()


def test_what_is_read_as_a_commit_comes_is_not_taken_for_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(later, "_DELAY", 10**6)
    writer = FilesystemDocuments(Files(str(tmp_path)), ANYTHING, lazy=True)
    reader = FilesystemDocuments(Files(str(tmp_path)), ANYTHING)
    _commit(writer, {"n": 1})
    assert reader.head() == 1
    newest, values = ledger.Ledger.newest, [{"n": 2}]

    def read_and_learn(self: ledger.Ledger, unit: str) -> JSON | Missing:
        value = newest(self, unit)
        if values:
            _commit(writer, values.pop())
            assert reader.head() == 2
        return value

    monkeypatch.setattr(ledger.Ledger, "newest", read_and_learn)
    loaded = reader.load("/a")
    assert (values, loaded.value) == ([], {"n": 1})
    assert reader.look("/a", loaded.stamp) is not loaded.stamp
    with pytest.raises(ConflictError):
        reader.commit([Change("/a", {"n": 1}, {"n": 3}, loaded.stamp)], base=1)
    assert reader.load("/a").value == {"n": 2}
    writer.close()
    reader.close()


@pytest.mark.parametrize(("name", "edit"), [("a.toml", b"edit = 1\n"), ("a.kvi", b"edit 1\n")])
def test_an_edit_of_an_empty_file_amid_a_commit_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, edit: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(b"")
    edits = [edit]

    def reached(_: Files, point: str, target: str) -> None:
        if edits and point == "exchange" and target == str(path):
            path.write_bytes(edits.pop())

    monkeypatch.setattr(Files, "reached", reached)
    store = FilesystemDocuments(Files(str(tmp_path), sync=False), ANYTHING)
    loaded = store.load("/a")
    store.commit([Change("/a", loaded.value, {"commit": 2}, loaded.stamp)], base=store.head())
    assert edits == []
    assert store.load("/a").value == {"edit": 1, "commit": 2}
    assert [one.external for one in store.commits()] == [False, True]
    store.close()
