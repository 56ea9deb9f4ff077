"""A whole store after crashes: of the machine, of a process, and of one after the other.

What is checked of every state: tests/faults/store_states.py, ``check``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from objstore.backings.filesystem import later
from tests.faults.crash_states import CrashState
from tests.faults.logs import small_steps
from tests.faults.store_states import Before, Workload, check

pytestmark = pytest.mark.damage


@pytest.fixture(autouse=True)
def _no_timers(monkeypatch: pytest.MonkeyPatch) -> None:
    """An abandoned handle stands for a process that is gone: it writes nothing any more."""
    small_steps(monkeypatch)
    monkeypatch.setattr(later, "_DELAY", 10**6)


def recorded(folder: Path, seed: int, steps: int = 12) -> Workload:
    workload = Workload(Before(folder), seed)
    workload.run(steps)
    return workload


def check_states(
    workload: Workload, states: Iterable[CrashState], folder: Path, run: int, known: int = 0
) -> int:
    """Check them all, with ``known`` reported before the first; how many there were."""
    checked = 0
    for state in states:
        root = state.build(folder)
        check(workload, root, run, max(state.notes, default=known))
        shutil.rmtree(root, ignore_errors=True)
        checked += 1
    return checked


def after_a_power_cut(folder: Path, seed: int, each: int) -> int:
    workload = recorded(folder / "store", seed)
    states = workload.files.crash_states(Random(seed), each)  # noqa: S311
    return check_states(workload, states, folder / "state", run=2)


def after_a_kill(folder: Path, seed: int) -> int:
    workload = recorded(folder / "store", seed)
    return check_states(workload, workload.files.kill_states(), folder / "state", run=1)


def after_two(folder: Path, seed: int, every: int, each: int) -> int:
    """A power cut, and while what it left is seen to, another one, or a kill."""
    workload = recorded(folder / "store", seed)
    checked = 0
    states = workload.files.crash_states(Random(seed), 1)  # noqa: S311
    for state in islice(states, seed % every, None, every):
        root = state.build(folder / "first")
        again, known = workload.again(root, run=2)
        cuts = again.files.crash_states(Random(seed), each)  # noqa: S311
        checked += check_states(again, cuts, folder / "second", 3, known)
        kills = again.files.kill_states()
        checked += check_states(again, kills, folder / "second", 2, known)
        shutil.rmtree(root)
    return checked


@pytest.mark.parametrize("seed", range(6))
def test_whatever_a_power_cut_leaves_is_the_store(tmp_path: Path, seed: int) -> None:
    assert after_a_power_cut(tmp_path, seed, each=1) > 80


@pytest.mark.parametrize("seed", range(6, 10))
def test_whatever_a_kill_leaves_is_the_store(tmp_path: Path, seed: int) -> None:
    assert after_a_kill(tmp_path, seed) > 80


@pytest.mark.parametrize("seed", [1])
def test_whatever_two_crashes_leave_is_the_store(tmp_path: Path, seed: int) -> None:
    assert after_two(tmp_path, seed, every=60, each=1) > 400


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(1000, 1020))
def test_many_crashes(tmp_path: Path, seed: int) -> None:
    checked = after_a_power_cut(tmp_path / "cut", seed, each=3)
    checked += after_a_kill(tmp_path / "kill", seed)
    checked += after_two(tmp_path / "two", seed, every=12, each=2)
    assert checked > 1000
