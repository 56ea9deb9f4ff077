"""File names: the one module that makes and parses them. Grammar: docs/formats/names.md.

A key becomes the name of a file or folder by percent-encoding what a file system cannot hold, or
what is special on some. No key makes a name that leads out of its folder.
"""

from __future__ import annotations

import os.path
import re
from hashlib import blake2b
from typing import Final
from uuid import UUID

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

_PLAIN: Final = re.compile("[0-9a-z-]{1,64}")

_TEMPORARY: Final = ".objstore-tmp"

_MOST_OF_LOST: Final = MAX_BYTES - 40
"""How much of a path is in a name of lost+found, in bytes: a digest comes behind it, and the name
has a temporary one."""

_ENGINE: Final = ".objstore"
_RUN: Final = re.compile(r"([0-9]{12,})-([0-9]{12,})\.run")
_TARGET: Final = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([0-9a-f]+)")

_LOG: Final = re.compile(r"([0-9]{8,})-([ab])\.log")
_GENERATIONS: Final = 2**63
"""More than any log comes to; its checksums have room for as many again."""

_VALUE_FILE: Final = re.compile(
    r"([0-9a-f]{8})/([0-9a-f]{4})/([0-9a-f]{4})/([0-9a-f]{4})/([0-9a-f]{12})"
)

_BLOB: Final = re.compile(
    r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(0|[1-9][0-9]{0,17})(|\.wr|\.json|\.ranges)"
)
BLOB_DEPTH: Final = 3
"""How many folders deep a tree of blobs is: one for each first digit of the UUID (seed 000)."""


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
    folder, _, name = path.rpartition("/")
    return f"{folder}/{temporary(name)}"


def engine(root: str) -> str:
    """The folder for all that the engine adds to the store at ``root``.

    A folder in there has a log of its own, and no user's files beside it: it is its own.
    """
    root = root.rstrip("/")
    if root.rpartition("/")[0].endswith(f"/{_ENGINE}"):
        return root
    return f"{root}/{_ENGINE}"


def events(root: str) -> str:
    """The folder of the event log of the store at ``root``."""
    return f"{engine(root)}/events"


def event_index(root: str) -> str:
    """The folder of the index of the event log at ``root``."""
    return f"{root}/index"


def event_run(root: str, first: int, last: int) -> str:
    """The part of the index that has the events from ``first`` to ``last``."""
    return f"{event_index(root)}/{first:012}-{last:012}.run"


def event_run_range(name: str) -> tuple[int, int] | None:
    """The first and the last event of the run with this name; None where it is none's."""
    found = _RUN.fullmatch(name)
    return None if found is None else (int(found[1]), int(found[2]))


def records(parent: str) -> str:
    """The folder of the record keeper in ``parent``."""
    return f"{parent.rstrip('/')}/rk"


def record_head(root: str) -> str:
    """The link to the first event."""
    return f"{root}/head"


def record_tail(root: str) -> str:
    """The link to an event near the last one."""
    return f"{root}/tail"


def record_folder(root: str, uuid: UUID) -> str:
    """The folder of an event, by the first three digits of its UUID: events/9/6/f."""
    return f"{root}/events/{'/'.join(str(uuid)[:3])}"


def record(root: str, uuid: UUID) -> str:
    """The file of an event."""
    return f"{record_folder(root, uuid)}/{uuid}"


def record_next(root: str, uuid: UUID | None) -> str:
    """The link from an event to the one behind it; without one, the link to the first."""
    return record_head(root) if uuid is None else f"{record(root, uuid)}.next"


def record_attempt(root: str, uuid: UUID, token: str) -> str:
    """The file of an event until it is one."""
    return f"{record(root, uuid)}.{token}"


def record_target(uuid: UUID, token: str) -> str:
    """Where a link to an event leads."""
    return f"{uuid}.{token}"


def record_targeted(target: str) -> tuple[UUID, str] | None:
    """The event and the token of a link's target; None for what is none."""
    found = _TARGET.fullmatch(target)
    return None if found is None else (UUID(found[1]), found[2])


def meetings(root: str) -> str:
    """The folder of the joint transactions that are under way."""
    return f"{engine(root)}/tx"


def is_meeting(name: str) -> bool:
    """Whether this may be the id of a joint transaction, or the name of a note."""
    return _PLAIN.fullmatch(name) is not None


def meeting(root: str, id: str) -> str:
    """The folder of one joint transaction. Raises KeyNameError for an id that is none."""
    if not is_meeting(id):
        raise KeyNameError(f"{show(id)} is no joint transaction's id")
    return f"{meetings(root)}/{id}"


def meeting_note(root: str, id: str, name: str) -> str:
    """The file of a note."""
    return f"{meeting(root, id)}/{name}.json"


def meeting_note_name(file: str) -> str | None:
    """The name of the note in a file; None for a file that is no note's."""
    name, dot, ending = file.partition(".")
    return name if dot and ending == "json" and is_meeting(name) else None


def meeting_draft(root: str, uuid: UUID) -> str:
    """The folder in which a note is written: beside the meetings, which others may remove."""
    return f"{meetings(root)}/{temporary(str(uuid))}"


def containers(root: str) -> str:
    """The file of the containers of the store at ``root``."""
    return f"{engine(root)}/containers.sqlite"


def lmdb_data(folder: str) -> str:
    """The file of a Storage in LMDB, by the name that LMDB gives it."""
    return f"{folder}/data.mdb"


