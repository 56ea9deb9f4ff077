"""``python -m examples.caniuse [FOLDER]``: what objstore does for a folder of JSON files.

Works on a temporary copy; the folder itself is only read. A clone of the data's repository will do,
which has its files in ``features-json``.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from objstore import ObjstoreError

from . import steps

DATA = Path(__file__).parent.parent / "data" / "caniuse"
SOURCE = (
    "Data: https://github.com/Fyrd/caniuse, by Alexis Deveria and contributors, licence CC BY 4.0"
)


def main(arguments: list[str]) -> int:
    """Show every step on a copy of the folder; 0 if all went as it should."""
    folder = Path(arguments[0]) if arguments else DATA
    if (folder / "features-json").is_dir():
        folder /= "features-json"
    files = sorted(folder.glob("*.json"))
    if len(files) < steps.NEEDED:
        print(f"{folder} holds {len(files)} JSON files; {steps.NEEDED} are needed")
        return 2
    print(f"{len(files)} JSON files of {folder}, copied, as a tree of typed objects")
    with tempfile.TemporaryDirectory() as scratch:
        for file in files:
            shutil.copy(file, scratch)
        try:
            steps.show(Path(scratch))
        except ObjstoreError as error:
            print(f"{type(error).__name__}: {error}")
            return 1
    print(f"\n{SOURCE}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
