"""What is installed, under which names, and what an import costs."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import objstore
import objstore.errors

ROOT = Path(__file__).parent.parent
PACKAGES = {"objstore": "objstore", "backings": "objstore/backings", "schemas": "objstore/schemas"}


def sources(folder: Path) -> list[Path]:
    """The Python files and schemas below a folder, links not followed."""
    found = [p for p in folder.rglob("*") if p.suffix in (".py", ".json") or p.name == "py.typed"]
    linked = {p for p in folder.iterdir() if p.is_symlink()}
    return [p for p in found if not linked & set(p.parents) and "__pycache__" not in p.parts]


def run(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=cwd, check=False
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The files of the wheel, made from a copy so that no build folder is left in the tree."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    names = listed.stdout.split("\n") if listed.returncode == 0 else []
    assert names, "the suite runs from a git checkout"
    for name in filter(None, names):
        if (ROOT / name).exists():
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_symlink():
                target.symlink_to((ROOT / name).readlink())
            else:
                target.write_bytes((ROOT / name).read_bytes())
    built = run(
        "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", str(folder), ".", cwd=source
    )
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_the_wheel_holds_the_tree_and_nothing_else(wheel: set[str]) -> None:
    expected = {
        f"{installed}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, installed in PACKAGES.items()
        for path in sources(ROOT / folder)
    }
    assert wheel == expected


@pytest.mark.parametrize("name", ["backings", "schemas"])
def test_bare_names_are_refused(name: str) -> None:
    found = run("-c", f"import {name}")
    assert found.returncode != 0
    assert f"import objstore.{name}, not {name}" in found.stderr


def test_the_core_imports_no_backing() -> None:
    for path in sources(ROOT / "objstore"):
        if path.suffix != ".py":
            continue
        nodes = set(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        if path == ROOT / "objstore" / "__init__.py":
            # Names that are loaded later, told to type checkers alone.
            for block in [node for node in nodes if isinstance(node, ast.If)]:
                if ast.unparse(block.test) == "TYPE_CHECKING":
                    nodes -= set(ast.walk(block))
        for node in nodes:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or "", *(f"{node.module}.{a.name}" for a in node.names)]
            assert not any("backings" in name.split(".") for name in names), path


def test_public_names() -> None:
    assert objstore.__all__ == sorted(objstore.__all__)
    for name in objstore.__all__:
        assert getattr(objstore, name) is not None
    errors = {name for name in objstore.errors.__all__ if name != "Failure"}
    assert errors < set(objstore.__all__)
    for name in errors:
        assert issubclass(getattr(objstore, name), objstore.ObjstoreError)


def test_what_a_program_does_not_use_is_not_imported() -> None:
    program = "import sys, {}; print(*sorted(sys.modules))"
    imported = set(run("-c", program.format("objstore")).stdout.split())
    by_logging = set(run("-c", program.format("logging")).stdout.split())  # dataclasses, from 3.14
    heavy = {"orjson", "yaml", "jsonschema", "jsonschema_rs", "watchdog", "asyncio", "tomllib"}
    heavy |= {
        "uuid",
        "decimal",
        "dataclasses",
        "inspect",
        "importlib.metadata",
        "objstore.backings",
    }
    assert "objstore" in imported
    assert not heavy & (imported - by_logging)


def test_yaml_is_read_where_pyyaml_has_no_libyaml(tmp_path: Path) -> None:
    (tmp_path / "ada.yaml").write_text("name: Ada  # by hand\n")
    program = (
        "import sys, yaml; del yaml.CSafeLoader; yaml.__with_libyaml__ = False; import objstore\n"
        "with objstore.open(sys.argv[1]) as store:\n"
        "    store['ada']['born'] = 1815"
    )
    run("-c", program, str(tmp_path))
    assert (tmp_path / "ada.yaml").read_text() == "name: Ada  # by hand\nborn: 1815\n"


def test_errors_can_be_pickled_and_keep_what_they_say() -> None:
    import pickle

    failure = objstore.Failure("a.json", "/x", "a string", "1", "type")
    errors: list[objstore.ObjstoreError] = [
        objstore.ValidationError([failure]),
        objstore.FormatError("bad", source="a.json", line=1, column=2),
        objstore.FormatError("bad", source="a.json", pointer="/x"),
        objstore.ConflictError("both", pointer="/x", base=1, ours=2, theirs=3),
        objstore.KeyNotFoundError("no key"),
        objstore.AttributeNotFoundError("no key"),
    ]
    for error in errors:
        twin = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)