def lmdb_lock(folder: str) -> str:
    """The file in which LMDB notes who reads, by the name that it gives it."""
    return f"{folder}/lock.mdb"


def lmdb_turn(folder: str) -> str:
    """The file that the writer of a Storage in LMDB locks."""
    return f"{folder}/turn.lock"


def ignore(root: str) -> str:
    """The file that keeps git out of the engine's folder."""
    return f"{engine(root)}/.gitignore"


def lock(root: str) -> str:
    """The file that the writer locks."""
    return f"{engine(root)}/lock"


def log_compaction_lock(root: str) -> str:
    """The file that is locked while the log is compacted, or repaired."""
    return f"{engine(root)}/lock-compaction"


def manifest(root: str) -> str:
    """The file that says which store this is."""
    return f"{engine(root)}/manifest.json"


def index(root: str) -> str:
    """The file of the heads."""
    return f"{engine(root)}/index"


def pins(root: str) -> str:
    """The file that names the pinned commits."""
    return f"{engine(root)}/pins.json"


def lost_and_found(root: str) -> str:
    """The folder for what recovery would not throw away."""
    return f"{engine(root)}/lost+found"


def lost(root: str, path: str, data: bytes) -> str:
    """Where bytes go that were found in a file of the store and are not to be thrown away.

    Any path has a name there: of a long one the end, and without bytes that are no text.
    """
    whole = os.fsencode(path)
    name = _SPECIAL.sub(_percent, whole.decode(errors="ignore").replace("/", "-")).encode()
    end = name[-_MOST_OF_LOST:].decode(errors="ignore").lstrip(".")
    told = blake2b(whole + b"\0" + data, digest_size=8).hexdigest()
    return f"{lost_and_found(root)}/{end}.{told}"


def boot(root: str) -> str:
    """The file that says in which run of the machine the store was last written."""
    return f"{engine(root)}/boot"


def written(root: str) -> str:
    """The file that says up to which commit files were written, of those to be written later."""
    return f"{engine(root)}/written"


def logs(root: str) -> str:
    """The folder of the log's files."""
    return f"{engine(root)}/log"


def log(root: str, generation: int) -> str:
    """The log's file of a generation: 00000007-a.log, 00000008-b.log, by turns."""
    return f"{logs(root)}/{_log(generation)}"


def generation(name: str) -> int | None:
    """The generation whose file has this name; None where no file of the log has."""
    found = _LOG.fullmatch(name)
    number = 0 if found is None else int(found[1])
    return number if number < _GENERATIONS and _log(number) == name else None


def value_file(base: str, file_id: UUID) -> str:
    """A value file, in a folder for each of its id's parts but the last (seed 003)."""
    return f"{base.rstrip('/')}/{str(file_id).replace('-', '/')}"


def value_list(root: str) -> str:
    """The list of the files of a value log."""
    return f"{root}/valuelog.json"


def values(root: str) -> str:
    """The folder of a value log's files."""
    return f"{root}/values"


def value_id(root: str, path: str) -> UUID | None:
    """The id of a value log's file; None where no file of it has this path."""
    found = _VALUE_FILE.fullmatch(path.removeprefix(f"{values(root)}/"))
    return None if found is None else UUID("".join(found.groups()))


def hints(root: str) -> str:
    """The folder of a value log's hints."""
    return f"{root}/hints"


def hint(root: str, file_id: UUID) -> str:
    """What spares reading the frames of a value log's file."""
    return f"{hints(root)}/{file_id}"


def values_lock(root: str) -> str:
    """The file that the writer of a value log locks."""
    return f"{root}/lock"


def compaction_lock(root: str) -> str:
    """The file that is locked while a value log is compacted."""
    return f"{root}/lock-compaction"


def _log(generation: int) -> str:
    return f"{generation:08}-{'a' if generation % 2 else 'b'}.log"


def depot(parent: str) -> str:
    """The folder of the blobs of a depot in ``parent``."""
    return f"{parent.rstrip('/')}/depot"


def blob_folders(parent: str, uuid: str) -> list[str]:
    """The folders that a blob is in, from the depot's own down to that of its file."""
    folders = [depot(parent)]
    for digit in uuid[:BLOB_DEPTH]:
        folders.append(f"{folders[-1]}/{digit}")
    return folders


def is_digit(name: str) -> bool:
    """Whether a folder of the tree of blobs has this name."""
    return len(name) == 1 and name in "0123456789abcdef"


def blob(folder: str, uuid: str, version: int, ending: str = "") -> str:
    """A file of a blob in its folder; the one with its bytes has no ending, or ``.wr``."""
    return f"{folder}/{uuid}.{version}{ending}"


def parse_blob(name: str) -> tuple[str, int, str] | None:
    """The UUID, version and ending of a blob's file; None where the name is none of a blob."""
    found = _BLOB.fullmatch(name)
    return None if found is None else (found[1], int(found[2]), found[3])


def own_temporary_path(path: str, token: str) -> str:
    """As ``temporary_path``, where others may write to the same path at the same time."""
    folder, name = os.path.split(path)
    return f"{folder}/{temporary(f'{name}-{token}')}"


def other_case(name: str) -> str:
    """The name with the case of its ASCII letters swapped; other letters have no sure opposite."""
    if name.isascii():
        return name.swapcase()
    return "".join(c.swapcase() if c.isascii() else c for c in name)


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode())


def _plain(match: re.Match[str]) -> str:
    return bytes.fromhex(match[0].replace("%", "")).decode()
