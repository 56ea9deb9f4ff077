"""JSON files that people keep: one change of contents is one change of lines, in every file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any, NamedTuple

import orjson
import pytest

from objstore.formats import json as format_json
from objstore.formats.json import edit, parse
from tests.realdata import caniuse_files

from .random_edits import copied, identical

FILES = [(path.name, path.read_bytes()) for path in caniuse_files()]


class Edit(NamedTuple):
    """A change of contents, and the lines that it is to take away and to bring."""

    name: str
    new: dict[str, Any]
    removed: list[str]
    added: list[str]


def scalars(value: dict[str, Any]) -> Iterator[Edit]:
    browser, versions = next(iter(value["stats"].items()))
    version, support = next(reversed(versions.items()))

    def with_versions(new: dict[str, Any]) -> dict[str, Any]:
        return {**value, "stats": {**value["stats"], browser: new}}

    yield Edit(
        "change at the top",
        {**value, "shown": "no"},
        [f'"shown":{str(value["shown"]).lower()}'],
        ['"shown":"no"'],
    )
    yield Edit("add at the top", {**value, "new": 1.5}, [], ['"new":1.5'])
    yield Edit("add first", {"new": None, **value}, [], ['"new":null'])
    yield Edit(
        "change deep",
        with_versions({**versions, version: "y #9"}),
        [f'"{version}":"{support}"'],
        [f'"{version}":"y #9"'],
    )
    yield Edit("add deep", with_versions({**versions, "999": "n"}), [], ['"999":"n"'])
    yield Edit(
        "remove the last deep",
        with_versions({key: part for key, part in versions.items() if key != version}),
        [f'"{version}":"{support}"'],
        [],
    )
    yield Edit(
        "remove the last and change the one before",
        {key: "?" if key == "chrome_id" else part for key, part in value.items() if key != "shown"},
        [f'"shown":{str(value["shown"]).lower()}', f'"chrome_id":"{value["chrome_id"]}"'],
        ['"chrome_id":"?"'],
    )


def lists(value: dict[str, Any]) -> Iterator[Edit]:
    categories = value["categories"]
    first = f'"{categories[0]}"'
    for name, new, removed, added in [
        ("append", [*categories, "New"], [], ['"New"']),
        ("insert", ["New", *categories], [], ['"New"']),
        ("change", ["New", *categories[1:]], [first], ['"New"']),
        ("replace", ["New"], [f'"{name}"' for name in categories], ['"New"']),
        ("twice", [*categories, *categories], [], [f'"{name}"' for name in categories]),
    ]:
        yield Edit(f"{name} an element", {**value, "categories": new}, removed, added)
    if value["bugs"] == []:
        yield Edit("fill", {**value, "bugs": ["x", "y"]}, [""], ['"x"', '"y"'])


def objects(value: dict[str, Any]) -> Iterator[Edit]:
    links = value["links"]
    link = {"url": "u", "title": "t"}
    lines = ["{", '"url":"u"', '"title":"t"', "}"]
    if links:
        yield Edit("insert an object", {**value, "links": [link, *links]}, [], lines)
        yield Edit("append an object", {**value, "links": [*links, link]}, [], lines)
    for index in {0, len(links) - 1} if links else set[int]():
        others = [*links[:index], *links[index + 1 :]]
        changed = [*links[:index], {**links[index], "url": "u"}, *links[index + 1 :]]
        old = text_of(links[index])
        yield Edit(f"change object {index}", {**value, "links": changed}, [old[1]], ['"url":"u"'])
        if others:
            yield Edit(f"remove object {index}", {**value, "links": others}, old, [])
        if len(others) > 1:
            both = [*others[:-1], {**others[-1], "new": 1}]
            name = f"remove object {index} and change another"
            yield Edit(name, {**value, "links": both}, old, ['"new":1'])


def text_of(link: dict[str, Any]) -> list[str]:
    return ["{", *(f"{json.dumps(key)}:{json.dumps(part)}" for key, part in link.items()), "}"]


def line_diff(before: bytes, after: bytes) -> tuple[list[str], list[str]]:
    """The lines that are gone and those that are new, by difflib on where the texts differ."""
    old, new = before.decode().split("\n"), after.decode().split("\n")
    head = shared(old, new)
    tail = shared(old[head:][::-1], new[head:][::-1])
    old, new = old[head : len(old) - tail], new[head : len(new) - tail]
    removed: list[str] = []
    added: list[str] = []
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            removed += old[i1:i2]
            added += new[j1:j2]
    return removed, added


def shared(old: list[str], new: list[str]) -> int:
    """How many lines at the start are the same."""
    shorter = min(len(old), len(new))
    return next((n for n in range(shorter) if old[n] != new[n]), shorter)


def plain(lines: list[str]) -> Counter[str]:
    """Lines without their indentation, and without the comma that their place asks for."""
    return Counter(line.strip().removesuffix(",") for line in lines)


@pytest.fixture(autouse=True)
def _without_writing_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(format_json, "rewrite_text")
    monkeypatch.delattr(format_json, "_is_read_as")


@pytest.mark.parametrize("edits", [scalars, lists, objects])
def test_a_change_of_contents_is_the_change_of_its_lines(edits: Any) -> None:
    for name, data in FILES:
        value: Any = parse(data, name)
        for change in edits(value):
            result = edit(data, value, change.new, name)
            where = f"{name}: {change.name}"
            assert orjson.dumps(orjson.loads(result)) == orjson.dumps(change.new), where
            removed, added = line_diff(data, result)
            kept = plain(removed) & plain(added)
            assert plain(removed) - kept == Counter(change.removed), where
            assert plain(added) - kept == Counter(change.added), where
            # The one before, whose comma comes or goes; by name, for a diff may be shifted.
            assert kept.total() <= 1, where


def test_no_change_of_contents_is_no_change_of_bytes() -> None:
    for name, data in FILES:
        value = parse(data, name)
        assert edit(data, value, value, name) == data
        assert edit(data, value, copied(value), name) == data


def test_entries_in_another_order_keep_their_lines() -> None:
    for name, data in FILES:
        value: Any = parse(data, name)
        new = dict(sorted(value.items())) | {"stats": dict(sorted(value["stats"].items()))}
        result = edit(data, value, new, name)
        assert identical(parse(result, name), new)
        assert plain(result.decode().split("\n")) == plain(data.decode().split("\n"))
        assert edit(result, new, value, name) == data
