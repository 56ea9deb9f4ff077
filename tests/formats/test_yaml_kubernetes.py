"""YAML: edits of real files by many hands change just the lines of the change."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any, NamedTuple, TypeAlias

import pytest
import yaml

from objstore.errors import FormatError
from objstore.formats import yaml as format_yaml
from objstore.formats.yaml import dump, edit, parse
from objstore.values import is_array, is_object, same
from tests.realdata import kubernetes_files

from .random_edits import copied, identical

FILES = kubernetes_files()
PER_FILE = 6
"""How many places of a file are tried with each kind of change."""

Path_: TypeAlias = tuple[str | int, ...]


class Sample(NamedTuple):
    """A file that parses."""

    name: str
    data: bytes
    contents: Any


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return list(_samples())


def _samples() -> Iterator[Sample]:
    for path in FILES:
        data = path.read_bytes()
        try:
            yield Sample(path.name, data, parse(data, path.name))
        except FormatError:
            continue


@pytest.fixture(autouse=True)
def _by_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where a file would be rendered anew."""
    monkeypatch.setattr(format_yaml, "_by_ruamel", _not_by_spans)


def _not_by_spans(*_: object) -> Iterator[str]:
    yield pytest.fail("not edited by spans")


def places(value: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """All values with their paths, containers before their parts."""
    yield path, value
    parts: Any = ()
    if is_object(value):
        parts = value.items()
    elif is_array(value):
        parts = enumerate(value)
    for key, part in parts:
        yield from places(part, (*path, key))


def some(found: list[Any]) -> list[Any]:
    """A few of them, from all over the file."""
    return found[:: max(1, len(found) // PER_FILE)]


def replaced(value: Any, path: Path_, part: Any) -> Any:
    """A copy with another value at a path, sharing all else."""
    if not path:
        return part
    changed = value.copy()
    changed[path[0]] = replaced(value[path[0]], path[1:], part)
    return changed


def blocks(before: bytes, after: bytes) -> list[tuple[list[str], list[str]]]:
    """The runs of lines that differ: those that went, those that came."""
    old, new = before.decode().splitlines(), after.decode().splitlines()
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    found = [(old[a:b], new[c:d]) for kind, a, b, c, d in matcher.get_opcodes() if kind != "equal"]
    # A last text without a line break says so in its header once something follows it.
    return [change for change in found if change[1] != [f"{line}-" for line in change[0]]]


def edited(sample: Sample, new: Any) -> bytes:
    """The edit, checked to hold the new contents."""
    data = edit(sample.data, sample.contents, new, sample.name)
    assert same(parse(data, sample.name), new), sample.name
    return data


def comments(data: bytes) -> list[str]:
    """What stands behind the ``#`` of comments on lines of their own."""
    lines = (line.strip() for line in data.decode().splitlines())
    return [line for line in lines if line.startswith("#")]


def test_reads_what_pyyaml_reads(samples: list[Sample]) -> None:
    for sample in samples:
        assert identical(sample.contents, yaml.safe_load(sample.data) or {}), sample.name


def test_refuses_the_rest_with_its_place(samples: list[Sample]) -> None:
    rest = [path for path in FILES if path.name not in {sample.name for sample in samples}]
    assert 0 < len(rest) < len(samples)
    for path in rest:
        with pytest.raises(FormatError) as caught:
            parse(path.read_bytes(), path.name)
        assert caught.value.line is not None
        assert caught.value.column is not None
        assert "twice" in caught.value.reason or not _is_readable(path.read_bytes()), path.name


def _is_readable(data: bytes) -> bool:
    try:
        yaml.safe_load(data)
    except yaml.YAMLError:
        return False
    return True


def test_new_files_read_back(samples: list[Sample]) -> None:
    for sample in samples:
        assert identical(parse(dump(sample.contents, sample.name), sample.name), sample.contents)


def test_no_change_of_contents_is_no_change_of_bytes(samples: list[Sample]) -> None:
    for sample in samples:
        same_again = copied(sample.contents)
        assert edit(sample.data, sample.contents, same_again, sample.name) == sample.data


def test_a_changed_scalar_is_a_changed_line(samples: list[Sample]) -> None:
    for sample in samples:
        found = [
            place for place in places(sample.contents) if not isinstance(place[1], dict | list)
        ]
        for path, value in some(found):
            after = edited(sample, replaced(sample.contents, path, _another(value)))
            changes = blocks(sample.data, after)
            assert comments(after) == comments(sample.data)
            assert all(len(gone) <= 1 and len(new) <= 1 for gone, new in changes), sample.name
            assert len(changes) <= (2 if "\n" in str(value) else 1), (sample.name, changes)


def _another(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return f"{value or ''}changed"


def test_an_added_key_is_an_added_line(samples: list[Sample]) -> None:
    for sample in samples:
        found = [x for x in places(sample.contents) if is_object(x[1])]
        for path, value in some(found):
            added = replaced(sample.contents, path, {**value, "added": "new value"})
            after = edited(sample, added)
            assert comments(after) == comments(sample.data)
            [(gone, new)] = blocks(sample.data, after)
            assert _is_line_added(gone, new), (sample.name, path)
            assert "added: new value" in "".join(new)


def _is_line_added(gone: list[str], new: list[str]) -> bool:
    """Or a line is longer, of a flow collection; or something follows what was empty."""
    if not gone:
        return len(new) == 1
    return len(gone) == 1 and (len(new) == 1 or gone[0].rstrip().endswith("{}"))


def test_an_added_item_is_an_added_line(samples: list[Sample]) -> None:
    for sample in samples:
        found = [x for x in places(sample.contents) if is_array(x[1]) and x[1]]
        for path, value in some(found):
            for index in {0, len(value) // 2, len(value)}:
                longer = [*value[:index], "new value", *value[index:]]
                after = edited(sample, replaced(sample.contents, path, longer))
                assert comments(after) == comments(sample.data)
                [(gone, new)] = blocks(sample.data, after)
                assert len(new) == 1, (sample.name, path)
                assert gone == [] or "[" in gone[0], (sample.name, path)


def test_a_removed_entry_takes_just_its_lines(samples: list[Sample]) -> None:
    for sample in samples:
        found = [x for x in places(sample.contents) if x[0]]
        for path, _ in some(found):
            after = edited(sample, _without(sample.contents, path))
            gone = [line for before, _ in blocks(sample.data, after) for line in before]
            new = [line for _, after in blocks(sample.data, after) for line in after]
            assert len(new) <= 1, (sample.name, path)  # where it shared a line with what stays
            lost = [line.strip() for line in gone if line.strip().startswith("#")]
            assert sorted(comments(after) + lost) == sorted(comments(sample.data))
            assert len(lost) < len(gone)


def _without(value: Any, path: Path_) -> Any:
    changed = value.copy()
    if len(path) == 1:
        del changed[path[0]]
    else:
        changed[path[0]] = _without(value[path[0]], path[1:])
    return changed


def test_comments_outlive_a_change_of_everything(samples: list[Sample]) -> None:
    for sample in samples:
        after = edited(sample, _all_changed(sample.contents))
        assert comments(after) == comments(sample.data)


def _all_changed(value: Any) -> Any:
    if is_object(value):
        return {key: _all_changed(part) for key, part in value.items()} | {"added": [1]}
    if is_array(value):
        return [_all_changed(part) for part in value] + ["added"]
    return _another(value)
