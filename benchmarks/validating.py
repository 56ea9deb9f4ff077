"""Validate a document of which one key changed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any, Final

from objstore.validation import Validator

from . import peers
from .data import Record, document, key
from .harness import Contender, Measure, Scene, Work, timed
from .models import Document
from .targets import Targets, at_most, faster
from .units import MICROSECONDS

_KEY: Final = key(0)


def works() -> list[Work]:
    return [
        Work(
            "validate",
            "Validate a one-key change in a document of 100 KB",
            "One number in one of 250 small records changed. Objects know what a change left as it "
            "was; the others are given the document.",
            MICROSECONDS,
            [
                Contender("jsonschema", _jsonschema, "the whole document"),
                Contender("jsonschema-rs", _jsonschema_rs, "the whole document"),
                Contender("pydantic", _pydantic, "the whole document, into models"),
                Contender("objstore", _change, "what the change can affect", "ours"),
                Contender(
                    "objstore, no local answer",
                    _global_change,
                    "`$dynamicAnchor` in the schema: the whole document",
                    "ours",
                    judged=False,
                ),
                Contender("objstore, whole", _whole, "as when it is loaded", "ours", judged=False),
            ],
            Targets(faster("jsonschema", 20), at_most(50e-6, "50 µs")),
        )
    ]


def _versions(scene: Scene) -> tuple[Record, Record]:
    """Two documents that share all but what leads to the change, as drafts do."""
    old = document(scene.sizes.validated, dense=True)
    person = {**old["records"][_KEY], "visits": 1_000_000}
    return old, {**old, "records": {**old["records"], _KEY: person}}


def _changing(scene: Scene, judge: Callable[[Record, Record], Any]) -> Measure:
    """``judge`` is given the old and the new document, which are then each other's."""
    one, other = _versions(scene)
    if judge(one, other):
        raise ValueError("a valid document was found not to be")
    turns = cycle([(one, other), (other, one)])
    return timed(lambda: judge(*next(turns)))


def _jsonschema(scene: Scene) -> Measure:
    validator = peers.need("jsonschema").Draft202012Validator(Document.__schema__)
    return _changing(scene, lambda old, new: list(validator.iter_errors(new)))


def _jsonschema_rs(scene: Scene) -> Measure:
    validator = peers.need("jsonschema_rs").Draft202012Validator(Document.__schema__)
    return _changing(scene, lambda old, new: not validator.is_valid(new))


def _pydantic(scene: Scene) -> Measure:
    model = peers.need("benchmarks.pydantic_models").Document
    return _changing(scene, lambda old, new: model.model_validate(new) is None)


def _change(scene: Scene) -> Measure:
    validator = Validator(Document.__schema__)
    return _changing(scene, lambda old, new: validator.failures_of_change(old, new, "doc.json"))


def _global_change(scene: Scene) -> Measure:
    schema: Any = {**Document.__schema__, "$dynamicAnchor": "document"}
    validator = Validator(schema)
    return _changing(scene, lambda old, new: validator.failures_of_change(old, new, "doc.json"))


def _whole(scene: Scene) -> Measure:
    validator = Validator(Document.__schema__)
    return _changing(scene, lambda old, new: validator.failures(new, "doc.json"))
