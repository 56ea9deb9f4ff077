"""renameat2(2), which Python does not offer: two files change their names in one step.

Part of the seam, and used by it alone.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from typing import Final, cast

_HERE: Final = -100
"""AT_FDCWD: paths are not below an open folder; ours are absolute."""

_NO_REPLACE: Final = 1
_EXCHANGE: Final = 2

CANNOT: Final = frozenset((errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM))
"""What an old kernel, another system, or a file system says that does not know how."""


def _find() -> Callable[..., int] | None:
    try:
        found = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:  # no such function
        return None
    text, number = ctypes.c_char_p, ctypes.c_int
    found.argtypes = [number, text, number, text, ctypes.c_uint]
    return cast("Callable[..., int]", found)


_rename: Final = _find()


def exchange(one: str, other: str) -> None:
    """Give two files each other's name. Raises OSError, with a number of CANNOT for no way."""
    _call(one, other, _EXCHANGE)


def place(path: str, target: str) -> None:
    """Rename to a name that is free. Raises FileExistsError, OSError."""
    try:
        _call(path, target, _NO_REPLACE)
    except OSError as error:
        if error.errno not in CANNOT:
            raise
        if os.path.isdir(path):
            _place_folder(path, target)
        else:
            os.link(path, target)
            os.unlink(path)


def _place_folder(path: str, target: str) -> None:
    try:
        os.rename(path, target)  # which takes the place of nothing but an empty folder
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.ENOTDIR):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from error
        raise


def _call(one: str, other: str, how: int) -> None:
    if _rename is None:
        raise OSError(errno.ENOSYS, "", other)
    if _rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), how) != 0:
        raise OSError(ctypes.get_errno(), "", other)
