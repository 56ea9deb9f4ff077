"""Edits of files that commits had not reached yet: they and the commits are both kept, once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from objstore.backings.filesystem import names, recovery
from objstore.backings.filesystem.contents import parse, render
from objstore.backings.filesystem.documents import FilesystemDocuments
from objstore.backings.filesystem.io import Files
from objstore.documents import Change, Commit, Loaded
from objstore.errors import ConflictError, FormatError, ObjstoreError
from objstore.layout import ANYTHING
from objstore.values import JSON, MISSING, Missing


@pytest.fixture(params=[".json", ".yaml", ".toml", ".kvi"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The file of /a, in each format."""
    path = tmp_path / f"a{request.param}"
    _replaced(path, {})
    return path


def fits(unit: str, found: Loaded | ObjstoreError) -> bool:
    return not isinstance(found, ObjstoreError)


def _committed(documents: FilesystemDocuments, *values: JSON | Missing) -> None:
    for value in values:
        loaded = documents.load("/a")
        documents.commit([Change("/a", loaded.value, value, loaded.stamp)], base=0)


def _replaced(path: Path, value: JSON) -> None:
    """As editors save: what they make of what they read earlier."""
    path.with_name("new").write_bytes(render(None, MISSING, value, path.name))
    path.with_name("new").rename(path)


def _held(path: Path) -> JSON:
    return parse(path.read_bytes(), path.name)


def _others_unit(other: FilesystemDocuments) -> None:
    other.commit([Change("/other", MISSING, [1])], base=0)


def _same_unit(other: FilesystemDocuments) -> None:
    loaded = other.load("/a")
    with pytest.raises(ConflictError):  # what was read is not a commit's
        other.commit([Change("/a", loaded.value, {"k": 1}, loaded.stamp)], base=0)


def _looks(other: FilesystemDocuments) -> None:
    other.commit_external(["/a"], fits)


def _reads(other: FilesystemDocuments) -> None:
    other.refresh()
    known = other.load("/a").stamp
    assert other.look("/a", known) is known


TOGETHER = {"l": [1, "edited", "committed"], "n": 1, "m": 5}


@pytest.mark.parametrize("is_new", [False, True])
@pytest.mark.parametrize("is_killed", [False, True])
@pytest.mark.parametrize(
    "act", [_reads, _others_unit, _same_unit, _looks, FilesystemDocuments.flush]
)
def test_an_edit_of_a_file_that_commits_had_not_reached_takes_none_of_them_back(
    file: Path,
    tmp_path: Path,
    act: Callable[[FilesystemDocuments], None],
    is_killed: bool,
    is_new: bool,
) -> None:
    other = FilesystemDocuments(Files(str(tmp_path)), ANYTHING)
    _committed(other, {"l": []}, {"l": [1], "n": 0, "m": 0})
    late = FilesystemDocuments(Files(str(tmp_path)), ANYTHING, lazy=True)
    _committed(late, {"l": [1, "committed"], "n": 0, "m": 0})
    _committed(late, {"l": [1, "committed"], "n": 1, "m": 0})
    late._engine.committer._later.stop()
    _replaced(file, {"l": [1, "edited"], "n": 0, "m": 5})
    if is_new:  # and has settled nothing so far
        other = FilesystemDocuments(Files(str(tmp_path)), ANYTHING)
    act(other)
    assert other.load("/a").value == TOGETHER
    other.close()
    if not is_killed:
        late.close()
    last = FilesystemDocuments(Files(str(tmp_path)), ANYTHING)
    last.flush()
    assert last.load("/a").value == TOGETHER == _held(file)
    assert [commit.external for commit in last.commits(0, "/a")] == [False] * 4 + [True]
    assert last.check() == []
    last.close()


def test_a_commit_whose_file_another_has_written_is_in_it_once(file: Path, tmp_path: Path) -> None:
    first = FilesystemDocuments(Files(str(tmp_path)), ANYTHING)
    _committed(first, {"l": [1]})
    late = FilesystemDocuments(Files(str(tmp_path)), ANYTHING, lazy=True)
    _committed(late, {"l": [1, 2]})
    late._engine.committer._later.stop()
    _others_unit(first)  # and sees to what is behind
    assert _held(file) == {"l": [1, 2]}
    file.write_bytes(file.read_bytes() + b"\n")  # in bytes of its own
    late.flush()
    assert late.load("/a").value == {"l": [1, 2]}
    assert [commit.external for commit in late.commits()] == [False] * 3
    first.close()
    late.close()


def test_an_edit_of_a_commit_that_another_has_written_is_on_top_of_it(
    file: Path, tmp_path: Path
) -> None:
    first = FilesystemDocuments(Files(str(tmp_path)), ANYTHING)
    _committed(first, {"l": [1]})
    late = FilesystemDocuments(Files(str(tmp_path)), ANYTHING, lazy=True)
    _committed(late, {"l": [1, 2]}, {"l": [1, 2, 3]})
    late._engine.committer._later.stop()
    _others_unit(first)
    _replaced(file, {"l": [1, 2, 3, 4]})
    late.flush()
    assert late.load("/a").value == {"l": [1, 2, 3, 4]}
    assert [commit.external for commit in late.commits(0, "/a")] == [False] * 3 + [True]
    first.close()
    late.close()


