"""The files of caniuse.com as classes.

Keys are the files' own. A value in ``stats`` starts with y (supported), a (partly), n (no),
p (with a polyfill) or u (unknown); flags follow, such as ``x`` (with a prefix) and ``#1`` (note 1).
"""

from __future__ import annotations

from typing import Annotated, Literal

from objstore import Dict, Directory, List

Status = Literal["ls", "rec", "pr", "cr", "wd", "other", "unoff"]
Answer = Annotated[str, {"pattern": "^[yanpu]"}]
Percent = Annotated[float, {"minimum": 0, "maximum": 100}]


class Link(Dict):
    """Where to read more."""

    url: str
    title: str


class Bug(Dict):
    """A known bug of a browser."""

    description: str


class Feature(Dict):
    """A feature of the web platform, and which versions of which browsers support it."""

    title: str
    description: str
    spec: str
    status: Status
    links: List[Link]
    bugs: List[Bug]
    categories: List[str]
    stats: Dict[str, Dict[str, Answer]]
    notes: str
    notes_by_num: Dict[str, str]
    usage_perc_y: Percent
    usage_perc_a: Percent
    ucprefix: bool
    parent: str
    keywords: str
    chrome_id: str
    shown: bool

    def get_support(self) -> dict[str, str]:
        """The first version that supports the feature, for each browser that has one."""
        return {
            browser: next(version for version, answer in versions.items() if _yes(answer))
            for browser, versions in self.stats.items()
            if any(map(_yes, versions.values()))
        }

    def get_share(self) -> float:
        """The share of all versions of all browsers that support the feature: 0 to 1."""
        answers = [_yes(answer) for row in self.stats.values() for answer in row.values()]
        return sum(answers) / max(len(answers), 1)

    def get_words(self) -> list[str]:
        """The keywords one by one."""
        return self.keywords.split(",") if self.keywords else []

    def set_words(self, words: list[str]) -> None:
        """Assigning ``words`` sets ``keywords``, which is what the file holds."""
        self.keywords = ",".join(words)


class CanIUse(Directory[Feature]):
    """The folder: ``css-grid.json`` is its member ``css-grid``."""


def _yes(answer: str) -> bool:
    return answer.startswith("y")
