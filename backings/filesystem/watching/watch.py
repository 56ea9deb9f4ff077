"""Watching a folder: from what the system tells of files to units that may have changed.

Nothing is polled: as long as nothing happens, two threads wait. What happens is gathered until it
is over (``bursts``), looked at, and told in bursts, on a thread of the watch's own. It says what
may have changed; whether it did is for who hears it to find out.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Collection, Iterable
from functools import partial
from threading import Condition, RLock, Thread, current_thread
from typing import Final

from objstore.errors import BackingError
from objstore.watchable import Burst, Hear

from .. import git, names
from ..addresses import Addresses
from ..io import Files
from ..places import Places
from .bursts import GONE, MANY, Batch, Kind, OpenBurst
from .eyes import open_eyes
from .following import Following, Sight
from .owed import Owed, Place, Seen

_logger: Final = logging.getLogger(__name__)

_GIT_AGAIN: Final = 0.01
_GIT_AFTER: Final = 0.25
"""How long nothing may happen after git is done: on a busy machine its last events come late."""

_GIT_LONGEST: Final = 30.0
"""How long a burst waits for git at the most, in seconds."""


class Watch:
    """Tells what changes in a store's folder, from when it is made until it is ended.

    ``hear`` is called by one thread, and ``known`` gives the units that the log has. What was
    ``missed``, asked with the files that are there, is told first. Raises BackingError where the
    system cannot watch so much.
    """

    def __init__(
        self,
        files: Files,
        places: Places,
        hear: Hear,
        known: Callable[[], Iterable[str]],
        missed: Callable[[Addresses, Collection[str]], Iterable[tuple[str, Kind]]],
    ) -> None:
        self._files: Final = files
        self._hear: Final = hear
        self._known: Final = known
        self._missed: Final = missed
        self._engine: Final = names.engine(files.root)
        self._logs: Final = names.logs(files.root)
        self._process: Final = os.getpid()
        # Entered by itself: the Condition's methods are Python's, and may be interrupted amid it.
        self._lock: Final = RLock()
        self._news: Final = Condition(self._lock)
        # Guarded by _lock.
        self._burst: Final = OpenBurst()
        self._wakes: float | None = None
        """When the thread looks again if it hears nothing; None for never."""
        self._git_worked = False
        self._ended = False
        # Written by the watch's own thread alone.
        self._awaited = files.root
        """The folder that is to appear before the store's can, or the store's."""
        self._above: str | None = None
        """The folder that is watched for it."""
        self._since = time.time_ns()
        self._is_open = False
        self._owed: Final = Owed[Seen]()
        self._unseen: Final = Owed[Place]()
        self._addresses: Final = Addresses(files, places)
        self._eyes: Final = open_eyes(files, self._heard)
        self._following: Final = Following(
            files, self._addresses, self._is_watched, self._eyes.forget
        )
        self._thread: Final = Thread(target=self._run, name=f"watch {files.root}", daemon=True)
        try:
            self._find_root(self._look_below_root)
            self._follow(self._look_back)
        except BaseException:
            self._eyes.close()
            raise
        self._is_open = True
        self._thread.start()

    def end(self) -> None:
        """Tell nothing any more. Ending again does nothing, nor does it in a forked child."""
        # A child has the parent's kernel objects and none of its threads: to end the watch there
        # would end it for the parent.
        if os.getpid() != self._process:
            return
        with self._lock:
            if self._ended:
                return
            self._ended = True
            self._news.notify()
        if current_thread() is not self._thread:
            self._thread.join()
        self._eyes.close()

    # --- on the thread that reads events ----------------------------------------------------------

    def _heard(self, path: str, kind: Kind, *, move: int = 0) -> None:
        meant, kind = (None, kind) if self._ended else self._meant(path, kind)
        if meant is None:
            return
        with self._lock:
            now = time.monotonic()
            self._burst.put(meant, kind, now, move=move)
            burst, wait = self._burst, 0.0 if self._wakes is None else self._wakes - now
            if (
                self._wakes is None
                or (burst.is_whole and wait > MANY)
                or (burst.is_closed and wait > GONE)
            ):
                self._news.notify()

    def _meant(self, path: str, kind: Kind) -> tuple[str | None, Kind]:
        """What is to be looked at because of an event; None for nothing of the store's."""
        if kind is Kind.LOST:
            return self._files.root, kind
        if path.startswith(self._engine):
            return self._meant_of_engine(path), Kind.WHOLE
        if kind is not Kind.FOLDER:
            return path if self._addresses.unit(path) is not None else None, kind
        if self._addresses.folder(path) is not None:
            self._is_watched(path)  # at once, or what is made in it meanwhile would not be told
            return path, kind
        if self._awaited.startswith(path):
            self._is_watched(self._files.root)
            return self._files.root, kind
        return None, kind

    def _meant_of_engine(self, path: str) -> str | None:
        if path in (self._engine, self._logs):
            self._watch_log()
        elif not path.startswith(self._logs + "/"):
            return None
        return self._logs

    # --- on either thread -------------------------------------------------------------------------

    def _watch_log(self) -> None:
        if self._is_watched(self._engine):
            self._is_watched(self._logs)

    def _is_watched(self, folder: str) -> bool:
        """Watch a folder; False where none is."""
        try:
            return self._eyes.add(folder)
        except BackingError as error:
            if not self._is_open:  # whoever opens the store is told
                raise
            _logger.error("%s; changes there are noticed only when they are met", error)  # noqa: TRY400
            return False

    # --- on the watch's own thread ----------------------------------------------------------------

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            self._follow(partial(self._look_and_tell, batch))

    def _follow(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception:  # whatever it is, what comes after it can be followed
            _logger.exception("what happened in %s could not be followed", self._files.root)

    def _look_back(self) -> None:
        """Gather what was missed, as if it happened now: somebody may be at it still."""
        for path, kind in self._missed(self._addresses, self._following.paths()):
            with self._lock:
                self._burst.put(path, kind, time.monotonic())

    def _look_and_tell(self, batch: Batch) -> None:
        self._tell_or_owe(self._look(batch))
        self._unseen.settle(self._look_again)
        self._owed.settle(self._tell)

    def _look_again(self, place: Place) -> bool:
        """Look at what could not be looked at, and tell of it; False where it still cannot."""
        try:
            seen = self._seen_in(place, set())
        except Exception:  # as it was logged when it was owed
            _logger.debug("%s still cannot be followed", place.folder, exc_info=True)
            return False
        self._tell_or_owe(seen)
        return True

    def _tell_or_owe(self, seen: Seen) -> None:
        # Without the units that are owed: an attempt may be what has changed those.
        owed = {unit for one in self._owed.all for unit in one.units}
        units = {unit: path for unit, path in seen.units.items() if unit not in owed}
        seen = seen._replace(units=units)
        if not self._tell(seen):
            self._owed.add(seen)

    def _tell(self, seen: Seen) -> bool:
        """Tell of it, and come back to units that are in doubt; False where that did not do."""
        if not seen.units and not seen.appended:
            return True
        doubtful = self._hear(Burst(sorted(seen.units), seen.there, seen.appended))
        if doubtful is None:
            return False
        with self._lock:
            for unit in doubtful:
                self._burst.put(seen.units[unit], Kind.DOUBTFUL, time.monotonic())
        return True

    def _next(self) -> Batch | None:
        """Wait for what happens next, until it is over, or for what is owed; None at the end."""
        with self._lock:
            while not self._ended:
                now = time.monotonic()
                self._wakes = self._due(now) if self._burst else None
                if self._wakes is not None and self._wakes <= now:
                    return self._burst.take(now)
                dues = self._wakes, self._owed.due, self._unseen.due
                times = [one for one in dues if one is not None]
                wait = min(times) - now if times else None
                if wait is not None and wait <= 0:
                    return Batch([], [], lost=False)
                self._news.wait(wait)
        return None

    def _due(self, now: float) -> float:
        due = self._burst.due()
        if self._git_worked:
            due = max(due, self._burst.last + _GIT_AFTER)
        if due > now or now - self._burst.first > _GIT_LONGEST:
            return due
        if git.is_at_work(self._files):
            self._git_worked = True
            return now + _GIT_AGAIN
        self._git_worked = False
        return due

    def _look(self, batch: Batch) -> Seen:
        paths = set(batch.files)
        # The store's folder has the log, which nobody has watched until now.
        is_new = batch.lost or self._files.root in batch.folders
        appended = is_new or self._logs in paths
        paths.discard(self._logs)
        there = {path for path in paths if self._following.note(path)}
        units, known = self._units(paths), {*self._units(there)}
        for folder in [self._files.root] if is_new else batch.folders:
            place = Place(folder, batch.lost)
            try:
                seen = self._seen_in(place, paths)
            except Exception:  # whatever it is, the rest can be followed
                if place not in self._unseen.all:
                    _logger.exception("what happened in %s cannot be followed for now", folder)
                self._unseen.add(place)
                continue
            units |= seen.units
            known |= seen.there
        return Seen(units, known, appended)

    def _seen_in(self, place: Place, paths: Collection[str]) -> Seen:
        """The units that may have changed; with those that came and went before they were seen.

        Of ``paths`` somebody else says whether they were there.
        """
        folder, pointer = place.folder, self._addresses.folder(place.folder) or ""
        known = [unit for unit in self._known() if unit.startswith(pointer + "/")]
        if place.lost:
            sight = self._find_root(self._look_for_changes)
        elif folder == self._files.root:
            sight = self._find_root(self._look_below_root)
        else:
            sight = self._following.look_again(folder)
        now = self._units(sight.there)
        gone = {unit: folder + unit.removeprefix(pointer) for unit in known if unit not in now}
        there = {*self._units(sight.before.difference(paths))}
        return Seen(gone | self._units(sight.changed), there, appended=False)

    def _units(self, paths: Iterable[str]) -> dict[str, str]:
        found = ((self._addresses.unit(path), path) for path in paths)
        return {unit: path for unit, path in found if unit is not None}

    def _look_below_root(self) -> Sight:
        return self._following.look_again(self._files.root)

    def _look_for_changes(self) -> Sight:
        begun = time.time_ns()
        sight = self._following.look_for_changes(self._since)
        self._since = begun
        return sight

    def _find_root(self, look: Callable[[], Sight]) -> Sight:
        """Look at the whole store; where its folder is missing, wait for it."""
        sight, seen = look(), ""
        while not self._following.is_known(self._files.root):
            self._await_root()
            if self._awaited == seen or not self._files.exists(self._awaited):
                return sight
            seen = self._awaited
            again = look()
            before = sight.before | again.before
            sight = Sight(sight.changed | again.changed, again.there, before)
        self._await_nothing()
        self._watch_log()
        return sight

    def _await_root(self) -> None:
        """Watch the nearest folder that is there for the next one on the way to the store's."""
        self._await_nothing()
        above = os.path.dirname(self._files.root)
        while not self._is_watched(above) and above != os.path.dirname(above):
            self._awaited, above = above, os.path.dirname(above)
        self._above = above

    def _await_nothing(self) -> None:
        self._awaited = self._files.root
        if self._above is not None:
            self._eyes.forget(self._above, alone=True)
            self._above = None
