"""What takes file objects takes blobs: zipfile, tarfile, shutil, csv, PIL, h5py."""

from __future__ import annotations

import csv
import importlib
import io
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from objstore.depot import Depot
from tests.conformance.depot.cases import LARGE, Place

h5py: Any = importlib.import_module("h5py")  # has no types


@pytest.fixture(autouse=True)
def _sound(depot: Depot) -> Any:
    """Whatever a test wrote has the digest that was counted of it."""
    yield
    found = depot.scrub()
    assert not found.damaged
    assert found.sound


def test_zipfile(place: Place) -> None:
    with place.depot.create() as blob, zipfile.ZipFile(blob, "w") as archive:
        archive.writestr("hello.txt", "hello", zipfile.ZIP_DEFLATED)
        with archive.open("large", "w") as member:  # goes back to write its size
            member.write(LARGE)
    assert zipfile.is_zipfile(io.BytesIO(place.peek(blob.identifier) or b""))
    with place.depot.open(blob.identifier) as found, zipfile.ZipFile(found) as archive:
        assert archive.testzip() is None
        assert archive.read("hello.txt") == b"hello"
        assert archive.read("large") == LARGE


@pytest.mark.parametrize("mode", ["w", "w:gz", "w|", "w|bz2"])
def test_tarfile(depot: Depot, tmp_path: Path, mode: Any) -> None:
    (tmp_path / "member").write_bytes(LARGE)
    with depot.create() as blob, tarfile.open(fileobj=blob, mode=mode) as archive:
        archive.add(tmp_path / "member", "a/member")
    with depot.open(blob.identifier) as found, tarfile.open(fileobj=found) as archive:
        member = archive.extractfile("a/member")
        assert member is not None
        assert member.read() == LARGE


def test_shutil_and_text(depot: Depot) -> None:
    with depot.create() as blob:
        shutil.copyfileobj(io.BytesIO(LARGE), blob)
    target = io.BytesIO()
    with depot.open(blob.identifier) as found:
        shutil.copyfileobj(found, target)
    assert target.getvalue() == LARGE
    with depot.create() as blob, io.TextIOWrapper(blob, "utf-8", newline="") as text:
        csv.writer(text).writerow(["é", 1])
    with depot.open(blob.identifier) as found, io.TextIOWrapper(found, "utf-8", newline="") as text:
        assert list(csv.reader(text)) == [["é", "1"]]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "GIF", "WEBP", "PDF"])
def test_pillow(depot: Depot, kind: str) -> None:
    image = Image.linear_gradient("L")
    with depot.create(meta={"type": kind}) as blob:
        image.save(blob, kind)
    if kind == "PDF":
        return
    with depot.open(blob.identifier) as found, Image.open(found) as again:
        assert again.format == kind
        assert again.size == image.size
        if kind in ("PNG", "TIFF"):
            assert again.tobytes() == image.tobytes()


def test_h5py(depot: Depot) -> None:
    numbers = list(range(100_000))
    with depot.create() as blob, h5py.File(blob, "w") as file:
        file["numbers"] = numbers
        file["numbers"].attrs["unit"] = "m"
        file.create_dataset("packed", data=numbers, chunks=True, compression="gzip")
    with depot.open(blob.identifier) as found, h5py.File(found, "r") as file:
        assert file["numbers"][()].tolist() == numbers
        assert file["packed"][500:510].tolist() == numbers[500:510]
        assert file["numbers"].attrs["unit"] == "m"


def _strings(file: Any) -> None:
    texts = file.create_dataset("texts", (10,), h5py.string_dtype())
    texts[3] = "abc"
    for number in range(100):
        file.create_group(f"group {number}").attrs["text"] = "é" * number


def _partly(file: Any) -> None:
    file.create_dataset("numbers", (1000,), "f8")[500:510] = 1
    file.create_dataset("chunks", (3000, 1000), "f8", chunks=(100, 100))[0, 0] = 2


@pytest.mark.parametrize("options", [{}, {"userblock_size": 512}, {"libver": "latest"}])
@pytest.mark.parametrize("fill", [_strings, _partly])
def test_h5py_leaves_holes(depot: Depot, fill: Any, options: dict[str, Any]) -> None:
    with depot.create() as blob, h5py.File(blob, "w", **options) as file:
        fill(file)
    with depot.open(blob.identifier) as found, h5py.File(found, "r") as file:
        if fill is _partly:
            assert file["numbers"][499:511].tolist() == [0, *[1] * 10, 0]
            assert file["chunks"][0, :2].tolist() == [2, 0]
        else:
            assert file["texts"][3] == b"abc"
            assert file["texts"][4] == b""
            assert file["group 99"].attrs["text"] == "é" * 99
