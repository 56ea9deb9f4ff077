"""Any text as a name, key or value, and scans in order."""

from __future__ import annotations

import random
from typing import Any

import pytest

from objstore.errors import (
    DuplicateContainerError,
)
from objstore.storage import Scans, Storage
from tests.conformance.storage.calls import ODD
from tests.conformance.storages import dump

# 10. Any text is a container name or a key: quotes, semicolons, emoji, NUL, 10,000 characters.


def test_10_any_text_is_a_container_name(storage: Storage) -> None:
    for number, name in enumerate(ODD):
        storage.add_container(name)
        storage.set_container_item(name, "number", number)
    assert dump(storage) == {name: {"number": str(n)} for n, name in enumerate(ODD)}
    for name in ODD:
        with pytest.raises(DuplicateContainerError):
            storage.add_container(name)
    for name in ODD[::2]:
        storage.delete_container(name)
    for name in ODD[1::2]:
        storage.clear_container(name)
    assert dump(storage) == {name: {} for name in ODD[1::2]}


def test_10_any_text_is_a_key_and_a_value(storage: Storage) -> None:
    storage.add_container("c")
    for number, key in enumerate(ODD):
        storage.set_container_item("c", key, ODD[number - 1])
    expected = {key: ODD[number - 1] for number, key in enumerate(ODD)}
    assert dump(storage) == {"c": expected}
    assert [storage.get_container_item("c", key) for key in ODD] == list(expected.values())
    assert list(storage.get_container_items("c", ODD)) == list(expected.items())
    storage.set_container_items("c", {key: key.encode() for key in ODD})
    assert dump(storage) == {"c": {key: key.encode() for key in ODD}}
    storage.delete_container_items("c", ODD[::2])
    assert dump(storage) == {"c": {key: key.encode() for key in ODD[1::2]}}
    for key in ODD:
        assert storage.delete_container_item("c", key) is (key in ODD[1::2])
    assert dump(storage) == {"c": {}}


@pytest.mark.parametrize("size", [0, 1, 500, 511, 512, 513, 4096, 70_000, 3_000_000])
def test_10_values_and_keys_of_any_size(storage: Storage, size: int) -> None:
    value = random.Random(size).randbytes(size)  # noqa: S311
    storage.add_container("c")
    storage.set_container_item("c", "k", value)
    assert storage.get_container_item("c", "k") == value
    storage.set_container_item("c", "k" * min(size, 70_000), value[:1000])
    assert storage.get_container_item("c", "k" * min(size, 70_000)) == value[:1000]


# Ordered scans

NAMES = sorted(
    [
        *ODD,
        *["a", "aa", "ab", "b", "B", "é", "z", "\ue000x", "\U0001f984x", "\U0010ffffx", "\0\0"],
        *["x" * 470, "x" * 480 + "a", "x" * 480 + "b" * 100, "x" * 480 + "b", "x" * 490 + "é" * 50],
        *["x" * 511, "x" * 512, "x" * 513, "x" * 500 + "\0", "x" * 500 + "\U0010ffff" * 9],
    ]
)


NO_NAMES = ["\ud800", "a\udfff", "\udbffx", "x\ud800" * 300, "\U0010ffff\udc00", "\ud7ff\ud800"]
"""Text that no key has, and that has its place in the order of code points all the same."""


@pytest.fixture
def scans(storage: Storage) -> Scans:
    storage.add_container("c")
    storage.add_container("d")
    shuffled = random.Random(7).sample(NAMES, len(NAMES))  # noqa: S311
    storage.set_container_items("c", {name: name for name in shuffled})
    storage.set_container_items("d", dict.fromkeys(shuffled, "other"))
    assert isinstance(storage, Scans)
    return storage