def test_an_edit_that_says_a_part_of_what_was_committed_is_none(file: Path, tmp_path: Path) -> None:
    late = FilesystemDocuments(Files(str(tmp_path)), ANYTHING, lazy=True)
    _committed(late, {"a": 1, "b": 1, "c": 1})
    late.flush()
    _committed(late, {"a": 2, "b": 2, "c": 2})
    late._engine.committer._later.stop()
    _replaced(file, {"a": 2, "b": 1, "c": 1})
    other = FilesystemDocuments(Files(str(tmp_path)), ANYTHING)
    _others_unit(other)
    assert _held(file) == {"a": 2, "b": 2, "c": 2}
    assert not any(commit.external for commit in other.commits())
    other.close()
    late.close()


def test_an_edit_that_misfits_with_what_it_lacks_is_refused(file: Path, tmp_path: Path) -> None:
    other = FilesystemDocuments(Files(str(tmp_path)), ANYTHING)
    _committed(other, {"l": []}, {"l": [1]})
    late = FilesystemDocuments(Files(str(tmp_path)), ANYTHING, lazy=True)
    _committed(late, {"l": [1, 2]})
    late._engine.committer._later.stop()
    _replaced(file, {"l": [1, 3]})
    judged: list[JSON | Missing] = []

    def refuse(unit: str, found: Loaded | ObjstoreError) -> bool:
        assert isinstance(found, Loaded)
        judged.append(found.value)
        return False

    assert other.commit_external(["/a"], refuse) is None
    assert judged == [{"l": [1, 3, 2]}]
    assert _held(file) == {"l": [1, 3]}
    other.close()
    late.close()


