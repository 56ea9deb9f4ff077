"""The manifest: which store this is, in which format. Grammar: docs/formats/commit-log.md."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple, cast
from uuid import UUID

from objstore.errors import CorruptionError, FormatError

from . import jsonline
from .frames import crc32c

FORMAT: Final = 1
"""The version of everything in the engine's folder."""


class Manifest(NamedTuple):
    """What a store is, for as long as it lives."""

    store: UUID
    options: dict[str, Any]
    format: int = FORMAT

    def encode(self) -> bytes:
        said = {"format": self.format, "store": str(self.store), "options": self.options}
        return json.dumps({**said, "crc32c": check_of(said)}, indent=2).encode() + b"\n"


def parse(data: bytes, file: str) -> Manifest:
    """The manifest in a file called ``file``.

    Raises CorruptionError where its bytes are not as written, or say what none of ours does,
    FormatError for a version to come.
    """
    try:
        said = jsonline.load_object(data)
        fits = said.pop("crc32c", None) == check_of(said)
    except ValueError as error:
        raise CorruptionError("this is no manifest", file=file) from error
    if not fits:
        raise CorruptionError("the manifest does not fit its checksum", file=file)
    if "format" in said:
        check_format(said["format"], file)  # first: in one to come, all else may be other things
    try:
        store, options = UUID(said["store"]), said["options"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptionError("this does not say which store it is", file=file) from error
    if "format" not in said or not isinstance(options, dict):
        raise CorruptionError("this is the manifest of no store", file=file)
    return Manifest(store, cast("dict[str, Any]", options))


def check_format(version: object, file: str) -> None:
    """Raise FormatError for a version that this program does not know."""
    if version != FORMAT:
        reason = f"format {version} is not known; this program reads and writes format {FORMAT}"
        raise FormatError(reason, source=file)


def check_of(said: dict[str, Any]) -> str:
    """The checksum of what a file in JSON says, as it is written in it."""
    text = json.dumps(said, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return f"{crc32c(text.encode()):08x}"
