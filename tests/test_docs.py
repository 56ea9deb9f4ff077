"""The README and the pages below docs/ say what is so: their code runs, and shows what it shows.

A page's blocks are taken in order, in an empty folder of the page's own:

- ``python`` is run; with ``>>>`` in it, what it shows is compared (doctest, with ``...``).
- ``json given=NAME`` (or yaml, toml, text) is a file that is put there for what follows.
- ``json shows=NAME`` is what the file holds by now, byte for byte.

Other blocks are for reading only.
"""

from __future__ import annotations

import doctest
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

import objstore

from .realdata import ROOT

PAGES = sorted(
    page
    for pattern in ("README.md", "CHANGELOG.md", "docs/*.md", "docs/how-to/*.md")
    for page in ROOT.glob(pattern)
)
WITH_CODE = [page for page in PAGES if "```python" in page.read_text("utf-8")]

_BLOCK = re.compile(r"^```(\w+)(?: (given|shows)=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FENCE = re.compile(r"^```", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)]*)?\)")
_CODE = re.compile(r"```.*?^```$|`[^`]*`", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    use: str | None
    name: str | None
    text: str
    line: int


def blocks_of(page: Path) -> Iterator[Block]:
    """The page's blocks, in order."""
    text = page.read_text("utf-8")
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(found[1], found[2], found[3], found[4], line)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module for a page's code, as annotations look names up in the module of their class."""
    made = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", made)
    monkeypatch.chdir(tmp_path)
    return made


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.stem)
def test_code_runs_and_shows_what_it_shows(page: Path, module: ModuleType) -> None:
    for block in blocks_of(page):
        place = f"{page.name}, line {block.line}"
        if block.use == "given":
            _write(Path(block.name or ""), block.text)
        elif block.use == "shows":
            assert Path(block.name or "").read_text("utf-8") == block.text, place
        elif block.language == "python":
            _run(block, module, place)


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")


def _run(block: Block, module: ModuleType, place: str) -> None:
    if ">>>" not in block.text:
        code = compile("\n" * block.line + block.text, place, "exec", dont_inherit=True)
        exec(code, vars(module))  # noqa: S102
        return
    test = doctest.DocTestParser().get_doctest(block.text, {}, place, place, block.line)
    test.globs = vars(module)
    told: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    assert runner.run(test, out=told.append, clear_globs=False).failed == 0, "".join(told)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_blocks_and_links_are_whole(page: Path) -> None:
    text = page.read_text("utf-8")
    assert len(_FENCE.findall(text)) == 2 * len(list(blocks_of(page)))
    links = [link for link in _LINK.findall(_CODE.sub("", text)) if ":" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_error_is_on_its_page() -> None:
    page = (ROOT / "docs" / "how-to" / "errors.md").read_text("utf-8")
    errors = [name for name in objstore.__all__ if name.endswith("Error")]
    assert [name for name in errors if f"─ {name} " not in page] == ["ObjstoreError"]


def test_what_the_page_on_the_code_names_is_there() -> None:
    """Modules, folders, and methods of classes."""
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    named = set(re.findall(r"`([\w/*.]+\.py|[\w/]+/)`", page))
    named |= {f"{name}.py" for name in re.findall(r"^  (\w+)\*\.py", page, re.MULTILINE)}
    kept = [path for part in ("objstore", "backings", "tests") for path in (ROOT / part).rglob("*")]
    paths = [path.as_posix() for path in kept]
    lost = [
        one
        for one in named
        if not any(f"{path}/".endswith(f"/{one.rstrip('/')}/") for path in paths)
    ]
    assert lost == []
    source = "".join(path.read_text("utf-8") for path in kept if path.suffix == ".py")
    methods = re.findall(r"`([A-Z]\w+)\.(\w+)`", page)
    assert len(named) > 20
    assert len(methods) > 5
    for owner, method in methods:
        assert re.search(rf"^class {owner}\b", source, re.MULTILINE), owner
        assert f"    def {method}(" in source, method


def test_the_pages_are_found() -> None:
    assert {"README", "tutorial", "index", "schemas"} <= {page.stem for page in PAGES}
    assert {"README", "tutorial", "schemas"} <= {page.stem for page in WITH_CODE}


def _names_of_tables(section: str) -> list[str]:
    """What stands in backquotes in the first column of a section's table; in all of errors'."""
    page = (ROOT / "docs" / "names.md").read_text("utf-8")
    text = page.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    cells = rows if section == "Errors" else [row.split(" | ")[0] for row in rows]
    return [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]


def test_every_public_name_is_on_its_page() -> None:
    sections = ("Stores and objects", "Keys and values", "Events and blobs", "Errors")
    named = [name for section in sections for name in _names_of_tables(section)]
    assert sorted([*named, "ObjstoreError"]) == sorted(objstore.__all__)


def test_every_call_of_a_store_is_there() -> None:
    calls = _names_of_tables("What a Store can do")
    with objstore.open("memory://") as store:
        assert [name for name in calls if not hasattr(store, name)] == []
    assert len(calls) > 30
