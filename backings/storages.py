"""What every maker of Storage says and reckons in the same way."""

from __future__ import annotations

import errno
import re
from typing import Final

from objstore.errors import (
    BusyError,
    ClosedError,
    ConflictError,
    ContainerNotFoundError,
    CorruptionError,
    DuplicateContainerError,
    DuplicateStorageError,
    FormatError,
    KeyNotFoundError,
    ReadOnlyError,
    StorageNotFoundError,
    TransactionError,
)
from objstore.values import MISSING, show

WAIT: Final = 30.0
"""Seconds that a writer waits for its turn, unless told otherwise."""

_LAST: Final = "\U0010ffff"
_SURROGATE: Final = re.compile("[\ud800-\udfff].*", re.DOTALL)
_FIRST_BEHIND: Final = "\ue000"
"""As a bound it is where no text is between: that with a surrogate, which no key has, and this."""


def no_storage(path: str, why: str = "there is no storage") -> StorageNotFoundError:
    return StorageNotFoundError(errno.ENOENT, why, path)


def duplicate_storage(path: str) -> DuplicateStorageError:
    return DuplicateStorageError(errno.EEXIST, "something is there already", path)


def no_container(c_id: str) -> ContainerNotFoundError:
    return ContainerNotFoundError(f"there is no container {show(c_id)}")


def duplicate_container(c_id: str) -> DuplicateContainerError:
    return DuplicateContainerError(f"there is a container {show(c_id)} already")


def no_key(c_id: str, key: str) -> KeyNotFoundError:
    return KeyNotFoundError(f"the container {show(c_id)} has no key {show(key)}")


def readonly(path: str) -> ReadOnlyError:
    return ReadOnlyError(errno.EROFS, "this storage was opened with readonly=True", path)


def reading(path: str) -> ReadOnlyError:
    reason = "nothing can be changed within transaction(write=False)"
    return ReadOnlyError(errno.EROFS, reason, path)


def closed(path: str) -> ClosedError:
    return ClosedError(f"the storage {path} is closed")


def busy(path: str, wait: float) -> BusyError:
    reason = f"others were writing for longer than this writer waits ({wait:g} s)"
    return BusyError(errno.ETIMEDOUT, reason, path)


def overtaken(path: str) -> ConflictError:
    return ConflictError(
        f"{path} was changed by somebody else since this transaction read from it",
        pointer="",
        base=MISSING,
        ours=MISSING,
        theirs=MISSING,
    )


def running() -> TransactionError:
    return TransactionError("this thread has begun a transaction already")


def not_running() -> TransactionError:
    return TransactionError("this thread has not begun a transaction")


def over() -> TransactionError:
    return TransactionError("the transaction of this iteration has ended")


def bounds(prefix: str, start: str | None, stop: str | None) -> tuple[str, str | None]:
    """The range of keys that a scan covers: the first, and the first behind it, if there is one."""
    for name, given in (("prefix", prefix), ("start", start), ("stop", stop)):
        if not isinstance(given, str) and (given is not None or name == "prefix"):
            raise TypeError(f"{name} must be text, not {given!r}")
    low = max(prefix, start or "")
    ends = [end for end in (stop, _behind(prefix)) if end is not None]
    high = min(ends, default=None)
    return _SURROGATE.sub(_FIRST_BEHIND, low), high and _SURROGATE.sub(_FIRST_BEHIND, high)


def _behind(prefix: str) -> str | None:
    """The first text in the order of code points that comes after all that begin with ``prefix``.

    None where nothing does. Surrogates are passed over, as no text has them.
    """
    prefix = prefix.rstrip(_LAST)
    if not prefix:
        return None
    following = ord(prefix[-1]) + 1
    return prefix[:-1] + chr(0xE000 if following == 0xD800 else following)


def is_storable(text: str) -> bool:
    """Whether UTF-8 can hold it. What cannot be stored is not there, to be read or deleted."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def goes_on(error: BaseException) -> bool:
    """Whether a transaction goes on after this error: it was told before anything was written."""
    return isinstance(
        error, ContainerNotFoundError | DuplicateContainerError | ReadOnlyError | FormatError
    )


def miscounted(c_id: str, found: int, size: int, file: str) -> CorruptionError:
    """The error for items that are missing, or too many."""
    return CorruptionError(f"container {show(c_id)} has {found} items of {size}", file=file)
