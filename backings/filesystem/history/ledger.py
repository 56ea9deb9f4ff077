"""The ledger: what the commit log says about units, and how commits are entered in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from threading import RLock
from typing import Final, TypeVar

from objstore._turns import require_first
from objstore.documents import Commit, Overlay
from objstore.errors import CorruptionError, ObjstoreError
from objstore.values import JSON, MISSING, Missing

from .. import names
from ..io import Files
from ..log.commitlog import CommitLog, Position, Record, Writer
from ..log.logfiles import Ranges
from ..log.logview import Link
from . import record
from .entering import Revision, entry_of
from .heads import Head, Heads, Key
from .headsfile import HeadsFile
from .past import Past, needle
from .record import NO_FILE, Glance, Said
from .run import Run
from .traces import Trace, Traces, trace_of
from .written import Written

T = TypeVar("T")

_NOTHING: Final[JSON | Missing] = MISSING

_NEWEST: Final = 1000
"""How many changes of a unit are looked through for a file that was found."""

_OFTEN: Final = 1000
"""After how many changes the heads are written down once more."""

_DEARER: Final = 4
"""How many records are passed over in the time that it takes to follow a link, at the least."""


class Ledger:
    """The log of one store. Safe between threads."""

    def __init__(self, files: Files) -> None:
        self._files: Final = files
        self.log: Final = CommitLog(files)
        self.past: Final = Past(self.log)
        self._traces: Final = Traces(self.past)
        self._file: Final = HeadsFile(files)
        self.guard = RLock()
        # The fields below are guarded by guard; who needs the writer's lock too takes that first.
        self._is_open = False
        self._is_amid = False
        """Whether records are being taken in. To who finds it set, that was interrupted."""
        self._taken = 0
        """The last record that was taken in."""
        self._end: Position | None = None
        """Where it ends, if that is known."""
        self._heads: Heads | None = None
        self._removed: Ranges = []
        """What compaction had removed by when the heads were made."""
        self._is_to_save = False
        """Whether it took long to make the heads, and whoever comes next should be spared it."""
        self._changed: Final[dict[str, int]] = {}
        self._strange: Final[dict[str, list[Trace]]] = {}
        self._was_left = False
        """Whether the log was not in order when this handle first saw it."""
        self._last: tuple[Key, int, JSON | Missing] | None = None
        """What was asked for last, or entered: a unit, a commit, and the contents after it. Written
        and read as a whole, without a lock."""
        self._written: Final = Written(files)
        self._noted = self._entered = 0
        """What this handle has written down there, and the last commit that it has made."""
        self.run: Final = Run(files)

    def refresh(self) -> int:
        """Take in what others appended; the newest commit's number. Waits for nobody."""
        require_first(self.guard)
        with self.guard:
            self._open()
            number = self.log.refresh()
            if number > self._taken:
                self._learn()
            return number

    def start_anew(self) -> None:
        """Read once more what the log says, as this handle was interrupted at it."""
        with self.guard:
            self._forget_all()
            self._open()

    def begin_in_child(self, *, in_order: bool) -> None:
        """In the child of a fork; unless all is ``in_order``, a thread was amid anything here."""
        if not in_order:
            self.guard = RLock()
            self._is_amid = True
        self.past.begin_in_child()

    def catch_up(self, head: int) -> None:
        """The same for who holds the writer's lock, and knows the newest commit's number."""
        if head > self._taken or not self._is_open:
            self.refresh()

    @property
    def taken(self) -> int:
        """The newest commit that was taken in."""
        return self._taken

    def changed_units(self) -> list[str]:
        """The units whose newest changes may not have been synced in their files.

        Those are the ones in the newest file of the log: whoever ended another has synced the
        rest. Where this handle found the log left in order, what came before is synced too.
        """
        with self.guard:
            units, newest = self._loaded().units, self.log.generation
            among = [*units] if self._was_left else [*self._changed]
            heads = ((unit, units.get(unit)) for unit in among if isinstance(unit, str))
            return [unit for unit, head in heads if head and head.link.generation == newest]

    def written(self, unit: str, number: int, digest: str | None) -> None:
        """A unit's file has what commit ``number`` made of it, and that digest."""
        with self.guard:
            units = self._loaded().units
            head = units.get(unit)
            if head is not None and head.link.number == number and head.after is None:
                units[unit] = head._replace(after=digest)

    def changed(self, unit: str) -> int:
        """The newest commit of the unit among those since this handle first looked; 0 for none."""
        return self._changed.get(unit, 0)

    # Changes that may not be in their files: other processes', and those before an unclean end

    def strange(self, unit: str) -> Sequence[Trace]:
        """The unit's changes, oldest first, that may not be in its file, as far as now is known."""
        if not self._is_open:
            with self.guard:
                self._open()
        return tuple(self._strange.get(unit, ()))

    def strangers(self) -> list[str]:
        """The units that have such changes."""
        with self.guard:
            self._open()
            return list(self._strange)

    def done(self, due: int | None) -> int | None:
        """What a record to be made says is done, if ``due`` is the first commit that is not."""
        with self.guard:
            first = [traces[0].number for traces in self._strange.values()]
        if due is not None:
            first.append(due)
        return min(first) - 1 if first else None

    def doubt(self, unit: str, since: int) -> None:
        """Any change of the unit from commit ``since`` on may be missing in its file."""
        with self.guard:
            head = self._loaded().units.get(unit)
            link = None if head is None else head.link
            self._keep(unit, self._traces.since(unit, link, since))

    def found(self, unit: str, digest: str) -> None:
        """The unit's file has this digest: the changes up to the one that left it so are in it."""
        with self.guard:
            traces = self._strange.get(unit, [])
            at = max((n for n, one in enumerate(traces) if one.after == digest), default=None)
            if at is not None:
                self._keep(unit, traces[at + 1 :])

    def settle(self, unit: str, number: int) -> None:
        """The unit's file is what commit ``number`` left, or will be made so by this handle.

        Another thread may have learned of later ones since the file was read.
        """
        with self.guard:
            traces = self._strange.get(unit, [])
            self._keep(unit, [one for one in traces if one.number > number])

    # Heads

    def head(self, key: Key) -> Head | None:
        """The newest change of a unit."""
        with self.guard:
            return self._loaded().units.get(key)

    def heads(self, keys: Iterable[Key]) -> list[Head | None]:
        """Those of many units."""
        with self.guard:
            return list(map(self._loaded().units.get, keys))

    def units(self) -> list[str]:
        """All units of the base that the log knows, deleted ones too."""
        with self.guard:
            return [key for key in self._loaded().units if isinstance(key, str)]

    def units_below(self, path: str) -> Iterator[str]:
        """Those of them that are below a place; new ones may come meanwhile."""
        with self.guard:
            return self._loaded().below(path)

    def scopes(self) -> list[str]:
        """The scopes that there are."""
        with self.guard:
            return [*self._loaded().overlays]

    def overlays(self, scope: str) -> Mapping[str, Overlay]:
        """What a scope holds, the same object until it changes; nothing where there is none."""
        with self.guard:
            return self._loaded().lend(scope)

    def newest(self, key: Key) -> JSON | Missing:
        """The unit's contents as of its newest commit; MISSING for one that the log has not."""
        return self._told(key, lambda link: self._after(key, link), _NOTHING)

    def _after(self, key: Key, link: Link) -> JSON | Missing:
        known = self._last
        if known is not None and known[0] == key and known[1] == link.number:
            return known[2]
        value = self.past.after(key, self.past.change(key, link))
        self._last = key, link.number, value
        return value

    def has_had(self, unit: str, digest: str) -> bool:
        """Whether a file of the unit with this digest is in the log: one of its newest changes
        found or left it so."""
        head = self.head(unit)
        link = None if head is None else head.link
        for _ in range(_NEWEST):
            if link is None:
                break
            entry = self.past.change(unit, link).entry
            if digest in (entry.before, entry.after):
                return True
            link = entry.last
        return False

    def _told(self, key: Key, tell: Callable[[Link], T], nothing: T) -> T:
        """What is told from a unit's newest change on; ``nothing`` if that says nothing any more,
        or the log has none: of what was known a moment ago, compaction may have left nothing."""
        with self.guard:
            link = self._newest(key)
        if link is None:
            return nothing
        try:
            return tell(link)
        except CorruptionError:
            with self.guard:
                if self._removed == self.log.removed():
                    raise
                # Another process has compacted the log, and changes are elsewhere, or no more.
                self._forget_past()
                self._heads = None
                head = self._loaded().units.get(key)
            return nothing if head is None else tell(head.link)

    def _newest(self, key: Key) -> Link | None:
        # A program that only reads never needs the heads, which take long to read after a crash.
        traces = self._strange.get(key) if self._heads is None and isinstance(key, str) else None
        if traces:
            return traces[-1].link
        head = self._loaded().units.get(key)
        return None if head is None else head.link

    def text(self, key: Key) -> bytes | None:
        """The bytes of its file as of that commit."""
        return self._told(key, lambda link: self.past.text(key, self.past.change(key, link)), None)

    def value(self, key: Key, at: int) -> JSON | Missing:
        """Its contents after commit ``at``. Raises HistoryGone where they are not known."""
        return self._told(key, lambda link: self.past.value(key, link, at), _NOTHING)

    def was_there(self, unit: str, at: int) -> bool:
        """Whether a unit had contents after commit ``at``."""
        head = self.head(unit)
        if head is None:  # it was known a moment ago, and compaction has left nothing of it
            return False
        if head.link.number <= at:
            return head.after != NO_FILE
        return self._told(unit, lambda link: self.past.was_there(unit, link, at), nothing=False)

    def commits(self, after: int, path: str) -> Iterator[Commit]:
        """The commits behind ``after`` that touched ``path``, oldest first."""
        chains = self._chains(after, path) if path else None
        if chains is None:
            yield from self.past.commits(after, path)
            return
        ended, links = chains
        past = self.past.held()
        if ended > after:
            yield from past.commits(after, path, upto=ended)
        yield from past.linked(links, max(after, ended), path)

    def commit_of(self, tx: str, after: int) -> Commit | None:
        """The commit above ``after`` of a transaction, which is on the disk as this returns."""
        for one in self.log.having(needle(tx), after):
            if self.past.read(one).tx == tx:
                self.log.sync(one.position)  # who made it may have died before that
                return self.past.commit(one.link)
        return None

    def _chains(self, after: int, path: str) -> tuple[int, list[tuple[Key, Link]]] | None:
        """The newest changes of the units near a path, from which links lead to the others, and up
        to which commit there are more; None where all commits are read as fast."""
        with self.guard:
            heads, number = self._heads, self._taken - after
            if number <= (_OFTEN if heads is None else heads.unplaced):
                return None
            heads = self._loaded()
            ended = heads.ended_near(path)
            after = max(after, ended)
            left, links = self._taken - after, list[tuple[Key, Link]]()
            for key in heads.near(path):
                head = heads.units[key]
                left -= 1
                if head.link.number > after:
                    left -= min(head.nth, head.link.number - after) * _DEARER
                    links.append((key, head.link))
                if left < 0:
                    return None
            return ended, links

    # Writing, for who holds the writer's lock

    def enter(
        self, writer: Writer, said: Said, revisions: Sequence[Revision], done: int | None
    ) -> tuple[int, Position]:
        """Append a record; its number, and what ``CommitLog.sync`` needs.

        ``said`` is the record without its entries, and without what is ``done``.
        """
        with self.guard:
            generation = writer.begin()
            heads = self._loaded()
            entries = [entry_of(heads, said, one, generation) for one in revisions]
            # Not by _replace, which takes as long as ten calls.
            time, meta, scope, _, external, tx, deletes, drops, _ = said
            said = Said(time, meta, scope, entries, external, tx, deletes, drops, done)
            payload = record.encode(said, generation)
            self._is_amid = True
            try:
                number, position = writer.append(payload)
            except ObjstoreError:
                self._is_amid = False  # nothing was appended
                raise
            link = Record(number, payload, position).link
            heads.take(said, link)
            self._taken, self._end = number, position
            self._entered = number
            if said.scope is None:
                for one in revisions:
                    unit = one.change.unit
                    self._changed[unit] = number
                    self._last = unit, number, one.change.new
            self._is_amid = False
            return number, position

    def save(self) -> None:
        """Write down the heads if that will spare the next handle much reading; if not, see that
        what a crash has torn is not kept."""
        with self.guard:
            if self._heads is not None and self._heads.learned >= _OFTEN:
                self.snapshot()
            elif self._file.is_torn and not self._file.is_whole():
                self._file.remove()

    def snapshot(self) -> None:
        """Write down the heads, unless they have changes that a compaction has removed since."""
        with self.guard:
            if self._removed != self.log.removed():
                return
            heads = self._loaded()
            self._file.write(self.log.store, heads)
            heads.learned = 0

    def drop_written(self) -> None:
        """Remove the heads that were written down, for good."""
        self._file.remove()
        self._files.sync_folder(names.engine(self._files.root), sure=True)

    def renew(self) -> None:
        """Records are elsewhere, or part of others: make the heads anew."""
        with self.guard:
            self._forget_past()
            self._heads = self._end = None
            self._learn()
            self._removed = self.log.removed()
            self._heads = self._brought(Heads())

    # Reading on

    def _open(self) -> None:
        """See the log for the first time: how far it goes, and whether it was left in order."""
        if self._is_amid:
            self._forget_all()
        if self._is_open or not self._files.exists(names.engine(self._files.root)):
            return
        number = self._taken = self.log.refresh()
        self._heads = None  # or they are those of before there was a log
        if number and not self.log.was_closed:
            self._was_left = True
            self.run.see()
            # Only what was synced with the last checkpoint is sure to have outlived the machine.
            done = 0 if self.run.stopped else self._applied(number)
            self._taken = max(self.log.begins_after, done)
            self._learn()
        self._is_open = True

    def _applied(self, number: int) -> int:
        """Up to which commit all are in their files, as commit ``number`` says, the newest, and who
        has written files since."""
        newest = self.past.read(self.log.read(number))
        return max(_done(newest, number), self.written_upto())

    def note_run(self) -> None:
        """Write down that all is in order as of this run of the machine, for who holds the writer's
        lock."""
        with self.guard:
            self._see_run()
            # What was written down in another run may be of records that the machine has lost, and
            # others have their numbers: also behind a close, where a handle under "os" went on.
            if self.run.stopped or self.run.is_new():
                if self.run.stopped or self._file.number(self.log.store) > self.log.head:
                    self._file.remove()
                self._written.forget()
            self.run.note()

    def _see_run(self) -> None:
        """Where another handle has put all in order since the machine stopped, take for applied
        what it is for who opens the log now."""
        if self.run.is_over() and self._strange:
            self._forget(self._taken if self.log.was_closed else self._applied(self._taken))

    def note_written(self, head: int, due: int | None) -> None:
        """Write down up to which commit all are in their files, for who holds the writer's lock, if
        ``due`` is the first of those of its own that is not."""
        with self.guard:
            self.forget_written()
            done = self.done(due)
            done = head if done is None else done
            if done > self._noted:
                is_own = head == self._entered
                self._written.note(self.log.store, done, head, is_own=is_own)
                self._noted = done
            if self._is_to_save:
                self._is_to_save = False  # first: a disk that is full refuses it once
                self.save()

    def written_upto(self) -> int:
        """Up to which commit all are in their files, by what somebody has written down in this run
        of the machine."""
        return 0 if self.run.stopped else self._written.upto(self.log.store)

    def close(self) -> None:
        """Close the log, which is not in order now, or is marked so; and all else that is open.

        Raises BackingError.
        """
        try:
            self.log.close(in_order=False)
        finally:
            with self.guard:  # who notes something now comes to the log first, which is closed
                self._written.close()

    def forget_written(self) -> None:
        """Take the changes that somebody has written down so for applied."""
        if self._strange:
            with self.guard:
                self._see_run()
                self._forget(self.written_upto())

    def _forget_all(self) -> None:
        """Forget what may have been taken in by half; ``_changed`` says nothing that is wrong."""
        self._is_open = False
        self._taken, self._end, self._heads, self._last = 0, None, None, None
        self._strange.clear()
        self._forget_past()
        self._is_amid = False

    def _forget_past(self) -> None:
        """Forget where records are, as they are elsewhere, or may be."""
        self.past.forget()
        self._traces.forget()

    def _learn(self) -> None:
        """Take in records that this handle did not make."""
        self._is_amid = True
        try:
            self._take_in()
        except ObjstoreError:
            self._is_amid = False  # as far as it went, it is right
            raise
        self._is_amid = False

    def _take_in(self) -> None:
        if self._changed or self._heads is not None:
            self._begin_behind_compaction()
        heads, done = self._heads, 0
        for one in self.log.records(self._taken, self._end):
            link = one.link
            if heads is None:
                said: Said | Glance = self.past.glance(one)
            else:
                said = whole = self.past.read(one)
                if one.number > heads.number:
                    heads.take(whole, link)
            self._note(said, link)
            self._taken, self._end = one.number, one.position
            done = max(done, _done(said, one.number))
        self._forget(done)
        self.forget_written()

    def _begin_behind_compaction(self) -> None:
        """Where compaction has made records that come next part of others, take it that they
        changed all that is known: of what they changed and changed back, nothing is left. What was
        known is in the files, as in any file of the log that has ended."""
        if self._end is not None and self._end.generation == self.log.generation:
            return
        first = next(self.log.records(self._taken), None)
        if first is not None and self.log.is_compacted(first.position.generation):
            self._forget_past()
            self._strange.clear()
            self._heads = self._last = None
            self._changed.update(dict.fromkeys(self._changed, first.number))

    def _read_heads(self) -> Heads:
        """The heads as of now: of what was before, compaction may have left nothing."""
        if self.log.refresh() > self._taken:
            self._learn()
        known = self.log.begins_after if self.run.stopped else self.log.head
        while True:
            self._removed = self.log.removed()
            heads = self._file.read(self.log.store, known)
            heads = self._brought(heads)
            if self.log.removed() == self._removed:  # or what was written down lacks changes
                self._is_to_save = heads.learned >= _OFTEN
                return heads

    def _brought(self, heads: Heads) -> Heads:
        for one in self.log.records(heads.number):
            if one.number > self._taken:
                break
            heads.take(self.past.read(one), one.link)
        return heads

    def _note(self, said: Said | Glance, link: Link) -> None:
        if said.scope is None:
            for entry in said.entries:
                self._strange.setdefault(entry.unit, []).append(trace_of(link, entry))
                self._changed[entry.unit] = link.number

    def _forget(self, done: int) -> None:
        """Take up to commit ``done`` for applied, as whoever made a later one says."""
        if self.run.stopped:
            return
        self._traces.drop(done)
        for unit, traces in list(self._strange.items()):
            if traces[0].number <= done:
                self._keep(unit, [one for one in traces if one.number > done])

    def _keep(self, unit: str, traces: list[Trace]) -> None:
        if traces:
            self._strange[unit] = traces
        else:
            self._strange.pop(unit, None)

    def _loaded(self) -> Heads:
        """The heads, complete."""
        self._open()
        if self._heads is None:
            self._heads = self._read_heads()
        return self._heads


def _done(said: Said | Glance, number: int) -> int:
    return number - 1 if said.done is None else said.done
