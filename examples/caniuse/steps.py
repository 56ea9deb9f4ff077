"""The demo, a function for each thing to see."""

from __future__ import annotations

from pathlib import Path

import objstore
from objstore import ConflictError, FormatError, Store, ValidationError

from ..report import diff, fact, line, refused, section, table
from .beside import keeping_more
from .features import CanIUse
from .opened import OpenedFiles

SCHEMA = Path(__file__).with_name("caniuse.schema.json")
NEEDED = 3

_WELL_KNOWN = ["css-has", "css-grid", "flexbox"]
_BROWSERS = ["chrome", "firefox", "safari", "edge"]


def show(folder: Path) -> None:
    """Every step, on a folder whose files may be changed."""
    opened = OpenedFiles(folder)
    with objstore.open(folder, CanIUse) as store:
        names = choose(store)
        reading(store, names, opened)
        computing(store, names)
        refusing(store, folder, names[0])
        meeting_a_broken_file(store, folder, names[1])
        changing_one_file(store, folder, names[0])
        changing_several(store, folder, names)
    opening_by_schema_alone(folder, names[0])
    looking_back(folder, names[0])
    keeping_more(folder, names)


def choose(store: Store[CanIUse]) -> list[str]:
    """Three features to look at; asking whether one is there does not read it."""
    if all(name in store.root for name in _WELL_KNOWN):
        return _WELL_KNOWN
    return list(store.root)[:NEEDED]


def reading(store: Store[CanIUse], names: list[str], opened: OpenedFiles) -> None:
    """A file is read when a key of it is first used."""
    section("1. Only what is used is read")
    there = len(store)
    fact("store opened and listed", f"{there} files there, {len(opened.names)} read")
    feature = store.root[names[0]]
    fact("an object", repr(feature))
    fact("its title", feature.title)
    fact("three titles", [f'"{store.root[name].title}"' for name in names])
    fact("loaded", opened.names)
    fact("not loaded", f"{there - len(opened.names)} files")


def computing(store: Store[CanIUse], names: list[str]) -> None:
    """``support`` and ``share`` are in no file: methods of Feature compute them."""
    section("2. Keys with types, and keys computed from them")
    rows: list[list[str]] = []
    for name in names:
        feature = store.root[name]
        support: dict[str, str] = feature.support
        since = [support.get(browser, "-") for browser in _BROWSERS]
        rows.append([name, feature.status, f"{feature.share:.0%}", *since])
    table(["feature", "status", "share", *_BROWSERS], rows)
    line("(share of browser versions with support; first version with support)")


def refusing(store: Store[CanIUse], folder: Path, name: str) -> None:
    """Type checkers see such mistakes in programs; this one comes from a form or a script."""
    section("3. What does not fit is refused, every failure is told")
    before = _texts(folder)
    with refused(ValidationError):
        store.root[name].update({"status": "finished", "usage_perc_y": 101, "shown": "yes"})
    fact("files changed", _changed(before, folder))


def meeting_a_broken_file(store: Store[CanIUse], folder: Path, name: str) -> None:
    """Somebody deleted a comma in an editor, and puts it back."""
    section("4. A file broken by hand is told with line and column")
    file = folder / f"{name}.json"
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b'",', b'"', 1))
    with refused(FormatError):
        fact("title", store.root[name].title)
    file.write_bytes(whole)
    fact("title, with the comma back", store.root[name].title)


def changing_one_file(store: Store[CanIUse], folder: Path, name: str) -> None:
    """A file keeps the habits of its writers: only what changed is written anew."""
    section("5. A change is committed at once, and is one line in the file")
    before = _texts(folder)
    feature = store.root[name]
    feature.status = "rec" if feature.status != "rec" else "cr"
    for file in _changed(before, folder):
        diff(file, before[file], (folder / file).read_text("utf-8"))


def changing_several(store: Store[CanIUse], folder: Path, names: list[str]) -> None:
    """What goes wrong in a transaction takes back all that was done in it."""
    section("6. Several files change together, or none does")
    before = _texts(folder)
    with refused(ValidationError), store.transaction():
        for name in names:
            store.root[name].words += ["demo"]
        store.root[names[0]].stats["chrome"]["1"] = "maybe"
    fact("files changed", _changed(before, folder))
    with store.transaction():
        for name in names:
            store.root[name].words += ["demo"]
    fact("the same without the mistake", _changed(before, folder))


def opening_by_schema_alone(folder: Path, name: str) -> None:
    """A JSON Schema file stands for the classes, but for the keys that they compute."""
    section(f"7. No class needed: the same folder with {SCHEMA.name}")
    with objstore.open(folder, SCHEMA) as store:
        feature = store.root[name]
        fact("title", feature.title)
        with refused(ValidationError):
            feature.status = "finished"
        failures = store.check()
        fact("every file checked", f"{len(store)} files, {len(failures)} failures")
        for failure in failures[:NEEDED]:
            line(str(failure))


def looking_back(folder: Path, name: str) -> None:
    """What the steps before have committed is still there, with what it took the place of."""
    section("8. Every commit is kept, and every state that one left")
    with objstore.open(folder, CanIUse) as store:
        for commit in store.log():
            line(str(commit))
        for operation in store.diff(0, store.head, f"/{name}"):
            fact(f"{operation['op']} {operation['path']}", str(operation["value"]))
        fact(
            "status, before and now", f"{store.at(0).root[name].status}, {store.root[name].status}"
        )
        before = _texts(folder)
        line(str(store.undo(1)))
        for file in _changed(before, folder):
            diff(file, before[file], (folder / file).read_text("utf-8"))
        with refused(ConflictError):
            store.undo(1)


def _texts(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text("utf-8") for file in sorted(folder.glob("*.json"))}


def _changed(before: dict[str, str], folder: Path) -> list[str]:
    return [name for name, text in _texts(folder).items() if before[name] != text]
