"""JSON Schemas of every JSON format that objstore writes, and of its own schema vocabulary.

Imported as ``objstore.schemas``; the folder lies at the top of the repository, the import name
does not.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any, cast

if __name__ != "objstore.schemas":
    raise ImportError(f"import objstore.schemas, not {__name__}")


def load(name: str) -> dict[str, Any]:
    """The schema called ``name`` (``vocabulary``, ``dialect``), parsed."""
    text = (files("objstore.schemas") / f"{name}.json").read_text(encoding="utf-8")
    return cast("dict[str, Any]", json.loads(text))
