"""The examples, run as a user runs them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import objstore
from objstore import Directory, ValidationError

from .realdata import ROOT, caniuse_files

EXAMPLES = ROOT / "examples"
DATA = EXAMPLES / "data" / "caniuse"
SCHEMA = EXAMPLES / "caniuse" / "caniuse.schema.json"
FOLDERS = sorted({DATA, caniuse_files()[0].parent})

BAD_CHANGES: list[dict[str, Any]] = [
    {"status": "finished"},
    {"usage_perc_y": 101},
    {"usage_perc_a": "3"},
    {"links": [{"url": "https://example.org"}]},
    {"bugs": [{"description": 1, "more": 2}]},
    {"stats": {"chrome": {"1": "yes", "2": "maybe"}}},
    {"notes_by_num": {"1": None}},
    {"unheard-of": 1},
    {"shown": 1, "title": None, "categories": "CSS"},
]


def run(module: str, *arguments: object, code: int = 0) -> str:
    """What the program prints; it must end with the exit code and complain about nothing."""
    command = [sys.executable, "-W", "error", "-m", module, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == code, done.stdout
    return done.stdout


@pytest.fixture(autouse=True)
def _originals_stay() -> Iterator[None]:
    before = _contents()
    yield
    assert _contents() == before


def _contents() -> dict[Path, bytes]:
    files = (*DATA.parent.rglob("*"), *(EXAMPLES / "settings").glob("*.yaml"))
    return {file: file.read_bytes() for file in files if file.is_file()}


@pytest.fixture
def caniuse(monkeypatch: pytest.MonkeyPatch) -> type[Directory[Any]]:
    """The example's class of the folder."""
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    found: type[Directory[Any]] = import_module("examples.caniuse.features").CanIUse
    return found


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_caniuse_on_a_folder(folder: Path) -> None:
    output = run("examples.caniuse", folder)
    there = len(list(folder.glob("*.json")))
    assert f"{there} files there, 0 read\n" in output
    assert "<Feature /css-has, not loaded>" in output
    assert "loaded                         css-has.json, css-grid.json, flexbox.json\n" in output
    assert f"not loaded                     {there - 3} files\n" in output
    assert f"{there} files, 0 failures\n" in output
    assert output.splitlines()[-1].endswith("licence CC BY 4.0")


def test_caniuse_on_a_clone_of_the_data(tmp_path: Path) -> None:
    (tmp_path / "features-json").symlink_to(DATA)
    assert "78 files there, 0 read\n" in run("examples.caniuse", tmp_path)


def test_caniuse_computes_keys() -> None:
    feature = json.loads((DATA / "css-grid.json").read_text())
    assert feature["stats"]["chrome"]["56"].startswith("p")
    assert feature["stats"]["chrome"]["57"].startswith("y")
    answers = [answer for row in feature["stats"].values() for answer in row.values()]
    share = sum(answer.startswith("y") for answer in answers) / len(answers)
    rows = [row.split() for row in run("examples.caniuse").splitlines()]
    assert ["css-grid", "cr", f"{share:.0%}", "57", "52", "10.1", "16"] in rows


def test_caniuse_refuses_and_names_the_place() -> None:
    output = run("examples.caniuse")
    for failure in (
        'ValidationError: css-has.json at /status: expected one of "ls",',
        "ValidationError: css-has.json at /usage_perc_y: expected at most 100, found 101",
        'ValidationError: css-has.json at /shown: expected true or false, found "yes"',
        "ValidationError: css-has.json at /stats/chrome/1: expected text that matches",
        "FormatError: css-grid.json, line 3, column 3: expected",
    ):
        assert failure in output
    assert "should have been refused" not in output
    assert output.count("files changed                  none\n") == 2


def test_caniuse_keeps_events_and_an_image() -> None:
    lines = [line.strip() for line in run("examples.caniuse").splitlines()]
    start = lines.index("9. Events, blobs and containers lie beside the files")
    assert lines[start + 2 : start + 7] == [
        "commits told as events         3",
        "commit         /css-has",
        "commit         /css-has, /css-grid, /flexbox",
        "commit         /css-has",
        "chart-drawn    css-has, css-grid, flexbox",
    ]
    assert lines[start + 7].startswith("verified                       4 events, up to ")
    assert lines[start + 8] == "image read back                css-has, css-grid, flexbox"


