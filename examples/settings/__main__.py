"""``python -m examples.settings``: an application's settings in YAML, with their comments.

Works on a temporary copy of ``settings.yaml``.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import objstore
from objstore import FormatError, ValidationError

from ..report import diff, fact, refused, section
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


if __name__ == "__main__":
    main()
