"""Value logs whose bytes are not the ones that were written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from itertools import pairwise, product
from pathlib import Path

import pytest

from objstore.backings.filesystem import names
from objstore.backings.filesystem.io import Files
from objstore.backings.filesystem.values import vlogbatch, vloghint, vloglist
from objstore.backings.filesystem.values.valuefile import HEAD
from objstore.backings.filesystem.values.vlogbatch import FRAME_SIZE
from objstore.backings.filesystem.values.vlogfile import LogValues
from objstore.backings.filesystem.values.vloglist import FileList
from objstore.backings.valuelog import ValueLogStorage
from objstore.errors import CorruptionError, FormatError, StorageError
from tests.faults.crash_states import SECTOR, Quick
from tests.faults.value_logs import Contents, OverFiles, contents, value_files


def made(folder: Path, *, closed: bool) -> tuple[Path, int, Contents]:
    """A storage with three batches: its newest file, where the last begins, what was before it.

    One that is not closed is as a process leaves it that died.
    """
    storage = OverFiles(Quick(str(folder)), create=True)
    storage.add_container("c")
    storage.set_container_items("c", {"a": "one", "b": b"two", "zeros": bytes(600)})
    before, start = contents(storage), storage._view.tail.end
    storage.set_container_items("c", {"a": "three" * 30, "d": "four"})
    if closed:
        storage.close()
    [file] = value_files(folder)
    data = file.read_bytes()
    if not closed:
        shutil.copytree(folder, f"{folder}-died")
        storage.close()
        shutil.rmtree(folder)
        os.rename(f"{folder}-died", folder)
        assert file.read_bytes() == data
    return file, start, before


def end_of(folder: Path) -> int:
    with OverFiles(Quick(str(folder)), readonly=True) as storage:
        return storage._view.tail.end


def test_a_torn_tail_is_cut_at_every_byte_of_the_last_batch(tmp_path: Path) -> None:
    file, start, before = made(tmp_path / "s", closed=False)
    whole, end = file.read_bytes(), end_of(tmp_path / "s")
    for cut in range(start, end):
        for data in (whole[:cut], whole[:cut].ljust(len(whole), b"\0")):
            file.write_bytes(data)
            with OverFiles(Quick(str(tmp_path / "s"))) as storage:
                assert contents(storage) == before
                storage.set_container_item("c", "new", "value")
                assert storage.check() == []
            with OverFiles(Quick(str(tmp_path / "s"))) as storage:
                assert contents(storage) == {"c": {**before["c"], "new": "value"}}


@pytest.mark.parametrize("place", [0, 300, 465, 507, 508, 509, 510, 511])
def test_any_sectors_of_a_batch_may_be_missing_wherever_it_begins(
    tmp_path: Path, place: int
) -> None:
    """Also where the first of them has but a part of its head."""
    folder = tmp_path / "s"
    # So much space ahead that each byte of its size tells something.
    with OverFiles(Quick(str(folder)), create=True) as storage:
        storage._writer._step = 1 << 17
        storage.add_container("c")
        begin = storage._view.tail.end
        storage.set_container_item("c", "k", "")
        one = storage._view.tail.end - begin
        while (end := storage._view.tail.end) % SECTOR != place:
            storage.set_container_item("c", "k", "x" * ((place - end - one) % SECTOR))
        [file] = value_files(folder)
        before, known = file.read_bytes(), contents(storage)
        storage.set_container_item("c", "new", "y" * 900)
        after, upto = file.read_bytes(), storage._view.tail.end + HEAD.size
    cuts = [end, *range(end // SECTOR * SECTOR + SECTOR, upto, SECTOR), upto]
    sectors = [(before[a:b], after[a:b]) for a, b in pairwise(cuts)]
    for state in product(*sectors):
        file.write_bytes(before[:end] + b"".join(state) + before[upto:])
        with OverFiles(Quick(str(folder))) as storage:
            is_whole = b"".join(state) == after[end:upto]
            assert contents(storage) == (
                {"c": {**known["c"], "new": "y" * 900}} if is_whole else known
            )
            storage.set_container_item("c", "later", "z")
        with OverFiles(Quick(str(folder)), readonly=True) as storage:
            assert storage.check() == []
            assert storage.get_container_item("c", "later") == "z"


def flips(data: bytes, start: int, end: int, step: int = 1) -> Iterator[tuple[int, bytes]]:
    for bit in range(8 * start, 8 * end, step):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bit // 8, bytes(flipped)


def opened(folder: Path) -> OverFiles | CorruptionError:
    try:
        return OverFiles(Quick(str(folder)), readonly=True)
    except CorruptionError as error:
        return error


def test_a_flipped_bit_is_detected_wherever_it_is(tmp_path: Path) -> None:
    """When it is opened, or by ``check``; and nothing that is read is ever wrong."""
    file, _, _ = made(tmp_path / "s", closed=True)
    whole = file.read_bytes()
    with OverFiles(Quick(str(tmp_path / "s")), readonly=True) as storage:
        known = contents(storage)["c"]
    for offset, data in flips(whole, 0, len(whole) - HEAD.size, step=5):
        file.write_bytes(data)
        found = opened(tmp_path / "s")
        if isinstance(found, CorruptionError):
            assert found.file == str(file.relative_to(tmp_path / "s"))
            assert found.offset is not None
            assert found.offset <= offset
            continue
        storage = found
        wrong = storage.check()
        assert wrong, offset
        assert all(one.offset is not None and one.offset <= offset for one in wrong)
        for key, value in known.items():
            try:
                assert storage.get_container_item("c", key) == value
            except CorruptionError:
                assert any(one.file == str(file.relative_to(tmp_path / "s")) for one in wrong)
        storage.close()


def test_a_scan_never_ends_early_in_silence(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    with OverFiles(Quick(str(folder)), create=True) as storage:
        storage.add_container("c")
        items = {f"{n:04}": f"value {n}" * (1 + n % 3) for n in range(1000)}
        storage.set_container_items("c", items)
        location = storage._view.index.names["c"].at["0700"]
    [file] = value_files(folder)
    whole = file.read_bytes()
    at = location >> vlogbatch.OFFSET_SHIFT & vlogbatch.OFFSET_MASK
    for offset in range(at, at + vlogbatch.ENTRY + len(items["0700"])):
        file.write_bytes(whole[:offset] + bytes((whole[offset] ^ 4,)) + whole[offset + 1 :])
        with OverFiles(Quick(str(folder)), readonly=True) as storage:
            found = storage.get_container_items("c")
            with pytest.raises(CorruptionError, match="does not fit its checksum") as caught:
                for key, value in found:
                    assert items[key] == value
            assert caught.value.offset == at
            with pytest.raises(CorruptionError):
                storage.get_container_item("c", "0700")
            with pytest.raises(CorruptionError):
                list(storage.scan("c", prefix="07", reverse=True))
            assert storage.get_container_item("c", "0701") == items["0701"]


def test_damage_before_what_is_known_to_be_synced_is_no_torn_tail(tmp_path: Path) -> None:
    file, start, _ = made(tmp_path / "s", closed=False)
    with OverFiles(Quick(str(tmp_path / "s"))) as storage:
        storage.set_container_item("c", "later", "one")
    data = bytearray(file.read_bytes())
    data[start : start + 40] = bytes(40)
    file.write_bytes(data)
    with pytest.raises(CorruptionError) as caught:
        OverFiles(Quick(str(tmp_path / "s")))
    assert caught.value.offset == start
    assert str(file.relative_to(tmp_path / "s")) in str(caught.value)


def test_a_torn_tail_is_looked_through_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, start, before = made(tmp_path / "s", closed=False)
    data = file.read_bytes()
    file.write_bytes(data[: start + 100].ljust(len(data), b"\0"))
    judged: list[int] = []
    real = LogValues.is_torn

    def is_torn(self: LogValues, offset: int) -> bool:
        judged.append(offset)
        return real(self, offset)

    monkeypatch.setattr(LogValues, "is_torn", is_torn)
    with OverFiles(Quick(str(tmp_path / "s")), readonly=True) as reader:
        for _ in range(20):
            assert reader.get_container_item("c", "a") == "one"
        assert judged == [start]
        assert reader.check() == []
        assert judged == [start] * 2, "who asks whether all is well is not told what was so"
        with OverFiles(Quick(str(tmp_path / "s"))) as writer:
            writer.set_container_item("c", "a", "new")
        assert reader.get_container_item("c", "a") == "new"
    with OverFiles(Quick(str(tmp_path / "s"))) as again:
        assert contents(again) == {"c": {**before["c"], "a": "new"}}


@pytest.mark.parametrize("at", [0, 3, 4, 20, 60])
def test_damage_where_a_torn_tail_was_is_told(tmp_path: Path, at: int) -> None:
    file, start, _ = made(tmp_path / "s", closed=False)
    data = file.read_bytes()
    file.write_bytes(data[: start + 100].ljust(len(data), b"\0"))
    with OverFiles(Quick(str(tmp_path / "s")), readonly=True) as reader:
        assert reader.get_container_item("c", "a") == "one"
        with OverFiles(Quick(str(tmp_path / "s"))) as writer:
            writer.set_container_item("c", "a", "new" * 30)
            writer.set_container_item("c", "a", "newest")
            with file.open("r+b") as opened:
                opened.seek(start + at)
                opened.write(b"\x7f")
            with pytest.raises(CorruptionError):
                reader.get_container_item("c", "a")


def test_the_list_of_files_is_checked(tmp_path: Path) -> None:
    made(tmp_path / "s", closed=True)
    path = Path(names.value_list(str(tmp_path / "s")))
    whole = path.read_bytes()
    for _, data in flips(whole, 0, len(whole), step=11):
        path.write_bytes(data)
        try:
            storage = ValueLogStorage(tmp_path / "s")
        except (CorruptionError, FormatError):
            continue
        # White space.
        assert storage.check() == []
        storage.close()
    path.write_bytes(b"")
    with pytest.raises(CorruptionError, match="no list of files"):
        ValueLogStorage(tmp_path / "s")


def test_a_missing_file_is_told_by_name(tmp_path: Path) -> None:
    file, _, _ = made(tmp_path / "s", closed=True)
    file.unlink()
    with pytest.raises(StorageError, match="missing"):
        ValueLogStorage(tmp_path / "s")


def test_a_check_tells_what_is_gone_from_the_disk(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    with OverFiles(Quick(str(folder)), create=True, capacity=1000) as storage:
        storage.add_container("c")
        for n in range(5):
            storage.set_container_item("c", f"{n}", "x" * 500)
        gone = value_files(folder)[1]
        gone.unlink()
        [wrong] = storage.check()
        assert wrong.file == str(gone.relative_to(folder))
        assert "this file of the list is missing" in str(wrong)
        Path(names.value_list(str(folder))).unlink()
        [wrong] = storage.check()
        assert wrong.file == "valuelog.json"
        assert contents(storage) == {"c": {f"{n}": "x" * 500 for n in range(5)}}


def test_a_check_takes_no_files_for_missing_that_were_merged_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OverFiles(Quick(str(tmp_path)), create=True) as storage:
        storage.add_container("c")
        storage.set_container_item("c", "k", "v")
        read, times = vloglist.read, list[int]()

        def read_and_compact(files: Files) -> FileList | None:
            found = read(files)
            times.append(1)
            if len(times) == 1:
                with OverFiles(Quick(str(tmp_path))) as other:
                    other.compact()
            return found

        monkeypatch.setattr(vloglist, "read", read_and_compact)
        assert storage.check() == []
        assert len(times) > 2


def test_a_file_that_was_cut_short_is_damaged(tmp_path: Path) -> None:
    """Not every value is there that the index knows of, as far as frames or a hint tell it."""
    file, _, _ = made(tmp_path / "s", closed=True)
    with OverFiles(Quick(str(tmp_path / "s"))) as storage:
        with storage._writer.writing():
            storage._writer.begin_next()
        whole = file.read_bytes()
        end = storage.get_file_infos()[0].size
    for size in (0, *range(FRAME_SIZE, end, 7)):
        file.write_bytes(whole[:size])
        found = opened(tmp_path / "s")
        if isinstance(found, CorruptionError):
            assert found.offset is not None
            continue
        assert found.check()
        found.close()


def hinted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Contents]:
    """A storage whose file has a hint."""
    monkeypatch.setattr(vloghint, "_WORTH", 5)
    with OverFiles(Quick(str(folder)), create=True) as storage:
        storage.add_container("c")
        storage.add_container("gone")
        for n in range(20):
            storage.set_container_item("c", f"k{n % 15}", str(n) if n % 2 else bytes((n,)))
        storage.delete_container_item("c", "k14")
        storage.delete_container("gone")
        found = contents(storage)
    [hint] = (folder / "hints").iterdir()
    return hint, found


def test_a_hint_is_as_good_as_the_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hint, known = hinted(tmp_path / "s", monkeypatch)
    with OverFiles(Quick(str(tmp_path / "s"))) as storage:
        assert storage._view.tail.count == 0, "no frame was read"
        assert contents(storage) == known
        assert storage.check() == []
        storage.add_container("more")
        storage.set_container_item("c", "k0", "new")
        known = contents(storage)
    with OverFiles(Quick(str(tmp_path / "s"))) as storage:
        assert contents(storage) == known
    hint.unlink()
    with OverFiles(Quick(str(tmp_path / "s"))) as storage:
        assert contents(storage) == known


def test_a_damaged_hint_is_not_used_and_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hint, known = hinted(tmp_path / "s", monkeypatch)
    whole = hint.read_bytes()
    for _, data in flips(whole, 0, len(whole), step=7):
        hint.write_bytes(data)
        with OverFiles(Quick(str(tmp_path / "s")), readonly=True) as storage:
            assert contents(storage) == known
            [wrong] = storage.check()
            assert wrong.file == str(hint.relative_to(tmp_path / "s"))
    hint.write_bytes(b"")
    with OverFiles(Quick(str(tmp_path / "s"))) as storage:
        assert contents(storage) == known
