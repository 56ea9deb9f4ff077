"""The benchmarks run: every work in a tiny size, without peers, so that they do not rot."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite
from pathlib import Path

import pytest

from benchmarks.__main__ import all_works
from benchmarks.data import TINY
from benchmarks.harness import Contender, Kind, Measure, MissingPeerError, Scene, Work, run
from benchmarks.report import Measured, page, table
from benchmarks.targets import Targets, ahead_of, all_of, at_most, below, faster, times
from benchmarks.units import MILLISECONDS


@pytest.mark.parametrize("work", all_works(), ids=lambda work: work.name)
def test_every_contender_of_ours_is_measured(work: Work, tmp_path: Path) -> None:
    measured = Measured(work, run(work, Scene(str(tmp_path), TINY), peers=False))
    assert any(result.contender.kind == "ours" for result in measured.results)
    for result in measured.results:
        assert not result.failure
        assert result.samples
        assert all(isfinite(sample) and sample > 0 for sample in result.samples)
    rows = [line for line in table(measured) if line.startswith("| ")]
    assert len(rows) == 2 + len(measured.results)


def test_names_are_unique() -> None:
    names = [work.name for work in all_works()]
    assert len(set(names)) == len(names)
    for work in all_works():
        contenders = [one.name for one in work.contenders]
        assert len(set(contenders)) == len(contenders)


def _taking(*seconds: float) -> Measure:
    samples = iter(seconds)
    return lambda: next(samples)


def _contender(name: str, seconds: float, kind: Kind = "peer") -> Contender:
    return Contender(name, lambda scene: _taking(*[seconds] * 9), kind=kind)


def _work(*contenders: Contender, targets: Targets | None = None) -> Work:
    return Work("work", "Do something", "It.", MILLISECONDS, contenders, targets or Targets())


def _missing(scene: Scene) -> Measure:
    raise MissingPeerError("not installed")


def _failing(scene: Scene) -> Measure:
    raise OSError(f"cannot open {scene.folder}/file")


def test_the_median_of_the_rounds_counts(tmp_path: Path) -> None:
    work = _work(Contender("ours", lambda scene: _taking(1, 5, 2, 4, 3), kind="ours"))
    [result] = run(work, Scene(str(tmp_path), replace(TINY, rounds=5)))
    assert result.median == 3


def test_contenders_take_turns_in_an_order_that_rotates(tmp_path: Path) -> None:
    order: list[str] = []

    def contender(name: str) -> Contender:
        def measure() -> float:
            order.append(name)
            return 1.0

        return Contender(name, lambda scene: measure)

    contenders = [contender(name) for name in "abc"]
    run(_work(*contenders), Scene(str(tmp_path), replace(TINY, rounds=2)))
    assert order == ["a", "b", "c", "b", "c", "a"]


def test_a_peer_that_does_not_run_is_reported(tmp_path: Path) -> None:
    work = _work(
        _contender("ours", 0.001, kind="ours"),
        Contender("one", _missing),
        Contender("other", _failing),
    )
    measured = Measured(work, run(work, Scene(str(tmp_path), TINY)))
    lines = list(table(measured))
    assert "| one | - | - | 0 |  | not installed |" in lines
    assert "| other | - | - | 0 |  | failed: OSError: cannot open /file |" in lines


def test_ours_may_not_fail(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot open"):
        run(_work(Contender("ours", _failing, kind="ours")), Scene(str(tmp_path), TINY))


_MEDIANS = {"ours": 2.0, "dict": 1.0, "peer, one way": 3.0, "peer, another": 2.5}


@pytest.mark.parametrize(
    ("targets", "verdict"),
    [
        (Targets(times("dict", 3), times("dict", 2)), "aim met"),
        (Targets(times("dict", 3), times("dict", 1)), "met"),
        (Targets(times("dict", 1.5), times("dict", 1)), "lost"),
        (Targets(ahead_of("peer")), "met"),
        (Targets(faster("peer, one way", 2)), "lost"),
        (Targets(below("dict")), "lost"),
        (Targets(ahead_of("peer"), at_most(1.9, "1.9 s")), "met"),
        (Targets(ahead_of("somebody else")), "not judged"),
        (Targets(all_of(times("dict", 3), ahead_of("peer"))), "met"),
        (Targets(all_of(times("dict", 3), times("dict", 1))), "lost"),
        (Targets(all_of(times("dict", 3), ahead_of("somebody else"))), "met"),
        (Targets(all_of(ahead_of("somebody else"))), "not judged"),
        (Targets(), "not judged"),
    ],
)
def test_verdicts(targets: Targets, verdict: str) -> None:
    assert targets.verdict(_MEDIANS["ours"], _MEDIANS) == verdict


def test_a_contender_may_have_targets_of_its_own(tmp_path: Path) -> None:
    own = Targets(times("limit", 2))
    work = _work(
        _contender("limit", 0.001, kind="limit"),
        _contender("ours", 0.003, kind="ours"),
        replace(_contender("ours, faster", 0.003, kind="ours"), targets=own),
        targets=Targets(times("limit", 4)),
    )
    measured = Measured(work, run(work, Scene(str(tmp_path), TINY)))
    text = page({}, [measured], "Measured today.")
    assert [measured.verdict(one) for one in measured.results] == [None, "met", "lost"]
    assert "Target: at least 4 times limit." in text
    assert "Target of ours, faster: at least 2 times limit." in text
    assert "- Do something, ours, faster: 3 ms (at least 2 times limit = 2 ms)" in text


def test_a_peer_is_ahead_of_what_does_the_whole_work(tmp_path: Path) -> None:
    work = _work(
        _contender("ours", 0.003, kind="ours"),
        replace(_contender("ours, less safe", 0.001, kind="ours"), judged=False),
        _contender("peer", 0.002),
    )
    assert Measured(work, run(work, Scene(str(tmp_path), TINY))).ahead() == ["peer"]


def test_what_is_lost_comes_first(tmp_path: Path) -> None:
    targets = Targets(times("limit", 1))
    work = _work(
        _contender("good", 0.001, kind="ours"),
        _contender("bad", 0.003, kind="ours"),
        _contender("limit", 0.002, kind="limit"),
        _contender("peer", 0.0005),
        targets=targets,
    )
    measured = Measured(work, run(work, Scene(str(tmp_path), TINY)))
    text = page({"processors": "2"}, [measured], "Measured today.")
    lost, ahead = "- Do something, bad: 3 ms (at least as limit = 2 ms)", "- Do something: peer"
    met = "- Do something, good: 1 ms (at least as limit = 2 ms)"
    assert 0 < text.index(lost) < text.index(ahead) < text.index(met)
