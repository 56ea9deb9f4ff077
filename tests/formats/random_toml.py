"""Random contents that TOML can hold, and files with them in all of its styles."""

from __future__ import annotations

from random import Random
from typing import Any

import tomlkit
from hypothesis import strategies as st

from objstore.values import is_array, is_object

from .random_edits import SCALARS, contents

TRICKY = [
    *("", "a", "b", "name", "x y", "é", "日本", "😀", "a.b", 'q"q', "it's", "\\", "\t", "ends\\"),
    *("\n", "two\nlines\n", '"""', "'''", "\x07", "\x7f", "\x00", "\u2028", "\x85", "a\r\nb", "\r"),
    *("1", "true", "inf", "2020-01-01", "#", "[x]", "=", "-", "_"),
]
TEXTS = st.one_of(
    st.sampled_from(TRICKY), st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
)
PARTS = contents(TEXTS, st.one_of(TEXTS, SCALARS.filter(lambda value: value is not None)))
TABLES = st.dictionaries(TEXTS, PARTS, max_size=5)


def written(value: dict[str, Any], random: Random) -> str:
    """A TOML text with these contents: tables with headers, inline, and of dotted keys."""
    return "\n".join([*_table(value, [], random), ""])


def _table(value: dict[str, Any], path: list[str], random: Random) -> list[str]:
    lines: list[str] = []
    tables: list[str] = []
    for key, part in value.items():
        name = _key(key, random)
        below = [*path, name]
        if is_object(part) and random.random() < 0.6:
            tables += ["", f"[{'.'.join(below)}]{_comment(random)}", *_table(part, below, random)]
        elif is_array(part) and part and all(map(is_object, part)) and random.random() < 0.6:
            for row in part:
                header = f"[[{'.'.join(below)}]]{_comment(random)}"
                tables += ["", header, *_table(row, below, random)]
        elif is_object(part) and part and random.random() < 0.4:
            lines += [
                f"{name}.{_key(child, random)} = {_value(inner, random)}{_comment(random)}"
                for child, inner in part.items()
            ]
        else:
            lines.append(f"{name} = {_value(part, random)}{_comment(random)}")
        if random.random() < 0.2:
            lines.append(random.choice(["# on its own", ""]))
    return lines + tables


def _comment(random: Random) -> str:
    return random.choice(["", "", "  # a comment"])


def _key(key: str, random: Random) -> str:
    bare = key.isascii() and key.replace("-", "a").replace("_", "a").isalnum()
    return key if bare and random.random() < 0.8 else tomlkit.string(key).as_string()


def _value(value: Any, random: Random, inline: bool = False) -> str:
    if is_object(value):
        pairs = [f"{_key(key, random)} = {_value(x, random, True)}" for key, x in value.items()]
        return "{" + ", ".join(pairs) + "}"
    if is_array(value):
        items = [_value(item, random, inline) for item in value]
        if items and not inline and random.random() < 0.4:
            rows = "".join(f"  {item},{_comment(random)}\n" for item in items)
            return f"[\n{rows}]"
        return "[" + ", ".join(items) + random.choice(["", ","] if items else [""]) + "]"
    return tomlkit.dumps({"x": value}).removeprefix("x = ").removesuffix("\n")
