"""Random contents, and random changes of them that share what they leave alone."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import strategies as st

from objstore.values import JSON, is_array, is_object, same

KEYS = st.sampled_from(["a", "b", "name", "id", "é", 'q"e', "b\\s", "", "a:b", "c/d", "{"])
TEXTS = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from('"\\/:,{}[]\n\té😀')),
    max_size=8,
)
SCALARS: st.SearchStrategy[JSON] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, 1.0, 1e16, 1e22, 1e-7]),
    TEXTS,
)


def contents(keys: st.SearchStrategy[str], scalars: st.SearchStrategy[JSON]) -> Any:
    """Dicts and lists, small ones mostly, with scalars in them."""
    return st.recursive(
        scalars,
        lambda parts: st.one_of(
            st.lists(parts, max_size=4), st.dictionaries(keys, parts, max_size=4)
        ),
        max_leaves=16,
    )


def change(value: Any, parts: list[JSON], keys: list[str], random: Random) -> Any:
    """A change at one random place; the containers on the way to it are new, all else is shared."""
    deeper = bool(value) and random.random() < 0.6
    if is_object(value):
        if deeper:
            key = random.choice(list(value))
            return {**value, key: change(value[key], parts, keys, random)}
        return _change_dict(value, random.choice(parts), keys, random)
    if is_array(value):
        if deeper:
            place = random.randrange(len(value))
            part = change(value[place], parts, keys, random)
            return [*value[:place], part, *value[place + 1 :]]
        return _change_list(value, random.choice(parts), random)
    return random.choice(parts)


def _change_dict(
    value: dict[str, Any], part: JSON, keys: list[str], random: Random
) -> dict[str, Any]:
    entries = list(value.items())
    match random.choice(["set", "first", "delete", "shuffle", "rename", "clear"]):
        case "set":
            return {**value, random.choice(keys): part}
        case "first":
            return {random.choice(keys): part, **value}
        case "delete" if entries:
            entries.pop(random.randrange(len(entries)))
        case "shuffle":
            random.shuffle(entries)
        case "rename" if entries:
            place = random.randrange(len(entries))
            entries[place] = random.choice(keys), entries[place][1]
        case _:
            entries.clear()
    return dict(entries)


def _change_list(value: list[Any], part: JSON, random: Random) -> list[Any]:
    copy = value.copy()
    place = random.randrange(len(copy) + 1)
    match random.choice(["insert", "append", "delete", "move", "twice", "clear"]):
        case "insert":
            copy.insert(place, part)
        case "append":
            copy.append(part)
        case "delete" if copy:
            del copy[place - 1]
        case "move" if copy:
            copy.insert(place - 1, copy.pop())
        case "twice" if copy:
            copy.insert(place, copy[place - 1])
        case _:
            copy.clear()
    return copy


def identical(value: Any, other: Any) -> bool:
    """Whether two values are the same, order of keys included."""
    if is_object(value) and is_object(other):
        return list(value) == list(other) and all(map(identical, value.values(), other.values()))
    if is_array(value) and is_array(other):
        return len(value) == len(other) and all(map(identical, value, other))
    return same(value, other)


def copied(value: Any) -> Any:
    """An equal value that shares nothing that can change."""
    if is_object(value):
        return {key: copied(part) for key, part in value.items()}
    return [copied(part) for part in value] if is_array(value) else value
