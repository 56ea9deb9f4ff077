"""Where tests find real files: the collections beside the repository, or the copies in it."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent.parent
_BESIDE = ROOT.parent / "shared" / "data"
_COPIES = ROOT / "examples" / "data"


def caniuse_files() -> list[Path]:
    """JSON files of one shape, kept by many hands: 571 beside the repository, 60 or more in it."""
    return _files("caniuse/features-json", "caniuse", "*.json")


def kubernetes_files() -> list[Path]:
    """YAML files by many hands; some hold several documents and a few do not parse."""
    return _files("kubernetes-examples", "kubernetes", "*.y*ml")


def _files(beside: str, copied: str, pattern: str) -> list[Path]:
    folder = _BESIDE / beside
    return sorted((folder if folder.is_dir() else _COPIES / copied).glob(pattern))
