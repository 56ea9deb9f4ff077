"""The page on the commit log (docs/formats/commit-log.md): its example of what records say."""

from __future__ import annotations

import re
from pathlib import Path

import objstore
from objstore.backings.filesystem.io import Files
from objstore.backings.filesystem.log.commitlog import CommitLog

from .realdata import ROOT

PAGE = (ROOT / "docs/formats/commit-log.md").read_text("utf-8")
TIME = '"time":"2026-11-20T10:00:00.000000+00:00"'
ADA = (
    '{"name": "Ada King", "known_for": "notes on the Analytical Engine, and a program",'
    ' "born": 1816}\n'
)


def records(folder: Path) -> list[str]:
    """The records that the page shows, made in an empty folder."""
    (folder / "ada.json").write_text(ADA)
    with objstore.open(folder) as store:
        with store.transaction(meta={"author": "me"}):
            store["/ada"].born = 1815
        store["/ada"].died = 1852
        (folder / "ada.json").write_text('{"name": "Ada"}\n')
        store["/ada"].born = 1815
        store["/list"] = [1]
        store.scope("draft")["/list"] = [2]
        store.delete_scope("draft")
    with objstore.open(folder, apply="lazy") as store:
        store["/list"].append(2)
        store["/list"].append(3)
        found = list(CommitLog(Files(str(folder))).records())
    return [
        f"{one.number} at {one.link.offset}  "
        + re.sub(r'"time":"[^"]*"', TIME, one.payload.decode())
        for one in found
    ]


def test_the_records_of_the_page(tmp_path: Path) -> None:
    shown = re.findall(r"^    (\d+ at \d+  \{.*\})$", PAGE, re.MULTILINE)
    assert shown == records(tmp_path)