@pytest.mark.parametrize("reverse", [False, True])
def test_scans_by_prefix(scans: Scans, reverse: bool) -> None:
    for prefix in ("", *NAMES, *NO_NAMES):
        expected = [(name, name) for name in NAMES if name.startswith(prefix)]
        found = list(scans.scan("c", prefix=prefix, reverse=reverse))
        assert found == (expected[::-1] if reverse else expected), prefix


@pytest.mark.parametrize("reverse", [False, True])
def test_scans_by_range(scans: Scans, reverse: bool) -> None:
    for start in (None, *NAMES, *NO_NAMES):
        for stop in (None, *NAMES[::3], *NO_NAMES):
            expected = [
                (name, name)
                for name in NAMES
                if (start is None or name >= start) and (stop is None or name < stop)
            ]
            found = list(scans.scan("c", start=start, stop=stop, reverse=reverse))
            assert found == (expected[::-1] if reverse else expected), (start, stop)


@pytest.mark.parametrize("reverse", [False, True])
def test_scans_in_a_transaction(storage: Storage, scans: Scans, reverse: bool) -> None:
    with storage.transaction():
        test_scans_by_prefix(scans, reverse)
        test_scans_by_range(scans, reverse)


@pytest.mark.parametrize("bound", ["prefix", "start", "stop"])
def test_a_bound_of_a_scan_is_text(scans: Scans, bound: str) -> None:
    no_texts: list[Any] = [5, b"a", ["a"], 0]
    for given in no_texts:
        with pytest.raises(TypeError, match=f"{bound} must be text, not"):
            scans.scan("c", **{bound: given})


def test_scans_by_prefix_and_range(scans: Scans) -> None:
    found = [key for key, _ in scans.scan("c", prefix="a", start="aa", stop="ab")]
    assert found == [name for name in NAMES if name.startswith("a") and "aa" <= name < "ab"]
    assert list(scans.scan("c", prefix="a", start="b")) == []
    assert list(scans.scan("c", prefix="b", stop="a")) == []


@pytest.mark.parametrize("reverse", [False, True])
def test_scans_of_many_long_keys(storage: Storage, reverse: bool) -> None:
    """More than are fetched at a time, in groups that begin alike for longer than some keys."""
    keys = [f"{n // 7:04}" * 130 + f"{n:05}" for n in range(3000)]
    storage.add_container("c")
    storage.set_container_items("c", {key: str(n) for n, key in enumerate(keys)})
    expected = [(key, str(n)) for n, key in enumerate(keys)]
    assert isinstance(storage, Scans)
    found = list(storage.scan("c", reverse=reverse))
    assert found == (expected[::-1] if reverse else expected)
    found = list(storage.scan("c", start=keys[700], stop=keys[2200], reverse=reverse))
    assert found == (expected[700:2200][::-1] if reverse else expected[700:2200])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("size", [489, 490, 491, 507, 600])
def test_scans_of_keys_that_begin_alike_for_long(
    storage: Storage, size: int, reverse: bool
) -> None:
    """So many that whatever a maker tells them apart by has every first byte."""
    for start in ("/" * size, "/" * (size - 1) + "é"):
        name = repr(start)
        keys = [f"{start}{n:05}" for n in range(2000)]
        storage.add_container(name)
        storage.set_container_items(name, dict.fromkeys([*keys, f"{start}/", "0"], ""))
        assert isinstance(storage, Scans)
        for bounds in ({"prefix": f"{start}0"}, {"start": keys[0], "stop": f"{start}1"}):
            found = [key for key, _ in storage.scan(name, **bounds, reverse=reverse)]
            assert found == (keys[::-1] if reverse else keys)


def test_2_keys_that_are_equal_and_not_alike_are_items_of_their_own(storage: Storage) -> None:
    storage.add_container("c")
    storage.set_container_items("c", [(1, "a"), (True, "b"), (1.0, "c"), ([2], "d"), ("x", "e")])
    assert dict(storage.get_container_items("c")) == {
        "1": "a",
        "True": "b",
        "1.0": "c",
        "[2]": "d",
        "x": "e",
    }