def test_an_edit_that_no_file_can_hold_with_what_it_lacks_stands_alone(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = FilesystemDocuments(Files(str(tmp_path)), ANYTHING, lazy=True)
    _committed(late, {"l": [1]})
    late.flush()
    _committed(late, {"l": [1, 2]})
    late._engine.committer._later.stop()
    _replaced(file, {"l": [1, 3]})

    def refuse(*_: object) -> bytes:
        raise FormatError("no", source=file.name)

    with monkeypatch.context() as patched:
        patched.setattr(recovery, "render", refuse)
        other = FilesystemDocuments(Files(str(tmp_path)), ANYTHING)
        _others_unit(other)
    assert other.load("/a").value == {"l": [1, 3]} == _held(file)
    assert other.load("/a", at=2).value == {"l": [1, 2]}
    other.close()
    late.close()
    assert FilesystemDocuments(Files(str(tmp_path)), ANYTHING).check() == []


@pytest.mark.parametrize("edit", [[1, "edited"], [1, "e" * 200]])
def test_who_dies_before_an_edit_and_what_it_lacks_are_in_the_file_leaves_it_to_the_next(
    file: Path, tmp_path: Path, edit: list[JSON]
) -> None:
    late = FilesystemDocuments(Files(str(tmp_path)), ANYTHING, lazy=True)
    _committed(late, {"l": [1]})
    late.flush()
    _committed(late, {"l": [1, "committed"]})
    late._engine.committer._later.stop()
    _replaced(file, {"l": edit})
    dies = FilesystemDocuments(Files(str(tmp_path)), ANYTHING, lazy=True)
    _others_unit(dies)
    dies._engine.committer._later.stop()
    assert _held(file) == {"l": edit}
    last = FilesystemDocuments(Files(str(tmp_path)), ANYTHING)
    assert last.load("/a").value == {"l": [*edit, "committed"]}
    last.flush()
    assert _held(file) == {"l": [*edit, "committed"]}
    assert [commit.external for commit in last.commits(0, "/a")] == [False, False, True]
    assert last.check() == []
    last.close()


@pytest.mark.parametrize("is_known", [False, True])
def test_an_edit_upon_an_edit_before_either_is_in_the_file(
    file: Path, tmp_path: Path, is_known: bool
) -> None:
    late = FilesystemDocuments(Files(str(tmp_path)), ANYTHING, lazy=True)
    _committed(late, {"l": [1], "m": []})
    late.flush()
    _committed(late, {"l": [1, "committed"], "m": []})
    late._engine.committer._later.stop()
    _replaced(file, {"l": [1, "edited"], "m": ["a long edit"]})
    dies = FilesystemDocuments(Files(str(tmp_path)), ANYTHING, lazy=True)
    _others_unit(dies)
    dies._engine.committer._later.stop()
    _replaced(file, {"l": [1, "edited", "more"], "m": ["a long edit", 2]})
    last = dies if is_known else FilesystemDocuments(Files(str(tmp_path)), ANYTHING)
    last.flush()
    expected = {"l": [1, "edited", "more", "committed"], "m": ["a long edit", 2]}
    found = last.load("/a").value
    assert isinstance(found, dict)
    assert sorted(map(str, found["l"])) == sorted(map(str, expected["l"]))
    assert found["m"] == expected["m"]
    assert _held(file) == found
    assert [commit.external for commit in last.commits(0, "/a")] == [False, False, True, True]
    assert last.check() == []
    last.close()


def test_an_edit_upon_an_edit_of_what_was_empty(file: Path, tmp_path: Path) -> None:
    """Where the patch from the first is longer than the one from what it was made of."""
    late = FilesystemDocuments(Files(str(tmp_path)), ANYTHING, lazy=True)
    _committed(late, {"l": [1], "m": []})
    late.flush()
    _committed(late, {"l": [1, "committed"], "m": []})
    late._engine.committer._later.stop()
    _replaced(file, {"l": [1], "m": ["e"]})
    dies = FilesystemDocuments(Files(str(tmp_path)), ANYTHING, lazy=True)
    _others_unit(dies)
    dies._engine.committer._later.stop()
    _replaced(file, {"l": [1], "m": ["e", "f", "g"]})
    last = FilesystemDocuments(Files(str(tmp_path)), ANYTHING)
    last.flush()
    assert last.load("/a").value == {"l": [1, "committed"], "m": ["e", "f", "g"]} == _held(file)
    last.close()
    dies.close()
    late.close()


@pytest.mark.parametrize("spoil", ["", "nothing", "another 9\n", "9\n"])
def test_what_was_written_and_is_set_back_by_hand_stays_so(
    file: Path, tmp_path: Path, spoil: str
) -> None:
    late = FilesystemDocuments(Files(str(tmp_path)), ANYTHING, lazy=True)
    _committed(late, {"n": 0, "m": 0}, {"n": 1, "m": 0})
    late._engine.committer._later.stop()
    late._engine.committer.apply()  # as half a second later
    by_hand: JSON = {"n": 0, "m": 5}
    _replaced(file, by_hand)
    if spoil:
        Path(names.written(str(tmp_path))).write_text(spoil)
    last = FilesystemDocuments(Files(str(tmp_path)), ANYTHING)
    assert last.load("/a").value == ({"n": 1, "m": 5} if spoil else by_hand)
    last.flush()
    assert last.load("/a").value == _held(file)
    last.close()


def test_where_it_cannot_be_written_down_commits_go_on(tmp_path: Path) -> None:
    late = FilesystemDocuments(Files(str(tmp_path)), ANYTHING, lazy=True)
    _committed(late, {"n": 0})
    Path(names.written(str(tmp_path))).mkdir()
    late.flush()
    assert _held(tmp_path / "a.json") == {"n": 0}
    assert [one.source for one in late.check()] == [".objstore/written"]
    Path(names.written(str(tmp_path))).rmdir()
    late.close()


def test_after_the_machine_stopped_what_was_written_down_is_no_more_than_a_name(
    tmp_path: Path,
) -> None:
    late = FilesystemDocuments(Files(str(tmp_path)), ANYTHING, lazy=True)
    _committed(late, {"n": 0})
    late.flush()
    mark = Path(names.written(str(tmp_path))).read_text()
    Path(names.boot(str(tmp_path))).write_text("another run")
    (tmp_path / "a.json").unlink()  # as the machine may have lost it
    other = FilesystemDocuments(Files(str(tmp_path)), ANYTHING)
    assert other.load("/a").value == {"n": 0}
    _others_unit(other)
    assert _held(tmp_path / "a.json") == {"n": 0}
    assert Path(names.written(str(tmp_path))).read_text() != mark
    other.close()


def _let_go(_: Commit) -> AbstractContextManager[None]:
    """As who has other threads; else the lock is kept until the files are written."""
    return nullcontext()


def test_an_edit_of_what_an_eager_commit_is_about_to_write_takes_nothing_back(
    file: Path, tmp_path: Path
) -> None:
    """Saved between its record and its file, and entered by somebody else."""
    other = FilesystemDocuments(Files(str(tmp_path)), ANYTHING)
    is_amid = False

    class Amid(Files):
        def reached(self, point: str, path: str) -> None:
            nonlocal is_amid
            if point == "sync data" and is_amid:
                is_amid = False
                _replaced(file, {"n": 0, "e": 1})
                other.head()
                other.commit_external(["/a"], fits)

    eager = FilesystemDocuments(Amid(str(tmp_path)), ANYTHING)
    _replaced(file, {"n": 0})
    _others_unit(eager)
    loaded = eager.load("/a")
    is_amid = True
    eager.commit([Change("/a", loaded.value, {"n": 1}, loaded.stamp)], base=0, waiting=_let_go)
    assert [commit.external for commit in other.commits()] == [False, False, True]
    for one in (eager, other):
        one.head()
        assert one.load("/a").value == {"n": 1, "e": 1}
    other.flush()
    assert _held(file) == {"n": 1, "e": 1}
    assert [*other.check()] == []
    eager.close()
    other.close()
