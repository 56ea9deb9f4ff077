"""What happens to files, from the kernel of Linux: watchdog's inotify, one folder at a time.

watchdog's Observer would follow a whole tree, but not for this: a file that is moved out of the
tree holds back all that follows for half a second, a watch that the system refuses and events that
were lost are told to nobody, and what it knows of folders that were moved may be wrong
(docs/decisions/0017). So only its reader of events is used, and ``Following`` knows the folders.
"""

from __future__ import annotations

import errno
import itertools
import logging
import os
from collections.abc import Callable
from threading import Lock
from typing import Final

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchDescriptor,
)

from objstore._refusals import require_refusal
from objstore.errors import BackingError

from .bursts import Kind
from .eyes import Hear

_MASK: Final = Mask(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_MODIFY
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_MOVED_FROM
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_ONLYDIR
    | InotifyConstants.IN_DONT_FOLLOW
)
_WHOLE: Final = InotifyConstants.IN_CLOSE_WRITE | InotifyConstants.IN_MOVED_TO
_GONE: Final = InotifyConstants.IN_DELETE | InotifyConstants.IN_MOVED_FROM
_SELF: Final = (
    InotifyConstants.IN_DELETE_SELF | InotifyConstants.IN_MOVE_SELF | InotifyConstants.IN_UNMOUNT
)
_CHANGED: Final = InotifyConstants.IN_CREATE | InotifyConstants.IN_MODIFY

_logger: Final = logging.getLogger(__name__)

_NOT_THERE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class Inotify:
    """Tells what happens in folders, each by itself, as ``Eyes`` says."""

    def __init__(self, hear: Hear) -> None:
        self._hear: Final = hear
        self._numbers: Final = itertools.count(1)
        self._lock: Final = Lock()
        self._folders: Final[dict[str, _Folder]] = {}  # guarded by _lock
        try:
            self._reader: Final = InotifyFD()
        except OSError as error:
            raise _refused(error, "this folder") from error
        self._reader.start()

    def add(self, folder: str) -> bool:
        """Tell what happens in a folder from now on; False where no folder is, or only a link.

        Raises BackingError where the system allows no more.
        """
        made = _Folder(folder, CallbackId(next(self._numbers)), self.heard)
        with self._lock:
            known = self._folders.get(folder)
            try:
                made.watch = self._reader.add_callback(
                    os.fsencode(folder), _MASK, made, made.number
                )
            except OSError as error:
                if error.errno in _NOT_THERE:
                    return False
                raise _refused(error, folder) from error
            if made.watch == -1:  # watchdog's answer where the folder may not be read
                raise _refused(PermissionError(errno.EACCES, "Permission denied"), folder)
            self._folders[folder] = made
            if known is not None:
                self._reader.remove_callbacks([(known.watch, known.number)])
        return True

    def forget(self, folder: str, *, alone: bool = False) -> None:
        """Tell no more of a folder, nor, unless ``alone``, of what was in it."""
        below = folder.rstrip("/") + "/"
        with self._lock:
            found = [f for f in self._folders if f == folder or (f.startswith(below) and not alone)]
            gone = [self._folders.pop(path) for path in found]
            self._reader.remove_callbacks([(one.watch, one.number) for one in gone])

    def close(self) -> None:
        self._reader.stop()
        self._reader.join()

    def heard(self, folder: str, event: InotifyEvent | None) -> None:
        """Pass on what happened in a folder; None where it is lost."""
        try:
            if event is None:
                self._hear(folder, Kind.LOST)
            elif event.mask & _SELF:
                self._hear(folder, Kind.FOLDER)
            else:
                self._heard_within(folder, event)
        except Exception:  # one that got out would end the thread that reads events
            _logger.exception("an event of %s was not understood", folder)
            self._hear(folder, Kind.LOST)

    def _heard_within(self, folder: str, event: InotifyEvent) -> None:
        mask = event.mask
        path = f"{folder.rstrip('/')}/{os.fsdecode(event.name)}"
        if mask & InotifyConstants.IN_ISDIR:
            if mask & _GONE:
                # Now, as what happens in there from now on would be told by the wrong name.
                self.forget(path)
            self._hear(path, Kind.FOLDER)
        elif mask & _WHOLE:
            self._hear(path, Kind.WHOLE, move=event.cookie)
        elif mask & _GONE:
            self._hear(path, Kind.GONE, move=event.cookie)
        elif mask & _CHANGED:
            self._hear(path, Kind.OPEN)


class _Folder:
    """One folder's ear, which knows the path that it was made for."""

    def __init__(
        self, path: str, number: CallbackId, heard: Callable[[str, InotifyEvent | None], None]
    ) -> None:
        self.path: Final = path
        self.number: Final = number
        self.watch = WatchDescriptor(-1)
        self._heard: Final = heard

    def on_event(self, event: InotifyEvent) -> None:
        self._heard(self.path, event)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """Nothing: the folder above tells, or the folder itself has told."""

    def on_queue_overflow(self) -> None:
        self._heard(self.path, None)


def _refused(error: OSError, folder: str) -> BackingError:
    require_refusal(error)
    reasons = {
        errno.ENOSPC: "the system's limit of watched folders is reached "
        "(fs.inotify.max_user_watches, see sysctl)",
        errno.EMFILE: "the system's limit of watching programs is reached "
        "(fs.inotify.max_user_instances, see sysctl)",
    }
    reason = reasons.get(error.errno or 0, error.strerror)
    return BackingError(error.errno, f"cannot watch {folder}: {reason}", folder)
