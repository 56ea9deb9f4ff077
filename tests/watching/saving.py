"""The ways that real tools have of saving a file."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.faults.machine import need_tool

EDA = {"name": "Eda", "born": 1815}


def text_of(contents: object) -> str:
    return json.dumps(contents, indent=2) + "\n"


def run(*command: str | Path, cwd: Path | None = None) -> None:
    subprocess.run(
        [*map(str, command)], cwd=cwd, check=True, stdin=subprocess.DEVNULL, capture_output=True
    )


def replace(file: Path, text: str) -> None:
    """As most editors save."""
    temporary = file.with_name(f".{file.name}.tmp")
    temporary.write_text(text)
    temporary.rename(file)


def write_in_pieces(file: Path, text: str) -> None:
    with file.open("w", buffering=1) as open_file:
        for number in range(0, len(text), 7):
            open_file.write(text[number : number + 7])
            open_file.flush()


def rename_a_backup(file: Path, text: str) -> None:
    """As Emacs saves."""
    file.rename(file.with_name(f"{file.name}~"))
    write_in_pieces(file, text)


def unlink_and_make(file: Path, text: str) -> None:
    file.unlink()
    file.write_text(text)


def with_cp(file: Path, text: str) -> None:
    source = file.parent.parent.with_name("elsewhere.json")
    source.write_text(text)
    run("cp", source, file)


def with_link(file: Path, text: str) -> None:
    """A hard link, as some programs that save whole files make it."""
    source = file.parent.parent.with_name("linked.json")
    source.write_text(text)
    run("ln", "-f", source, file)


def with_sed(file: Path, text: str) -> None:
    del text
    need_tool("sed", "sed")
    run("sed", "-i", "s/Ada/Eda/", file)


def with_rsync(file: Path, text: str) -> None:
    need_tool("rsync", "rsync")
    source = file.parent.parent.with_name("source")
    source.mkdir()
    (source / file.name).write_text(text)
    run("rsync", "--archive", "--checksum", f"{source}/", f"{file.parent}/")


def with_rsync_in_place(file: Path, text: str) -> None:
    need_tool("rsync", "rsync")
    source = file.parent.parent.with_name("elsewhere.json")
    source.write_text(text)
    run("rsync", "--checksum", "--inplace", source, file)


def with_vim(*options: str) -> Callable[[Path, str], None]:
    def edit(file: Path, text: str) -> None:
        del text
        need_tool("vim", "vim")
        settings = [part for option in options for part in ("-c", f"set {option}")]
        run("vim", "-u", "NONE", "-es", *settings, "-c", "%s/Ada/Eda/", "-c", "wq", file)

    return edit


def write(file: Path, text: str) -> None:
    file.write_text(text)


WAYS: dict[str, Callable[[Path, str], None]] = {
    "rename": replace,
    "write": write,
    "write in pieces": write_in_pieces,
    "rename a backup": rename_a_backup,
    "unlink and make": unlink_and_make,
    "cp": with_cp,
    "ln": with_link,
    "sed -i": with_sed,
    "rsync": with_rsync,
    "rsync --inplace": with_rsync_in_place,
    "vim": with_vim(),
    "vim, backup": with_vim("backup", "writebackup", "backupcopy=no"),
    "vim, backup copied": with_vim("backup", "writebackup", "backupcopy=yes"),
    "vim, no backup": with_vim("nobackup", "nowritebackup"),
}
