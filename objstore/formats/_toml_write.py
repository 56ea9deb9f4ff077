"""Writing TOML with tomlkit: new files, and differences applied to its tree of an old one."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import date, time
from typing import Any, Final

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Array, Date, DateTime, Time

from .._align import align
from ..values import JSON, is_array, is_object, same

_LF: Final = re.compile(r"(?<!\r)\n")
_STUMBLES: Final = (
    TOMLKitError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


def dumps(value: dict[str, Any]) -> str:
    """The text of a new file."""
    return tomlkit.dumps(value)


def edited_texts(text: str, old: JSON, new: JSON) -> Iterator[str]:
    """The text with the differences applied: with new tables of their own, then with inline ones.

    The caller finds out which has the contents ``new``: tomlkit gets some changes wrong, such as
    tables in the midst of dotted keys.
    """
    for inline in (False, True):
        with suppress(*_STUMBLES):
            document = tomlkit.parse(text)
            _Changes(inline).apply_mapping(document, old, new)
            yield _with_newlines_of(text, tomlkit.dumps(document))


def _with_newlines_of(text: str, result: str) -> str:
    # tomlkit ends what it adds with LF; tomllib reads CR LF as LF in strings, too.
    has_lf = _LF.search(text) is not None
    return result if has_lf or "\n" not in text else _LF.sub("\r\n", result)


class _Changes:
    """Differences, applied to tomlkit's tree."""

    def __init__(self, inline: bool) -> None:
        self._inline = inline

    def apply_mapping(self, table: Any, old: Any, new: Any) -> None:
        kinds = _kinds_of_moments(table[key] for key in old)
        for key in [key for key in old if key not in new]:
            del table[key]
        for key, value in new.items():
            if key not in old:
                added = _added(value, kinds)
                table[key] = _inline(added) if self._inline else added
            elif not same(old[key], value) and not self._apply(table[key], old[key], value):
                table[key] = self._like(table[key], value)

    def _apply(self, item: Any, old: Any, new: Any) -> bool:
        """Change a table or an array in place; false where it must be replaced."""
        # Dotted keys are gone when their table is empty; an inline one is there nevertheless.
        if (
            isinstance(item, Mapping)
            and is_object(old)
            and is_object(new)
            and (new or not self._inline)
        ):
            self.apply_mapping(item, old, new)
        elif is_array(old) and is_array(new) and _is_list_for(item, new):
            self._apply_list(item, old, new)
        else:
            return False
        return True

    def _apply_list(self, items: Any, old: list[Any], new: list[Any]) -> None:
        partners = align(old, new)
        kinds = _kinds_of_moments(items)
        for index in reversed(range(len(old))):
            if index not in partners:
                del items[index]
        for index, (partner, value) in enumerate(zip(partners, new, strict=True)):
            if partner is None:
                _insert(items, index, _added(value, kinds))
            elif not same(old[partner], value) and not self._apply(
                items[index], old[partner], value
            ):
                items[index] = self._like(items[index], value)

    def _like(self, item: Any, value: Any) -> Any:
        """The value as something that can stand where ``item`` does."""
        if isinstance(item, Date | DateTime | Time) and isinstance(value, str):
            return _moment(value)
        return value if isinstance(item, Mapping | AoT) and not self._inline else _inline(value)


def _kinds_of_moments(siblings: Iterable[Any]) -> set[type]:
    """Which kinds of dates and times a table or an array holds; none if it holds other values."""
    kinds: set[type] = {type(item) for item in siblings}
    return kinds if kinds <= {Date, DateTime, Time} else set()


def _added(value: Any, kinds: set[type]) -> Any:
    """A value as its new siblings would have it: text that is a moment of their kind as one."""
    moment = _moment(value) if kinds and isinstance(value, str) else value
    return moment if type(moment) in kinds else value


def _insert(items: Any, index: int, value: Any) -> None:
    items.insert(index, value)
    if isinstance(items, AoT):
        # Tables have a blank line between them.
        for table in items[max(index - 1, 0) : index + 1]:
            if table is not items[-1] and not table.as_string().endswith("\n\n"):
                table.add(tomlkit.nl())


def _is_list_for(item: Any, new: list[Any]) -> bool:
    """Whether the elements can be these; an array of tables holds tables only, at least one."""
    fits = isinstance(item, AoT) and bool(new) and all(map(is_object, new))
    return fits or isinstance(item, Array)


def _inline(value: Any) -> Any:
    """Tables as inline ones, which may stand wherever a value may."""
    if not is_object(value) and not is_array(value):
        return value
    around: Any = tomlkit.array()
    around.append(value)
    return around[0]


def _moment(text: str) -> Any:
    """A date or time, if it reads as this very text; the string otherwise."""
    try:
        moment = tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        return text
    if isinstance(moment, date | time) and moment.isoformat() == text:
        return tomlkit.item(moment)
    return text
