"""``python -m examples.settings``: an application's settings in YAML, with their comments.

Works on a temporary copy of ``settings.yaml``. ``python -m examples.settings FOLDER`` is a service
that follows the ``settings.yaml`` in a folder, until it is interrupted: edit the file and see.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import objstore
from objstore import FormatError, Invalid, Mended, ValidationError

from ..report import diff, fact, line, refused, section
from .settings import Config, Settings

FILE = Path(__file__).with_name("settings.yaml")


def main() -> None:
    """Show every step on a copy of the file."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(shutil.copy(FILE, scratch))
        with objstore.open(scratch, Config) as store:
            reading(store.root.settings, file)
            changing(store, file)
            refusing(store.root.settings, file)
            meeting_a_broken_file(store.root, file)
        following_edits(file)


def serve(folder: str) -> None:
    """Follow the settings in a folder; the file is made from the example's if it is missing."""
    file = Path(folder, FILE.name)
    if not file.exists():
        shutil.copy(FILE, file)
    with objstore.open(folder, Config, watch=True) as store:
        line(f"serves on port {store.root.settings.server.port}; edit {file}")
        with suppress(KeyboardInterrupt):
            for _ in reloads(store):
                pass


def reading(settings: Settings, file: Path) -> None:
    """Defaults are read as if they stood in the file, and are not written into it."""
    section("1. Sections are attributes, and defaults are not written")
    before = file.read_text()
    fact("server.port", f"{settings.server.port}")
    fact("admins", list(settings.admins))
    fact("server.workers", f"{settings.server.workers} (a default)")
    fact("cache.keep", f"{settings.cache.keep} (a default, as is the whole section)")
    fact("file changed", "yes" if file.read_text() != before else "no")


def changing(store: objstore.Store[Config], file: Path) -> None:
    """One transaction is one write of the file."""
    section("2. Changes keep comments and order")
    before = file.read_text()
    settings = store.root.settings
    with store.transaction():
        settings.admins.append("eve")
        settings.mail.per_minute = 90
        settings.cache.keep = 60
    diff(file.name, before, file.read_text())


def refusing(settings: Settings, file: Path) -> None:
    """A typing error in a key is refused as well as a wrong value."""
    section("3. What does not fit is refused")
    before = file.read_text()
    with refused(ValidationError):
        settings.server.update({"port": 80800, "tiemout": 60})
    with refused(ValidationError):
        settings.log["level"] = "verbose"
    fact("file changed", "yes" if file.read_text() != before else "no")


def meeting_a_broken_file(root: Config, file: Path) -> None:
    """The next use of the settings sees what was done in an editor."""
    section("4. A file broken by hand is told with line and column")
    whole = file.read_text()
    file.write_text(whole.replace("sender: ", "sender "))
    with refused(FormatError):
        fact("mail.sender", root.settings.mail.sender)
    file.write_text(whole)
    fact("mail.sender, mended", root.settings.mail.sender)


def following_edits(file: Path) -> None:
    """A service need not be started again: it is told, and its objects are up to date."""
    section("5. A service follows edits of the file")
    whole = file.read_text()
    edits = [
        whole.replace("port: 8080", "port: 9090"),
        whole.replace("port: 8080", "port: 90900"),
        whole.replace("port: 8080", "port:\n\t9090"),
        whole.replace("port: 8080", "port: 7070"),
    ]
    with objstore.open(file.parent, Config, watch=True) as store:
        reloaded = reloads(store)
        line(f"serves on port {store.root.settings.server.port}")
        for text in edits:
            file.write_text(text)
            next(reloaded)


def reloads(store: objstore.Store[Config]) -> Iterator[None]:
    """Report each change of the settings as it comes."""
    settings, changes = store.root.settings, store.changes("settings")

    def report() -> Iterator[None]:
        for news in changes:
            if isinstance(news, Mended):
                continue
            if isinstance(news, Invalid):
                line(news.reason)
            line(f"serves on port {settings.server.port}")
            yield

    return report()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve(sys.argv[1])
    else:
        main()
