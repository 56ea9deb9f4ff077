"""The examples on the formats' pages."""

from __future__ import annotations

import re
from textwrap import dedent

from tests.realdata import ROOT


def examples(name: str) -> list[str]:
    """The indented blocks of ``docs/formats/<name>``."""
    page = (ROOT / "docs" / "formats" / name).read_text(encoding="utf-8")
    return [dedent(block) for block in re.findall(r"(?:^    .*\n)+", page, re.MULTILINE)]
