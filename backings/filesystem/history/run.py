"""In which run of the machine all of a store was put in order: .objstore/boot. Format:
docs/formats/commit-log.md."""

from __future__ import annotations

from typing import Final

from .. import names
from ..io import Files
from ..temporaries import replace

_LINE: Final = 4096


class Run:
    """Whether the machine has stopped since, so that files may be torn, and older than they were.

    It is found out when the log is first seen, and holds until somebody has put all in order: this
    handle, or another one.
    """

    def __init__(self, files: Files) -> None:
        self._files: Final = files
        self._path: Final = names.boot(files.root)
        self.stopped = False
        """Whether it may have, and nobody is known to have put all in order."""

    def is_same(self) -> bool:
        """Whether the machine has been running since; False where the system does not say."""
        run = self._files.run()
        found = self._files.read(self._path, _LINE)
        return found is not None and run is not None and found.data == run

    def see(self) -> None:
        """Find out whether it has stopped, for who sees a log that was not left in order."""
        self.stopped = not self.is_same()

    def is_over(self) -> bool:
        """Whether it had stopped, and as is seen now another handle has put all in order."""
        if not (self.stopped and self.is_same()):
            return False
        self.stopped = False
        return True

    def is_new(self) -> bool:
        """Whether nobody has put all in order in this run; False where the system does not say."""
        return self._files.run() is not None and not self.is_same()

    def note(self) -> None:
        """Write down that all is in order as of this run, for who holds the writer's lock."""
        run = self._files.run()
        if run is not None and not self.is_same():
            replace(self._files, self._path, run, sync=False)
        self.stopped = False
