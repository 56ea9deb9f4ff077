"""Several at once; scrub, sweep, links."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta

import pytest

from objstore import StorageError
from objstore.backings.storage_depot import StorageDepot
from objstore.depot import Depot, Identifier, ObjectStateT
from objstore.storage import Storage
from tests.conformance.depot.cases import HELLO, LARGE, ONE, Place, refused
from tests.conformance.depots import OVER_STORAGES

over_storages = pytest.mark.parametrize(
    "place", OVER_STORAGES, ids=lambda maker: maker.name, indirect=True
)

# Several at once


def test_parts_written_by_threads(place: Place) -> None:
    size = len(LARGE)
    place.depot.reserve(ONE, size)
    step = size // 64 + 1
    offsets = list(range(0, size, step))

    def write(mine: list[int]) -> None:
        for at in mine:
            place.depot.write(ONE, at, LARGE[at : at + step])

    threads = [threading.Thread(target=write, args=(offsets[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    place.depot.finalize(ONE)
    assert place.peek(ONE) == LARGE


def test_of_many_who_reserve_or_finalize_one_wins(depot: Depot) -> None:
    def race(act: Callable[[], object]) -> int:
        won: list[int] = []
        barrier = threading.Barrier(8)

        def run() -> None:
            barrier.wait()
            try:
                act()
            except StorageError:
                return
            won.append(1)

        threads = [threading.Thread(target=run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return len(won)

    for _ in range(10):
        identifier = Identifier.new()
        assert race(lambda: depot.reserve(identifier, 3)) == 1  # noqa: B023
        depot.write(identifier, 0, b"abc")
        assert race(lambda: depot.finalize(identifier)) == 1  # noqa: B023
        assert depot.read(identifier, 0, 9) == b"abc"
        assert race(lambda: depot.purge(identifier)) == 1  # noqa: B023


def test_a_reader_goes_on_while_its_blob_is_purged(depot: Depot) -> None:
    identifier = depot.put(LARGE)
    with depot.open(identifier) as blob:
        assert blob.read(10) == LARGE[:10]
        depot.purge(identifier)
        if isinstance(depot, StorageDepot):
            # A Storage gives what is there now.
            refused(blob.read, "was purged")
        else:
            assert blob.read() == LARGE[10:]


def test_a_reader_gets_nothing_of_another_blob_with_its_identifier(depot: Depot) -> None:
    depot.put(LARGE, identifier=ONE)
    with depot.open(ONE) as blob:
        assert blob.read(10) == LARGE[:10]
        depot.purge(ONE)
        depot.put(bytes(len(LARGE)), identifier=ONE)
        if isinstance(depot, StorageDepot):
            refused(blob.read, f"the blob {ONE} was purged")
        else:
            assert blob.read() == LARGE[10:]


def test_a_writer_changes_nothing_of_another_blob_with_its_identifier(place: Place) -> None:
    stale = place.depot.create(identifier=ONE)
    stale.write(b"stale")
    stale.flush()
    place.depot.purge(ONE)
    with place.depot.create(5, HELLO, identifier=ONE) as fresh:
        fresh.write(b"hello")
        fresh.flush()
        words = f"the blob {ONE} was purged"
        stale.seek(0)
        stale.write(b"x")
        refused(stale.flush, words)
        refused(lambda: stale.raw.truncate(0), words)
        refused(stale.close, words)
    assert place.peek(ONE) == b"hello"
    assert place.depot.scrub().sound == 1


def test_a_writer_reads_nothing_of_another_blob_with_its_identifier(depot: Depot) -> None:
    stale = depot.create(identifier=ONE)
    stale.write(b"stale")
    stale.flush()
    depot.purge(ONE)
    with depot.create(identifier=ONE) as fresh:
        fresh.write(b"fresh")
        fresh.flush()
        stale.seek(0)
        if isinstance(depot, StorageDepot):
            refused(stale.read, f"the blob {ONE} was purged")
        else:
            assert stale.read() == b"stale"
    stale.abandon()


# Upkeep


def test_scrub_reads_all_readable_blobs(depot: Depot) -> None:
    depot.put(b"hello")
    depot.put(LARGE)
    depot.reserve(ONE, 100)
    told: list[tuple[int, int | None]] = []
    found = depot.scrub(lambda done, total: told.append((done, total)))
    assert found == (2, (), ())
    total = len(LARGE) + 5
    assert told[-1] == (total, total)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_sweep_takes_old_writable_blobs_alone(depot: Depot) -> None:
    depot.reserve(ONE, 100)
    kept = depot.put(b"hello")
    assert depot.sweep() == []
    assert depot.sweep(timedelta(hours=1)) == []
    assert depot.state(ONE) is ObjectStateT.WRITABLE
    assert depot.sweep(timedelta(0)) == [ONE]
    assert list(depot.identifiers()) == [kept]


def test_sweep_leaves_blobs_that_are_open(depot: Depot) -> None:
    depot.reserve(ONE, 5)
    with depot.create() as blob, depot.resume(ONE) as first:
        second = depot.resume(ONE)
        blob.write(b"hello")
        assert depot.sweep(timedelta(0)) == []
        first.abandon()
        assert depot.sweep(timedelta(0)) == []
        second.abandon()
        assert depot.sweep(timedelta(0)) == [ONE]
    assert depot.read(blob.identifier, 0, 9) == b"hello"


@over_storages
def test_sweep_spares_what_is_finalized_or_written_to_as_it_comes(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(depot, StorageDepot)
    storage, other = depot._storage, Identifier(ONE.uuid, 2)

    def transaction(*, write: bool = True) -> AbstractContextManager[Storage]:
        """Others come first."""
        monkeypatch.undo()
        if depot.state(ONE) is ObjectStateT.WRITABLE:
            depot.finalize(ONE)
        else:
            depot.write(other, 0, b"hello")
        return storage.transaction(write=write)

    for identifier in (ONE, other):
        depot.reserve(identifier, 5)
        depot.write(identifier, 0, b"hello")
        monkeypatch.setattr(storage, "transaction", transaction)
        assert depot.sweep(timedelta(0)) == []
    assert depot.read(ONE, 0, 9) == b"hello"
    assert depot.sweep(timedelta(0)) == [other]


def test_sweep_takes_blobs_that_were_dropped(depot: Depot) -> None:
    blob = depot.create(identifier=ONE)
    with pytest.warns(ResourceWarning, match="neither closed nor abandoned"):
        del blob
    assert depot.sweep(timedelta(0)) == [ONE]


def test_an_open_blob_does_not_keep_another_with_its_identifier(depot: Depot) -> None:
    stale = depot.create(identifier=ONE)
    depot.purge(ONE)
    depot.reserve(ONE, 5)
    assert depot.sweep(timedelta(0)) == [ONE]
    stale.abandon()


@over_storages
def test_one_that_cannot_be_read_keeps_nobody_from_the_rest(depot: Depot) -> None:
    good, bad, other = depot.put(b"good"), Identifier(ONE.uuid, 2), depot.put(LARGE)
    depot.put(LARGE, identifier=bad)
    depot.put(b"next", identifier=Identifier(ONE.uuid, 21))
    depot.reserve(ONE, 5)
    assert isinstance(depot, StorageDepot)
    storage = depot._storage
    text = str(storage.get_container_item("depot", bad))
    for record in ("{", text.replace('"format":1', '"format":2')):
        storage.set_container_item("depot", bad, record)
        found = depot.scrub()
        assert (found.sound, [damage.identifier for damage in found.damaged]) == (3, [bad])
        assert depot.sweep(timedelta(0)) == [ONE]
        assert depot.state(good) is ObjectStateT.READABLE
        depot.purge(bad)
        assert depot.scrub() == (3, (), ())
        depot.put(b"again", identifier=bad)
        assert [key for key in storage.get_container_keys("depot blocks") if f"{bad}/" in key] == [
            f"{bad}/{0:012}"
        ]
        assert depot.read(bad, 0, 9) == b"again"
        depot.reserve(ONE, 5)
    assert depot.read(other, 0, len(LARGE)) == LARGE


@over_storages
def test_keys_that_are_no_identifiers_are_left_alone(depot: Depot) -> None:
    kept = depot.put(b"hello")
    assert isinstance(depot, StorageDepot)
    others = {"my key": "mine", "": "", kept.link: "a link"}
    depot._storage.set_container_items("depot", others)
    assert list(depot.identifiers()) == [info.identifier for info in depot.blobs()] == [kept]
    assert depot.scrub() == (1, (), ())
    assert depot.sweep(timedelta(0)) == []
    depot.purge(kept)
    assert dict(depot._storage.get_container_items("depot")) == others


def test_nothing_is_older_than_there_are_dates(depot: Depot) -> None:
    depot.reserve(ONE, 100)
    assert depot.sweep(timedelta.max) == []
    assert depot.sweep(timedelta.min) == [ONE]


def test_links_are_made_of_readable_blobs(depot: Depot) -> None:
    depot.put(b"hello", identifier=ONE)
    assert depot.link(ONE) == ONE.link
    assert depot.open(Identifier.parse(depot.link(ONE))).read() == b"hello"
