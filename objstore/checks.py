"""The ``format`` values that are asserted: what the text of a date, a decimal, ... looks like.

These are the formats in which Python values without a JSON type are stored. Every other format is
an annotation, as JSON Schema has it by default (2020-12 Validation, section 7.2.1).
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Final, TypeAlias

Check: TypeAlias = Callable[[str], bool]

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DECIMAL: Final = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


def is_date(text: str) -> bool:
    """YYYY-MM-DD (RFC 3339, full-date), and a day of the calendar."""
    return _DATE.fullmatch(text) is not None and _takes(date.fromisoformat, text)


def is_date_time(text: str) -> bool:
    """What ``datetime.fromisoformat`` takes, with a time of day; an offset may be missing."""
    return _takes(datetime.fromisoformat, text) and not _takes(date.fromisoformat, text)


def is_time(text: str) -> bool:
    """What ``time.fromisoformat`` takes; an offset may be missing."""
    return _takes(time.fromisoformat, text)


def is_uuid(text: str) -> bool:
    """Hexadecimal digits in groups of 8-4-4-4-12, of either case (RFC 9562, section 4)."""
    return _UUID.fullmatch(text) is not None


def is_decimal(text: str) -> bool:
    """A finite ``decimal.Decimal`` in ASCII digits, without the underscores that Python allows."""
    if _DECIMAL.fullmatch(text) is None:
        return False
    try:
        return Decimal(text).is_finite()
    except InvalidOperation:  # an exponent that no Decimal holds
        return False


def is_base64(text: str) -> bool:
    """The standard alphabet with its padding, and nothing else (RFC 4648, section 4)."""

    def decode(text: str) -> bytes:
        return a2b_base64(text, strict_mode=True)

    return _takes(decode, text)


def _takes(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


CHECKS: Final[Mapping[str, Check]] = {
    "base64": is_base64,
    "date": is_date,
    "date-time": is_date_time,
    "decimal": is_decimal,
    "time": is_time,
    "uuid": is_uuid,
}
"""The asserted formats by name."""