def test_caniuse_changes_lines_and_files() -> None:
    lines = [line.strip() for line in run("examples.caniuse").splitlines()]
    start = lines.index("--- a/css-has.json")
    assert lines[start + 1 : start + 6] == [
        "+++ b/css-has.json",
        "@@ -5 +5 @@",
        '-  "status":"wd",',
        '+  "status":"rec",',
        "",
    ]
    changed = "css-grid.json, css-has.json, flexbox.json"
    assert f"the same without the mistake   {changed}" in lines


def test_caniuse_looks_back() -> None:
    lines = [line.strip() for line in run("examples.caniuse").splitlines()]
    start = lines.index("8. Every commit is kept, and every state that one left")
    told = "\n".join(line.partition(": ")[2] or line for line in lines[start + 2 :])
    assert told.startswith(
        "/css-has changed\n/css-has changed, /css-grid changed, /flexbox changed\n"
        "replace /css-has/status        rec\n"
    )
    assert "status, before and now         wd, rec\n/css-has changed (undoes: 1)\n" in told
    assert '\n-  "status":"rec",\n+  "status":"wd",\n' in told
    assert "css-has.json at /status was changed again after commit 1" in told


def test_caniuse_says_what_is_wrong_with_a_folder(tmp_path: Path) -> None:
    assert "holds 0 JSON files" in run("examples.caniuse", tmp_path, code=2)
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.json").write_text('{"title": 1}')
    assert "a.json at /title: expected a string, found 1" in run(
        "examples.caniuse", tmp_path, code=1
    )


def test_the_schema_file_is_the_schema_of_the_class(caniuse: type[Directory[Any]]) -> None:
    assert json.loads(SCHEMA.read_text()) == caniuse.__schema__


@pytest.mark.parametrize("change", BAD_CHANGES, ids=lambda change: ",".join(change))
def test_the_schema_file_refuses_what_the_class_refuses(
    caniuse: type[Directory[Any]], change: dict[str, Any]
) -> None:
    contents = json.loads((DATA / "css-has.json").read_text())
    failures: list[tuple[objstore.Failure, ...]] = []
    for schema in (caniuse, SCHEMA):
        with objstore.open("memory://", schema) as store:
            store.PUT("css-has", contents)
            with pytest.raises(ValidationError) as refused:
                store.PUT("css-has", {**contents, **change})
            failures.append(refused.value.failures)
            assert store["css-has"] == contents
    assert failures[0] == failures[1]


def test_settings_keep_comments_and_defaults_stay_out() -> None:
    output = run("examples.settings")
    assert "server.workers                 4 (a default)" in output
    changed = [line[2:] for line in output.splitlines() if line[2:3] in ("+", "-")]
    assert [line for line in changed if not line.startswith(("+++", "---"))] == [
        "-admins: [ada, bob]",
        "+admins: [ada, bob, eve]",
        "-  per_minute: 60       # our provider's limit is 100",
        "+  per_minute: 90       # our provider's limit is 100",
        "+cache:",
        "+  keep: 60",
    ]


def test_settings_refuse_and_name_the_place() -> None:
    output = run("examples.settings")
    for failure in (
        "ValidationError: settings.yaml at /server/port: expected at most 65535, found 80800",
        'ValidationError: settings.yaml at /server/tiemout: expected no key "tiemout"',
        'ValidationError: settings.yaml at /log/level: expected one of "debug",',
        "FormatError: settings.yaml, line 14, column 13:",
    ):
        assert failure in output
    assert "should have been refused" not in output
    assert output.count("file changed                   no\n") == 2


def test_settings_follow_edits() -> None:
    lines = [line.strip() for line in run("examples.settings").splitlines()]
    start = lines.index("5. A service follows edits of the file") + 2
    invalid = [start + 2, start + 4]
    assert [line for number, line in enumerate(lines[start:], start) if number not in invalid] == [
        f"serves on port {port}" for port in (8080, 9090, 9090, 9090, 7070)
    ]
    assert lines[invalid[0]].startswith("settings.yaml at /server/port: expected at most 65535")
    assert lines[invalid[1]].startswith("settings.yaml, line 9, column 1:")


def test_settings_serve_until_interrupted(tmp_path: Path) -> None:
    # A shell has what it starts in the background ignore Ctrl-C: these tests, and so the service.
    program = (
        "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "runpy.run_module('examples.settings', run_name='__main__', alter_sys=True)"
    )
    command = [sys.executable, "-u", "-c", program, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        assert "serves on port 8080" in service.stdout.readline()
        file = tmp_path / "settings.yaml"
        file.write_text(file.read_text().replace("port: 8080", "port: 8081"))
        assert service.stdout.readline() == "  serves on port 8081\n"
        service.send_signal(signal.SIGINT)
        assert service.wait(60) == 0
