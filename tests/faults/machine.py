"""What tests need of the machine: mounts, another user, processes that die."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
import traceback
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Final, NoReturn

import pytest

_NOBODY: Final = 65534


def need_root() -> None:
    """Skip where the user may not mount; in continuous integration that is a failure."""
    if os.geteuid() != 0:
        _cannot("needs root")


def need_tool(tool: str, package: str) -> None:
    """Install a program of the system where it is missing; skip where that is not to be had."""
    if shutil.which(tool) is not None:
        return
    if os.geteuid() == 0 and shutil.which("apt-get") is not None:
        for command in (["update"], ["install", "--yes", "--no-install-recommends", package]):
            subprocess.run(["apt-get", "-qq", *command], check=False, capture_output=True)
    if shutil.which(tool) is None:
        _cannot(f"needs {tool}")


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Generator[None]:
    """A tmpfs on an existing folder, as long as the block runs."""
    need_root()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "objstore-test", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        _cannot(f"needs root that may mount: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount_readonly(folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)


def let_others_in(folder: Path) -> None:
    """Let everybody list a folder of a test, and come to it through those above it.

    How many of them pytest makes for itself alone depends on how it runs.
    """
    folder.chmod(folder.stat().st_mode | 0o555)
    for above in folder.parents:
        mode = above.stat().st_mode
        if mode & 0o111 != 0o111:
            above.chmod(mode | 0o111)


@contextlib.contextmanager
def without_privileges() -> Generator[None]:
    """Permission bits do not bind root; run the block as somebody whom they do."""
    if os.geteuid() != 0:
        yield
        return
    group = os.getegid()
    os.setegid(_NOBODY)
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)


def in_child(work: Callable[[], None]) -> int:
    """Run ``work`` in a forked process; the signal that ended it, 0 when it returned."""
    process = start_child(work)
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status)
    assert os.waitstatus_to_exitcode(status) == 0
    return 0


def start_child(work: Callable[[], None]) -> int:
    """Run ``work`` in a forked process, and return that process's id."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        # No cleanup of pytest in the child: its fixtures belong to the parent.
        os._exit(code)


def _cannot(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def killed_amid(
    works: Sequence[Callable[[], None]], told: Sequence[Path], chance: random.Random, within: float
) -> None:
    """Have processes work, and kill them in any order at a moment after one has told of more.

    ``told`` are the files that they tell by; the moment comes ``within`` so many seconds.
    """

    def said() -> int:
        return sum(path.stat().st_size for path in told if path.exists())

    known, children = said(), [start_child(work) for work in works]
    while said() == known:
        time.sleep(0.001)
    time.sleep(chance.random() * within)
    chance.shuffle(children)
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    for path in filter(Path.exists, told):
        # The last line may be torn, as the kernel writes page by page: the next begins a new one.
        os.truncate(path, path.read_bytes().rfind(b"\n") + 1)
