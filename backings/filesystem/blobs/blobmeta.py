"""The metadata of a blob, as its file has it. Grammar: docs/formats/depot.md."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from objstore.errors import CorruptionError, FormatError

from ..log import jsonline
from ..log.manifest import check_of

FORMAT: Final = 1


class Found(NamedTuple):
    """What was found when a blob was finalized."""

    size: int
    sha256: str
    time: datetime


class BlobMeta(NamedTuple):
    """What was said when a blob was reserved, and found when it was finalized."""

    size: int | None
    part_size: int
    sha256: str | None
    made: datetime
    meta: dict[str, Any]
    final: Found | None = None

    def encode(self) -> bytes:
        """The file's text, with its checksum."""
        said: dict[str, Any] = {
            "format": FORMAT,
            "size": self.size,
            "part_size": self.part_size,
            "sha256": self.sha256,
            "made": _text(self.made),
            "meta": self.meta,
        }
        if self.final is not None:
            said["final"] = {**self.final._asdict(), "time": _text(self.final.time)}
        text = json.dumps({**said, "crc32c": check_of(said)}, indent=2, ensure_ascii=False)
        return text.encode() + b"\n"


def parse(data: bytes, file: str) -> BlobMeta:
    """The metadata in a file called ``file``.

    Raises CorruptionError where its bytes are not as written, FormatError for a version to come.
    """
    try:
        said = jsonline.load_object(data)
    except ValueError as error:
        raise CorruptionError("this is no metadata of a blob", file=file) from error
    if said.pop("crc32c", None) != check_of(said):
        raise CorruptionError("the metadata does not fit its checksum", file=file)
    if said["format"] != FORMAT:
        reason = f"format {said['format']} is not known; this program reads and writes {FORMAT}"
        raise FormatError(reason, source=file)
    final = said.get("final")
    return BlobMeta(
        said["size"],
        said["part_size"],
        said["sha256"],
        datetime.fromisoformat(said["made"]),
        said["meta"],
        None if final is None else _final(final),
    )


def _final(said: dict[str, Any]) -> Found:
    return Found(said["size"], said["sha256"], datetime.fromisoformat(said["time"]))


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"
