"""Objects as values against dicts and lists (lines 8 and 11).

A tree of plain containers is changed as a store is, by references to its containers, each of which
is copied as it is assigned. What is assigned is to be the same in both, whatever was replaced,
removed or moved since it was got: in files, in what is within them, and in directories.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pytest

import objstore
from objstore import Dict, Directory, Store

Steps: TypeAlias = tuple[Any, ...]
_KEYS = ["a", "b", "c"]


class Held(NamedTuple):
    """An Object that is held, and what it is in the plain tree."""

    one: Any
    plain: Any
    depth: int

    @property
    def is_dict(self) -> bool:
        return isinstance(self.plain, dict)


class _UndoneError(Exception):
    """Ends a transaction that is to be taken back."""


class Model:
    def __init__(self, store: Store[Any], seed: int, files: int) -> None:
        self.store: Any = store
        self.files = files
        """How many keys lead from the root to a file."""
        self.pick = random.Random(seed)  # noqa: S311 - no secret
        self.plain: dict[str, Any] = {}
        self.held: list[Held] = []

    def require_same(self) -> None:
        assert self.shown(self.store.root.contents) == self.shown(self.plain)
        there = {id(plain) for _, plain in self.containers()}
        for one, plain, depth in self.held:
            if id(plain) in there:
                assert self.shown(one.contents, depth) == self.shown(plain, depth)

    def shown(self, contents: Any, depth: int = 0) -> Any:
        """Contents without directories that have no file."""
        if depth >= self.files:
            return contents
        below = {key: self.shown(value, depth + 1) for key, value in contents.items()}
        return {key: one for key, one in below.items() if one or depth + 1 == self.files}

    def containers(self, plain: Any = None, steps: Steps = ()) -> Iterator[tuple[Steps, Any]]:
        """All that can be got, with the way to it."""
        plain = plain if steps else self.plain
        if not steps or len(steps) >= self.files or self.shown(plain, len(steps)):
            yield steps, plain
        for key, value in _items(plain):
            if isinstance(value, dict | list):
                yield from self.containers(value, (*steps, key))

    def get(self, steps: Steps) -> Held:
        """A container, got anew from the root."""
        one, plain = self.store.root, self.plain
        for depth, key in enumerate(steps, 1):
            one, plain = one[key], plain[key]
            if depth == self.files:  # the Object of a file is the same for everybody
                self.held = [
                    held._replace(plain=plain) if held.one is one else held for held in self.held
                ]
        return Held(one, plain, len(steps))

    def anywhere(self, *, least: int = 0, kind: Any = object) -> Held | None:
        """A container to change: by an Object that is held, if there is one, or got anew."""
        found = [
            (steps, plain)
            for steps, plain in self.containers()
            if len(steps) >= least and isinstance(plain, kind)
        ]
        if not found:
            return None
        steps, plain = self.pick.choice(found)
        known = [held for held in self.held if held.plain is plain]
        return self.pick.choice(known) if known and self.pick.random() < 0.5 else self.get(steps)

    # --- values -----------------------------------------------------------------------------------

    def new(self, depth: int) -> Any:
        kind = self.pick.choice(
            ["dict", "list", "number"] if depth < self.files + 4 else ["number"]
        )
        if depth <= self.files or kind == "dict":
            return {key: self.new(depth + 1) for key in self.pick.sample(_KEYS, 2)}
        if kind == "list":
            return [self.new(depth + 1) for _ in range(self.pick.randint(0, 3))]
        return self.pick.randint(0, 99)

    def value(self, depth: int) -> tuple[Any, Any]:
        """What may be put somewhere, as it is in the store and in the plain tree."""
        held: list[tuple[Any, Any]] = [
            (held.one, held.plain)
            for held in self.held
            if len(repr(held.plain)) < 300  # or all would grow and grow
            and (
                held.depth == depth
                or (min(held.depth, depth) >= self.files and held.is_dict)
                or min(held.depth, depth) > self.files
            )
        ]
        made = self.new(depth)
        return self.pick.choice([*held, *held, *held, (made, made)])

    # --- steps ------------------------------------------------------------------------------------

    def step(self) -> None:
        often = [self.hold, self.assign, self.move, self.swap]
        rare = [self.count, self.clear, self.splice, self.rearrange, self.together]
        self.pick.choice([*often, *often, *rare])()

    def hold(self) -> None:
        found = self.anywhere(least=1)
        if found is not None:
            self.held = [*self.held[-6:], found]

    def assign(self) -> None:
        found = self.anywhere()
        if found is not None:
            keys: Any = _KEYS if found.is_dict else range(len(found.plain))
            if keys:
                key = self.pick.choice(keys)
                value, plain = self.value(found.depth + 1)
                found.one[key] = value
                _put(found.plain, key, plain)

    def swap(self) -> None:
        found = self.anywhere()
        keys = [] if found is None else self.keys_of(found)
        if found is not None and len(keys) > 1:
            a, b = self.pick.sample(keys, 2)
            first, second = self.element(found, a), self.element(found, b)
            found.one[a] = second[0]
            _put(found.plain, a, second[1])
            found.one[b] = first[0]
            _put(found.plain, b, first[1])

    def move(self) -> None:
        """Remove something, and put it elsewhere."""
        found = self.anywhere()
        keys = [] if found is None else self.keys_of(found)
        if found is not None and keys:
            key = self.pick.choice(keys)
            value, plain = self.element(found, key)
            del found.one[key]
            del found.plain[key]
            target = self.anywhere(kind=dict)
            if target is not None and target.depth == found.depth and self.pick.random() < 0.7:
                target.one["c"] = value
                _put(target.plain, "c", plain)

    def keys_of(self, found: Held) -> list[Any]:
        if not found.is_dict:
            return list(range(len(found.plain)))
        below = found.depth + 1
        return [
            key
            for key, value in found.plain.items()
            if below >= self.files or self.shown(value, below)
        ]

    def element(self, found: Held, key: Any) -> tuple[Any, Any]:
        value, plain = found.one[key], found.plain[key]
        if found.depth + 1 == self.files:
            self.held = [
                held._replace(plain=plain) if held.one is value else held for held in self.held
            ]
        return value, plain

    def count(self) -> None:
        found = self.anywhere(least=self.files, kind=dict)
        if found is not None:
            found.one["n"] = found.plain["n"] = self.pick.randint(0, 99)

    def clear(self) -> None:
        found = self.anywhere(least=1)
        if found is not None and self.pick.random() < 0.5:
            found.one.clear()
            found.plain.clear()

    def splice(self) -> None:
        found = self.anywhere(kind=list)
        if found is None:
            return
        start, stop = (self.pick.randint(0, len(found.plain)) for _ in range(2))
        some = [self.element(found, at) for at in range(len(found.plain))]
        values = [
            self.pick.choice([*some, self.value(found.depth + 1)])
            for _ in range(self.pick.randint(0, 4))
        ]
        if found.plain[start:stop] == [plain for _, plain in values]:
            return  # as nothing is committed then
        found.one[start:stop] = [value for value, _ in values]
        going, new = list(found.plain[start:stop]), list[Any]()
        for _, plain in values:
            stays = any(plain is one for one in going)
            new.append(plain if stays else deepcopy(plain))
            if stays:
                going = [one for one in going if one is not plain]
        found.plain[start:stop] = new

    def rearrange(self) -> None:
        found = self.anywhere(kind=list)
        if found is None:
            return
        kind = self.pick.choice(["sort", "reverse", "insert", "twice", "remove"])
        if kind == "sort":
            found.one.sort(key=_contents)
            found.plain.sort(key=_contents)
        elif kind == "reverse" and found.plain != found.plain[::-1]:  # or nothing is committed
            found.one.reverse()
            found.plain.reverse()
        elif kind == "insert":
            at, (value, plain) = self.pick.randint(0, 3), self.value(found.depth + 1)
            found.one.insert(at, value)
            found.plain.insert(at, deepcopy(plain))
        elif kind == "twice" and len(found.plain) < 4:
            doubled = found.one
            doubled *= 2
            found.plain.extend(deepcopy(found.plain))
        elif found.plain:
            at = self.pick.randrange(len(found.plain))
            del found.one[at]
            del found.plain[at]

    def together(self) -> None:
        """Some steps in a transaction or a savepoint, which may be taken back."""
        saved = deepcopy((self.plain, [plain for _, plain, _ in self.held]))
        before = self.held
        with suppress(_UndoneError), self.store.transaction():
            for _ in range(self.pick.randint(1, 6)):
                self.step()
                self.require_same()
            if self.pick.random() < 0.5:
                raise _UndoneError
            return
        self.plain = saved[0]
        there = {id(plain) for _, plain in self.containers()}
        self.held = [
            held._replace(plain=plain)
            for held, plain in zip(before, saved[1], strict=True)
            # That somebody has got the Object of a file is not taken back.
            if held.depth != self.files or id(plain) in there
        ]


def _items(plain: Any) -> list[tuple[Any, Any]]:
    keys: Any = plain if hasattr(plain, "keys") else range(len(plain))
    return [(key, plain[key]) for key in keys]


def _put(container: Any, key: Any, value: Any) -> None:
    if not any(key == at and value is found for at, found in _items(container)):
        container[key] = deepcopy(value)


def _contents(value: Any) -> str:
    return repr(value.contents if isinstance(value, objstore.Object) else value)


@pytest.mark.parametrize("files", [1, 3])
@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize("medium", ["file", "memory"])
def test_what_is_assigned_is_what_was_got(
    medium: str, seed: int, files: int, tmp_path: Path
) -> None:
    schema: Any = Directory[Dict]
    for _ in range(files - 1):
        schema = Directory[schema]
    with objstore.open(tmp_path if medium == "file" else "memory://", schema) as store:
        model = Model(store, seed, files)
        for _ in range(60):
            model.step()
            model.require_same()
        assert not store.check()
