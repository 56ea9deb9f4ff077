"""The results as Markdown. What is lost comes first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from .harness import Result, Work
from .targets import Verdict


@dataclass(frozen=True)
class Measured:
    """A work and what was measured of it."""

    work: Work
    results: Sequence[Result]

    @cached_property
    def medians(self) -> dict[str, float]:
        found = {one.contender.name: one.median for one in self.results}
        return {name: median for name, median in found.items() if median is not None}

    @property
    def ours(self) -> list[Result]:
        return [one for one in self.results if one.contender.kind == "ours" and one.median]

    @property
    def references(self) -> list[Result]:
        """What ratios are to: the first of ours, and the first limit, as far as there is one."""
        limits = [one for one in self.results if one.contender.kind == "limit" and one.median]
        return self.ours[:1] + limits[:1]

    def verdict(self, result: Result) -> Verdict | None:
        contender, median = result.contender, result.median
        if contender.kind != "ours" or not contender.judged or median is None:
            return None
        targets = self.work.targets_of(contender)
        return targets.verdict(median, self.medians) if targets.text() else None

    def ahead(self) -> list[str]:
        """The peers that are faster than any of ours that does the whole work."""
        whole = [one.median for one in self.ours if one.contender.judged and one.median]
        fastest = min(whole, default=0.0)
        return [
            one.contender.name
            for one in self.results
            if one.contender.kind == "peer" and one.median and one.median < fastest
        ]


def table(measured: Measured) -> Iterator[str]:
    """One work: title, what is done, and a row for each contender."""
    work = measured.work
    yield f"### {work.title}"
    yield ""
    yield work.about
    yield from _targets(work)
    yield ""
    ratios = [f"{work.unit.measured} / {one.contender.name}" for one in measured.references]
    yield _row([f"`{work.name}`", work.unit.name, *ratios, "samples", "verdict", "what it does"])
    yield _row(["---", *["---:"] * (len(ratios) + 2), "---", "---"])
    for result in measured.results:
        yield _row(_cells(measured, result))
    yield ""


def _targets(work: Work) -> Iterator[str]:
    if work.targets.text():
        yield f"Target: {work.targets.text()}."
    for one in work.contenders:
        if one.targets is not None:
            yield f"Target of {one.name}: {one.targets.text()}."


def _cells(measured: Measured, result: Result) -> list[str]:
    name, note, median = result.contender.name, result.contender.note, result.median
    if median is None:
        return [name, *["-"] * (len(measured.references) + 1), "0", "", result.failure]
    if result.contender.kind == "ours":
        name = f"**{name}**"
    return [
        name,
        measured.work.unit.show(median),
        *[_ratio(median / (one.median or median)) for one in measured.references],
        str(len(result.samples)),
        measured.verdict(result) or "",
        note,
    ]


def _ratio(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.2g}" if ratio < 10 else f"{ratio:.0f}"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def summary(all_measured: Sequence[Measured]) -> Iterator[str]:
    """The verdicts, lost ones first, and where a peer is ahead."""
    yield from _verdicts(all_measured, "lost", "Lost")
    yield "## A peer is ahead"
    yield ""
    ahead = [(one, one.ahead()) for one in all_measured]
    yield from [f"- {one.work.title}: {', '.join(names)}" for one, names in ahead if names] or [
        "Nowhere."
    ]
    yield ""
    yield from _verdicts(all_measured, "met", "Met, and short of the aim where there is one")
    yield from _verdicts(all_measured, "aim met", "Aim met")
    yield from _verdicts(all_measured, "not judged", "Not judged, as what it is held to is missing")


def _verdicts(all_measured: Sequence[Measured], verdict: Verdict, title: str) -> Iterator[str]:
    lines = [
        f"- {one.work.title}, {result.contender.name}: {_figure(one, result)}"
        for one in all_measured
        for result in one.results
        if one.verdict(result) == verdict
    ]
    if lines or verdict == "lost":
        yield f"## {title}"
        yield ""
        yield from lines or ["Nothing."]
        yield ""


def _figure(measured: Measured, result: Result) -> str:
    unit, targets = measured.work.unit, measured.work.targets_of(result.contender)
    bounds = [("at least", targets.at_least), ("aim", targets.aim)]
    asked = [
        f"{word} {bound.text}" + (f" = {unit.show(limit)} {unit.name}" if limit else "")
        for word, bound in bounds
        if bound is not None
        for limit in [bound.limit(measured.medians)]
    ]
    shown = f"{unit.show(result.median or 0.0)} {unit.name}"
    return f"{shown} ({'; '.join(asked)})"


def page(
    machine: Mapping[str, str],
    all_measured: Sequence[Measured],
    notes: str,
    choices: Iterable[str] = (),
) -> str:
    """RESULTS.md; ``choices`` go before the measurements."""
    lines = [
        "# Results",
        "",
        "Written by `python -m benchmarks --write`; nothing here is edited by hand. Each figure is",
        "a median; contenders of a work were measured in turn, so that ratios hold where absolute",
        "figures drift. Ratios are of times, so that more than 1 is slower, also where a table",
        "gives operations a second.",
        "",
        f"{notes}",
        "",
        *[f"- {name}: {value}" for name, value in machine.items()],
        "",
        *summary(all_measured),
        *choices,
        "## Measurements",
        "",
        *[line for one in all_measured for line in table(one)],
    ]
    return "\n".join(lines).rstrip() + "\n"
