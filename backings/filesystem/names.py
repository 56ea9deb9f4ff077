"""File names: the one module that makes and parses them. Grammar: docs/formats/names.md.

A key becomes the name of a file or folder by percent-encoding what a file system cannot hold, or
what is special on some. No key makes a name that leads out of its folder.
"""

from __future__ import annotations

import os.path
import re
from hashlib import blake2b
from typing import Final

from objstore.errors import KeyNameError
from objstore.values import show

MAX_BYTES: Final = 255
"""How long a name may be, in bytes: the limit of ext4, XFS, APFS, and in characters of NTFS."""

# Reserved on Windows in any case, and also with an extension ("Naming Files, Paths, and
# Namespaces"; the superscript digits count as digits there).
_DEVICE: Final = r"(?i:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[1-9¹²³])[ ]*(?:\.|\Z)"

# Each match is one character that cannot stand for itself where it stands.
_SPECIAL: Final = re.compile(
    r'[\x00-\x1f\x7f-\x9f/\\<>:"|?*]'  # control characters, separators, refused by Windows
    r"|\A\."  # hidden files, "." and ".."
    r"|[. ]\Z"  # dropped in silence by Windows
    r"|%(?=[0-9A-Fa-f]{2})"  # reads as an encoding
    rf"|\A(?={_DEVICE})."
)
_ENCODED: Final = re.compile(r"(?:%[0-9A-F]{2})+")

_TEMPORARY: Final = ".objstore-tmp"

_LOG: Final = re.compile(r"([0-9]{8,})-([ab])\.log")


def encode(key: str, room: int = 0) -> str:
    """The name of the key's folder, or of its file without the ending; the ending has ``room``.

    Raises KeyNameError for a key that no name can hold: the empty one, one with a lone surrogate,
    one whose name would have more than MAX_BYTES with the room.
    """
    if not key:
        raise KeyNameError('the empty key "" can be no file\'s name')
    name = _SPECIAL.sub(_percent, key) if _SPECIAL.search(key) else key
    try:
        length = len(name.encode()) + room
    except UnicodeEncodeError as error:
        raise KeyNameError(f"the key {show(key)} has a lone surrogate") from error
    if length > MAX_BYTES:
        raise KeyNameError(
            f"the key {show(key)} is too long: its file's name would have {length} bytes, and"
            f" {MAX_BYTES} are the limit"
        )
    return name


def decode(name: str) -> str | None:
    """The key whose name (without an ending) this is; None where no key makes it.

    The inverse of ``encode``: a name that could be read as a key, but that the key would not make
    (``a%2fb``, ``%41``), belongs to no key, so that two names never mean the same one.
    """
    if _SPECIAL.search(name) is None and name.isascii() and 0 < len(name) <= MAX_BYTES:
        return name
    try:
        key = _ENCODED.sub(_plain, name) if "%" in name else name
        return key if encode(key) == name else None
    except (UnicodeDecodeError, KeyNameError):
        return None


def check(name: str) -> str:
    """A name that a layout gives, unchanged. Raises KeyNameError where it is no single name."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise KeyNameError(f"{show(name)} is not the name of a file in its folder")
    if len(name.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise KeyNameError(f"the name {show(name)} is longer than {MAX_BYTES} bytes")
    return name


def temporary(name: str) -> str:
    """The name of the file that is written first and then renamed to ``name``.

    It is the same every time: what a dead writer left behind is found, and replaced, by the next.
    """
    if len(name.encode("utf-8", "surrogateescape")) + len(_TEMPORARY) + 1 > MAX_BYTES:
        name = blake2b(name.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    return f".{name}{_TEMPORARY}"


def is_temporary(name: str) -> bool:
    """Whether ``temporary`` makes this name."""
    return name.startswith(".") and name.endswith(_TEMPORARY)


def temporary_path(path: str) -> str:
    """The path of the file that is written first and then renamed to ``path``."""
    folder, name = os.path.split(path)
    return f"{folder}/{temporary(name)}"


def engine(root: str) -> str:
    """The folder for all that the engine adds to the store at ``root``."""
    return f"{root.rstrip('/')}/.objstore"


def ignore(root: str) -> str:
    """The file that keeps git out of the engine's folder."""
    return f"{engine(root)}/.gitignore"


def lock(root: str) -> str:
    """The file that the writer locks."""
    return f"{engine(root)}/lock"


def manifest(root: str) -> str:
    return f"{engine(root)}/manifest.json"


def logs(root: str) -> str:
    """The folder of the log's files."""
    return f"{engine(root)}/log"


def log(root: str, generation: int) -> str:
    """The log's file of a generation: 00000007-a.log, 00000008-b.log, by turns."""
    return f"{logs(root)}/{_log(generation)}"


def generation(name: str) -> int | None:
    """The generation whose file has this name; None where no file of the log has."""
    found = _LOG.fullmatch(name)
    if found is None or _log(int(found[1])) != name:
        return None
    return int(found[1])


def _log(generation: int) -> str:
    return f"{generation:08}-{'a' if generation % 2 else 'b'}.log"


def other_case(name: str) -> str:
    """The name with the case of its ASCII letters swapped; other letters have no sure opposite."""
    if name.isascii():
        return name.swapcase()
    return "".join(c.swapcase() if c.isascii() else c for c in name)


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode())


def _plain(match: re.Match[str]) -> str:
    return bytes.fromhex(match[0].replace("%", "")).decode()
