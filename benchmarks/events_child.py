"""``python -m benchmarks.events_child FOLDER UUID...``: what a log takes that finds these, as JSON.

How far the resident set rose, in bytes, from before the log was opened.
"""

from __future__ import annotations

import json
import os
import sys
from uuid import UUID

from objstore.backings.filesystem import open_events


def main() -> None:
    folder, *uuids = sys.argv[1:]
    before = _resident()
    with open_events(folder) as log:
        for uuid in uuids:
            log.read(UUID(uuid))
        rise = _resident() - before
    print(json.dumps({"rise": rise}))


def _resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
