"""Seed 000's record keeper: events as a linked list of files. See docs/formats/record-keeper.md.

Nobody locks anything: an event is in the log from the moment that the link to it is made, and a
link can be made once. Whoever comes second sees it, and tries again behind it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from operator import itemgetter
from secrets import token_hex
from typing import Final, NamedTuple
from uuid import UUID

from objstore import eventlines, keeper, sealing
from objstore.errors import BackingError, ClosedError, CorruptionError, EventNotFoundError
from objstore.event import Event, check_uuid
from objstore.keeper import Place
from objstore.sealing import EMPTY, Head, Signer

from .. import names
from ..io import Files, UncertainError
from ..log.logwriter import Certainty

_MAX_EVENT: Final = 1 << 30

_HINT: Final = 16
"""Every so many events the link ``tail`` is brought up to date."""

_NAMED: Final = "0"
"""The token of what has its own name."""


class Link(NamedTuple):
    """Where a link leads."""

    uuid: UUID
    token: str
    """In the name of the event's file, until somebody has given it its own."""


class RecordKeeper(keeper.RecordKeeper):
    """Events in ``parent_directory``/rk, a file each; nothing is made before the first.

    ``extend`` adds one event after another. Others' may come in between, and a crash may leave the
    first of them. Source: seed 000.
    """

    def __init__(
        self,
        parent_directory: str | os.PathLike[str] | Files,
        *,
        sync: bool = True,
        umask: int | None = None,
    ) -> None:
        files = parent_directory
        if not isinstance(files, Files):
            files = Files(os.fspath(files), sync=sync, umask=umask)
        self._files: Final = files
        self._root: Final = names.records(self._files.root)
        self._certainty: Final = Certainty()
        # No lock guards these: whatever thread comes last, each is right, and at worst behind.
        self._near: tuple[UUID, int] | None = None
        """An event near the tail that has its own name, and its position."""
        self._passed: tuple[UUID, int] | None = None
        """An event that was read last, and its position: where who follows the log goes on."""
        self._placed: tuple[UUID, int] | None = None
        """The event that ``tail`` was last seen to name, and its position."""
        self._hinted = 0
        self._durable: Final[set[str]] = set()
        """Folders whose names are known to be on the disk."""
        self._is_closed = False

    def extend(
        self,
        added: Sequence[Event],
        *,
        expect: UUID | int | None = None,
        signer: Signer | None = None,
    ) -> Sequence[Event]:
        """Add one event after another; a crash may leave the first of them, bad data none."""
        some = sealing.drafts(added)
        self._require_same(added)
        stored: list[Event] = []
        for at in range(len(added)):
            self._certainty.require()
            try:
                one, is_new = self._add(some.only(at), expect, signer)
            except UncertainError as error:
                self._certainty.lose(error)
                raise
            stored.append(one)
            if is_new:
                expect = None
        return stored

    def read(self, uuid_: UUID) -> Event:
        """The event in the file that is called by its UUID."""
        return self._decode(self._line(check_uuid(uuid_)), uuid_)

    def exists(self, uuid_: UUID) -> bool:
        """Whether there is a file of that UUID to which a link leads."""
        self._require_open()
        check_uuid(uuid_)
        # In this order, as it may be given its own name in between.
        return self._is_named(uuid_) or self._unfinished(uuid_) is not None or self._is_named(uuid_)

    def next(self, uuid_: UUID | None = None) -> UUID | None:
        """Where the link behind an event leads, or the first one; None for the tail."""
        if uuid_ is not None:
            check_uuid(uuid_)
        link = self._link(uuid_)
        if link is None and uuid_ is not None and not self.exists(uuid_):
            raise keeper.missing(uuid_)
        return None if link is None else link.uuid

    def tail(self) -> UUID | None:
        """The last event, found by walking from one near it; None for none."""
        last = None
        for at, _ in self._steps():
            last = at
        return last

    def locate(self, place: Place) -> int:
        """The position of a place; that of a UUID is in its line."""
        self._require_open()
        position = super().locate(place)
        if isinstance(place, UUID):
            self._passed = place, position
        return position

    def batches(self, after: Place = None) -> Iterator[bytes]:
        """The events behind a place, one at a time; a position is found by walking there."""
        begin = keeper.known_place(after)
        if isinstance(begin, UUID):
            self.next(begin)  # raises EventNotFoundError
            return self._behind(begin, self._last(), begin, 0)
        # Taken before the tail, which is therefore not before them.
        known, last = [self._near, self._passed], self._last()
        near, position = _nearest(known, begin)
        if position < begin and isinstance(last, UUID):
            with suppress(CorruptionError):  # whoever walks comes there in his turn
                if self._read_position(last) == begin:
                    self._passed = near, position = last, begin
        return self._behind(begin, last, near, begin - position)

    def _last(self) -> UUID | CorruptionError | None:
        """The last event, or why it cannot be found: whoever walks comes there in his turn."""
        try:
            return self.tail()
        except CorruptionError as error:
            return error

    def _behind(
        self, begin: UUID | int, last: UUID | CorruptionError | None, near: UUID | None, skip: int
    ) -> Iterator[bytes]:
        """The events behind ``begin``, those behind ``near`` but for some, up to the last.

        Raises CorruptionError where a link leads back: the events from there on came before.
        """
        if near == last:
            return
        before = self._read_position(begin) if isinstance(begin, UUID) else begin
        for at, link in self._walk(near):
            if link is None:
                raise last if isinstance(last, CorruptionError) else self._cut(at)
            if skip > 0:
                skip -= 1
            else:
                line = self._linked(link.uuid)
                position = eventlines.place_in(line, self._file(link.uuid))[0]
                if position <= before:
                    raise self._back(at, link.uuid, position)
                yield line
                self._passed, before = (link.uuid, position), position
                self._come_to(link.uuid, position)
            if link.uuid == last:
                return

    def __repr__(self) -> str:
        return f"<RecordKeeper {self._root}>"

    def close(self) -> None:
        """Leave word of where the tail is about, which saves others a longer walk."""
        if not self._is_closed:
            try:
                self._hint()
            finally:
                self._is_closed = True

    # Adding

    def _require_same(self, added: Sequence[Event]) -> None:
        """Raises DuplicateEventError before anything is added, for what is known by then."""
        self._require_open()
        known: dict[UUID, Event] = {}
        for event in added:
            uuid = event.uuid
            if uuid not in known and self._is_named(uuid):
                known[uuid] = self.read(uuid)
            sealing.check_same(event, known.setdefault(uuid, event))

    def _add(
        self, some: sealing.Drafts, expect: UUID | int | None, signer: Signer | None
    ) -> tuple[Event, bool]:
        """The event as it is stored, and whether it is new."""
        [event] = some.events
        uuid = event.uuid
        while True:
            last, head = self._finish()
            if self._is_named(uuid):
                found = self.read(uuid)
                sealing.check_same(event, found)
                return found, False
            sealing.check_expected(expect, head, last)
            batch = sealing.batch(some, head, _none, signer)
            link = Link(uuid, token_hex(4))
            self._write(link, batch.lines[0])
            if self._put_link(last, link):
                break
        self._name(last, link)
        self._near = uuid, batch.head.position
        if batch.head.position >= self._hinted + _HINT:
            self._hint()
        return eventlines.decode_appended(batch.lines[0]), True

    def _finish(self) -> tuple[UUID | None, Head]:
        """Do what others have left undone; the last event, and the head.

        Afterwards every event has its own name, but for those added meanwhile.
        """
        uuid = None
        for uuid, link in self._steps():
            if link is not None and not self._is_named(link.uuid):
                self._name(uuid, link)
        known = None if uuid is None else self._decode(self._linked(uuid), uuid).integrity
        return uuid, EMPTY if known is None else Head(known.position, known.hash)

    def _write(self, link: Link, line: bytes) -> None:
        """Make the event's file, under the name that it has until the link to it is there."""
        folder = names.record_folder(self._root, link.uuid)
        self._make_folder(folder)
        path = self._attempt(link)
        try:
            self._files.write(path, line + b"\n", path)
            self._files.sync_folder(folder)
        except BaseException:
            self._files.unlink(path)
            raise

    def _make_folder(self, folder: str) -> None:
        """Make it and those above, with their names on the disk."""
        if folder in self._durable:
            return
        made: list[str] = []
        self._files.make_folders(folder, made)
        # Not only those just made: who made the others may not have come to it.
        made.append(self._files.root)
        while folder != self._files.root:
            made.append(folder)
            folder = os.path.dirname(folder)
        for one in made:
            if one not in self._durable:
                self._files.sync_folder(os.path.dirname(one))
                self._durable.add(one)

    def _put_link(self, last: UUID | None, link: Link) -> bool:
        """Add the event to the log; False where another one is behind ``last`` already."""
        path = names.record_next(self._root, last)
        try:
            self._files.make_link(path, names.record_target(*link))
        except BackingError as error:
            self._files.unlink(self._attempt(link))
            if error.errno == errno.EEXIST:
                return False
            raise
        return True

    def _name(self, last: UUID | None, link: Link) -> None:
        """Give an event its own name, once the link to it is on the disk.

        So what has its own name is in the log, and stays there.
        """
        self._files.sync_folder(os.path.dirname(names.record_next(self._root, last)))
        self._rename(link)

    def _rename(self, link: Link) -> None:
        try:
            self._files.rename(self._attempt(link), names.record(self._root, link.uuid))
        except BackingError as error:
            if error.errno != errno.ENOENT:
                raise
            if not self._is_named(link.uuid):
                raise self._leads_nowhere(link.uuid) from error
            # Somebody else has done it.

    def _come_to(self, uuid: UUID, position: int) -> None:
        if (self._near is None or self._near[1] < position) and self._is_named(uuid):
            self._near = uuid, position

    def _hint(self) -> None:
        """Bring the link ``tail`` up to date, which only saves others from a longer walk."""
        if self._near is None or self._near[1] <= self._hinted:
            return
        uuid, self._hinted = self._near
        path = names.record_tail(self._root)
        temporary = names.temporary_path(path)
        try:
            there = self._target(path)
            # Never set back: that would hide that a link on the way there was lost.
            if there is not None and not self._is_before(there.uuid, self._hinted):
                return
            self._files.make_link(temporary, names.record_target(uuid, _NAMED))
            self._files.rename(temporary, path)
        except BackingError as error:
            # Another process may be at it, or have died there. The events are safe without.
            if error.errno == errno.EEXIST:
                self._files.unlink(temporary)

    def _is_before(self, uuid: UUID, position: int) -> bool:
        return self._is_named(uuid) and self._position(uuid) < position

    # Reading

    def _steps(self) -> Iterator[tuple[UUID | None, Link | None]]:
        """Each event from one near the tail on, and the link behind it; the last one has none.

        Begins at None, the place before the first, where nothing is known. Raises CorruptionError
        where the links end before the event that ``tail`` names: who added an event there would
        drop the rest of the log.
        """
        begin, sought = self._begin()
        for at, link in self._walk(begin):
            if link is None and sought is not None:
                file = self._files.relative(names.record_tail(self._root))
                reason = f"this names the event {sought}, and no link leads there"
                raise CorruptionError(reason, file=file)
            if link is not None and link.uuid == sought:
                sought = None
            yield at, link

    def _walk(self, at: UUID | None) -> Iterator[tuple[UUID | None, Link | None]]:
        """Each event from one on, and the link behind it; the last one has none.

        Raises CorruptionError where links form a ring. No line is read for that: an event of the
        way is kept, a later one each time that the way is twice as long, and is met again.
        """
        kept, steps, limit = at, 0, 1
        while (link := self._link(at)) is not None:
            yield at, link
            at = link.uuid
            if at == kept:
                self._refuse_ring(at)
            steps += 1
            if steps == limit:
                kept, limit = at, 2 * limit
        yield at, None

    def _refuse_ring(self, at: UUID) -> None:
        """Raises CorruptionError, which names the link of a ring that leads back."""
        position = self._read_position(at)
        while (link := self._link(at)) is not None:
            before, position = position, self._read_position(link.uuid)
            if position <= before:
                raise self._back(at, link.uuid, position)
            at = link.uuid

    def _begin(self) -> tuple[UUID | None, UUID | None]:
        """An event near the tail, not before that which ``tail`` names; None for before the first.

        And an event that has to come behind it: a crash may have left the one that ``tail`` names
        without its own name.
        """
        near, hint = self._near, self._target(names.record_tail(self._root))
        at = None if near is None else near[0]
        if hint is None or hint.uuid == at:
            return at, None
        if not self._is_named(hint.uuid):
            return at, hint.uuid
        if near is None or self._position(hint.uuid) > near[1]:
            return hint.uuid, None
        return at, None

    def _position(self, uuid: UUID) -> int:
        known = self._placed
        if known is None or known[0] != uuid:
            known = self._placed = uuid, self._read_position(uuid)
        return known[1]

    def _read_position(self, uuid: UUID) -> int:
        return eventlines.place_in(self._linked(uuid), self._file(uuid))[0]

    def _link(self, uuid: UUID | None) -> Link | None:
        """Where the link behind an event leads; None where there is none so far."""
        self._require_open()
        return self._target(names.record_next(self._root, uuid))

    def _target(self, path: str) -> Link | None:
        try:
            target = self._files.read_link(path)
        except BackingError as error:
            if error.errno == errno.ENOENT:
                return None
            # What is no link, as where links were copied as files.
            if error.errno != errno.EINVAL:
                raise
            target = ""
        found = names.record_targeted(target)
        if found is None:
            file = self._files.relative(path)
            raise CorruptionError("expected a link to an event", file=file)
        return Link(*found)

    def _line(self, uuid: UUID) -> bytes:
        self._require_open()
        path = names.record(self._root, uuid)
        found = self._files.read(path, _MAX_EVENT)
        if found is None:
            link = self._unfinished(uuid)
            if link is not None:
                found = self._files.read(self._attempt(link), _MAX_EVENT)
            # It may have got its own name in between.
            found = found or self._files.read(path, _MAX_EVENT)
        if found is None:
            raise keeper.missing(uuid)
        return found.data.removesuffix(b"\n")

    def _linked(self, uuid: UUID) -> bytes:
        """The line of an event to which a link leads."""
        try:
            return self._line(uuid)
        except EventNotFoundError as error:
            raise self._leads_nowhere(uuid) from error

    def _leads_nowhere(self, uuid: UUID) -> CorruptionError:
        return CorruptionError("a link leads here, and nothing is there", file=self._file(uuid))

    def _cut(self, uuid: UUID | None) -> CorruptionError:
        reason = "expected a link, as there are events behind; there is none"
        return CorruptionError(reason, file=self._next_file(uuid))

    def _back(self, uuid: UUID | None, to: UUID, position: int) -> CorruptionError:
        reason = f"this leads back to the event {to}, which has the position {position}"
        return CorruptionError(reason, file=self._next_file(uuid))

    def _next_file(self, uuid: UUID | None) -> str:
        return self._files.relative(names.record_next(self._root, uuid))

    def _unfinished(self, uuid: UUID) -> Link | None:
        """The link to that event, if it is the last one and may not have its own name yet."""
        last = None
        for _, link in self._steps():
            last = link or last
        return last if last is not None and last.uuid == uuid else None

    def _decode(self, line: bytes, uuid: UUID) -> Event:
        file = self._file(uuid)
        event = eventlines.decode(line, file)
        if event.uuid != uuid:
            raise CorruptionError(f"this is the event {event.uuid}", file=file)
        return event

    def _file(self, uuid: UUID) -> str:
        return self._files.relative(names.record(self._root, uuid))

    def _is_named(self, uuid: UUID) -> bool:
        return self._files.exists(names.record(self._root, uuid))

    def _require_open(self) -> None:
        if self._is_closed:
            raise ClosedError("this record keeper was closed")

    def _attempt(self, link: Link) -> str:
        return names.record_attempt(self._root, *link)


def _nearest(known: Sequence[tuple[UUID, int] | None], position: int) -> tuple[UUID | None, int]:
    """Of events and their positions the last that is not behind one; else that before the first."""
    before = [one for one in known if one is not None and one[1] <= position]
    return max(before, key=itemgetter(1)) if before else (None, 0)


def _none(uuid: UUID) -> None:
    """What ``sealing.batch`` finds where nothing was found before."""
