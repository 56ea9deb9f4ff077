"""One seam does all file I/O, so that tests can break any step of it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import objstore.backings.filesystem


def test_only_the_seam_touches_files() -> None:
    """No other module calls what opens or changes files; some parts of os only compute."""
    seam = {"exchange.py", "io.py", "openio.py"}
    pure = {
        "fsdecode",
        "fsencode",
        "path",
        "PathLike",
        "fspath",
        "getpid",
        "register_at_fork",
        "stat_result",
    }
    pure_paths = {"basename", "dirname", "join", "samestat", "split", "splitext"}
    package = Path(objstore.backings.filesystem.__file__).parent
    for module in (*package.rglob("*.py"), package.parent / "checks.py"):
        if module.name in seam:
            continue
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Name):
                assert node.id != "open", module
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert node.value.id != "os" or node.attr in pure, (module, node.attr)
                assert node.value.id not in ("shutil", "fcntl", "tempfile"), module
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "os.path":
                assert node.attr in pure_paths, (module, node.attr)


LAYERS: dict[str, set[str]] = {
    "log": set(),
    "history": {"log"},
    "values": {"log"},
    "events": {"log"},
    "blobs": {"log"},
    "watching": set(),
}
"""Of each part, which other ones it rests on. All may use the modules beside them."""


@pytest.mark.parametrize("part", LAYERS)
def test_parts_rest_on_those_below(part: str) -> None:
    folder = Path(objstore.backings.filesystem.__file__).parent
    assert {path.parent.name for path in folder.glob("*/__init__.py")} == LAYERS.keys()
    for module in (folder / part).glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == 2 and node.module:
                name = node.module.partition(".")[0]
                assert name not in LAYERS or name in LAYERS[part], (module, node.module)
