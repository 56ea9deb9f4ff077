"""Random contents that are hard on YAML, and files with them in the styles of several hands."""

from __future__ import annotations

from random import Random
from typing import Any

import yaml
from hypothesis import strategies as st

from objstore.errors import FormatError
from objstore.formats._yaml_write import Style
from objstore.formats.yaml import dump, parse
from objstore.values import JSON, same

from .random_edits import SCALARS, contents

TRICKY = [
    *(
        "",
        "a",
        "b",
        "name",
        "x y",
        "é",
        "日本",
        "😀",
        "key",
        "it's",
        'q"q',
        "\\",
        "'",
        '"',
        "C:\\x",
    ),
    *("yes", "No", "on", "null", "~", "y", "true", "1.10", "0x1f", "1_000", "12:30", "2020-01-01"),
    *(
        "1e3",
        "0o7",
        ".5",
        ".inf",
        "+.inf",
        ".nan",
        "010",
        "=",
        "<<",
        "---",
        "...",
        "--- a",
        "-",
        "?",
    ),
    *(
        ": ",
        "#",
        "a: b",
        "a #b",
        "a:",
        "- x",
        "-x",
        "--flag",
        "? a",
        "?x",
        ":x",
        "k:v",
        "a,b",
        "a]",
    ),
    *("%a", "@b", "`c", "!t", "&a", "*b", "[x", "{y", "}", "]", ",", "|", ">", "http://a/b?c=d#e"),
    *(
        " lead",
        "trail ",
        "\t",
        "a\tb",
        "\x85",
        "\u2028",
        "\ufeff",
        "\x07",
        "\x7f",
        "a\r\nb",
        "\xa0",
    ),
    *("two\nlines", "two\nlines\n", "two\n\nlines\n\n", "\n", "\n\nx", " a\n b", "a\n  b\nc\n"),
    *(
        "a\n\tb",
        "\ta\nb",
        "x\n   ",
        "x\n   \n",
        "x \ny",
        "a\n# no comment\nb\n",
        "long " * 30 + "end",
    ),
]
TEXTS = st.one_of(
    st.sampled_from(TRICKY),
    st.lists(st.sampled_from(TRICKY), min_size=2, max_size=3).map("".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
)
CONTENTS = contents(TEXTS, st.one_of(TEXTS, SCALARS))


def written(value: JSON, random: Random) -> str:
    """A YAML text with these contents, in one of many styles, with comments and blank lines."""
    text = _rendered(value, random)
    for number in range(random.randrange(6)):
        text = _sprinkled(text, value, f"# c{number}", random)
    for variant in random.sample([_without_end, _with_crlf, _with_marks], random.randrange(3)):
        changed = variant(text)
        text = changed if _reads_as(changed, value) else text
    return text


def _rendered(value: JSON, random: Random) -> str:
    if random.random() < 0.2:
        return dump(value, "random").decode()
    if random.random() < 0.3:
        style = Style(random.choice([1, 2, 4]), random.choice([0, 1, 2, 4]))
        return "\n".join([*style.document(value), ""])
    text: str = yaml.dump(
        value,
        Dumper=random.choice([yaml.SafeDumper, yaml.CSafeDumper]),
        default_flow_style=random.choice([None, True, False]),
        default_style=random.choice([None, None, None, "'", '"']),
        indent=random.choice([2, 4]),
        width=random.choice([20, 80, 1000]),
        allow_unicode=random.choice([True, False]),
        explicit_start=random.random() < 0.3,
        sort_keys=False,
    )
    # PyYAML does not always read what it wrote: line separators, for example.
    return text if _reads_as(text, value) else dump(value, "random").decode()


def _sprinkled(text: str, value: JSON, comment: str, random: Random) -> str:
    lines = text.split("\n")
    place = random.randrange(len(lines))
    if random.random() < 0.6:
        lines.insert(place, random.choice([" " * random.randrange(7) + comment, ""]))
    else:
        lines[place] += "  " + comment
    changed = "\n".join(lines)
    return changed if _reads_as(changed, value) else text


def _without_end(text: str) -> str:
    return text.removesuffix("\n")


def _with_crlf(text: str) -> str:
    return text.replace("\n", "\r\n")


def _with_marks(text: str) -> str:
    end = "" if text.endswith("\n") else "\n"
    return text + end + "...\n" if text.startswith("---") else f"%YAML 1.1\n---\n{text}{end}...\n"


def _reads_as(text: str, value: Any) -> bool:
    try:
        return same(parse(text.encode(), "random"), value)
    except FormatError:
        return False


def linked(random: Random) -> str:
    """A YAML text full of anchors, aliases and merge keys, with comments."""
    return "\n".join([*_Linked(random).mapping(0), ""])


class _Linked:
    def __init__(self, random: Random) -> None:
        self._random = random
        self._anchors: list[str] = []

    def mapping(self, indent: int) -> list[str]:
        pad = " " * indent
        lines = self._merge(pad)
        for key in self._random.sample("abcde", self._random.randrange(1, 4)):
            lines += self._entry(f"{pad}{key}:", indent)
            if self._random.random() < 0.2:
                lines.append(f"{pad}# on its own")
        return lines

    def _entry(self, key: str, indent: int) -> list[str]:
        if indent > 4 or self._random.random() < 0.6:
            return [f"{key} {self._scalar()}{self._comment()}"]
        if self._random.random() < 0.3:
            items = range(self._random.randrange(1, 4))
            lines = [f"{' ' * indent}  - {self._scalar() or 'x'}" for _ in items]
            return [key + self._anchor("list") + self._comment(), *lines]
        lines = self.mapping(indent + 2)
        return [key + self._anchor("map") + self._comment(), *lines]

    def _scalar(self) -> str:
        if self._anchors and self._random.random() < 0.4:
            return "*" + self._random.choice(self._anchors)
        text = self._random.choice(["1", "yes", "text", "'q'", '"d"', "~", "[1, 2]", "{a: 1}", ""])
        kind = "map" if text.startswith("{") else "scalar"
        return f"{self._anchor(kind)} {text}" if text and self._random.random() < 0.3 else text

    def _anchor(self, kind: str) -> str:
        if self._random.random() < 0.4:
            return ""
        self._anchors.append(f"{kind}{len(self._anchors)}")
        return f" &{self._anchors[-1]}"

    def _merge(self, pad: str) -> list[str]:
        sources = [f"*{name}" for name in self._anchors if name.startswith("map")]
        if not sources or self._random.random() < 0.5:
            return []
        chosen = self._random.sample(sources, min(len(sources), self._random.choice([1, 1, 2])))
        one = len(chosen) == 1 and self._random.random() < 0.8
        return [f"{pad}<<: {chosen[0] if one else '[' + ', '.join(chosen) + ']'}{self._comment()}"]

    def _comment(self) -> str:
        return self._random.choice(["", "", " # a comment"])
