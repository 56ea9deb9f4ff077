"""Hear of a file that was edited outside, and of none that was not."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from threading import Event, Thread
from typing import Any, Final, Literal

import objstore

from . import peers
from .data import key, record, records
from .harness import Contender, Measure, Scene, Work
from .models import People
from .targets import Targets, ahead_of, at_most, times
from .units import MILLISECONDS

_PAUSE: Final = 0.08
"""Between two edits, in seconds: a person's, hence each by itself."""

_EDITS: Final = 5
_PATIENCE: Final = 30.0
_IDLE: Final = 1.0

Heard = Callable[[], object]
"""Called when the edit is heard of."""

Start = Callable[[ExitStack, str, Heard], None]
"""Watches a folder until the stack is closed."""


def works() -> list[Work]:
    return [
        Work(
            name="watch",
            title="Hear of a file of 1 KB that was replaced by rename",
            about=(
                "From the rename to the callback, one edit at a time. objstore has parsed and "
                "checked the file by then, entered it into its log, and shows it in its Objects."
            ),
            unit=MILLISECONDS,
            contenders=[
                Contender("watchdog", partial(_edits, _watchdog), "an event, no more", "limit"),
                Contender(
                    "objstore", partial(_edits, _objstore("full")), "a durable commit", "ours"
                ),
                Contender(
                    "objstore, os",
                    partial(_edits, _objstore("os")),
                    "a commit that the system writes in its own time",
                    "ours",
                ),
                Contender(
                    "watchfiles", partial(_edits, _watchfiles), "the set of paths, at its defaults"
                ),
            ],
            targets=Targets(times("watchdog", 3), ahead_of("watchfiles")),
        ),
        Work(
            name="watch idle",
            title="Watch 10,000 files for a second in which nothing happens",
            about="The processor's time that the process takes meanwhile.",
            unit=MILLISECONDS,
            contenders=[
                Contender("objstore", partial(_idle, _objstore("full")), "", "ours"),
                Contender("watchdog", partial(_idle, _watchdog)),
                Contender(
                    "watchfiles", partial(_idle, _watchfiles), "wakes up to look for signals"
                ),
            ],
            targets=Targets(at_most(0.001, "1 ms"), ahead_of("watchfiles")),
            rounds=3,
        ),
    ]


def _edits(start: Start, scene: Scene) -> Measure:
    folder = _filled(scene, 1)
    heard = Event()
    start(scene.stack, folder, heard.set)
    contents = json.dumps(record(0), indent=2)

    def edit() -> float:
        new = os.path.join(folder, ".new")
        with open(new, "w", encoding="utf-8") as file:
            file.write(contents.replace('"visits": 0', f'"visits": {time.monotonic_ns()}'))
        time.sleep(_PAUSE)
        heard.clear()
        began = time.perf_counter()
        os.rename(new, os.path.join(folder, "people", f"{key(0)}.json"))
        if not heard.wait(_PATIENCE):
            raise TimeoutError("nobody heard of the edit")
        return time.perf_counter() - began

    return lambda: statistics.median(edit() for _ in range(_EDITS))


def _idle(start: Start, scene: Scene) -> Measure:
    folder = scene.once(_many)

    def measure() -> float:
        with ExitStack() as stack:  # the process's time is everybody's
            start(stack, folder, lambda: None)
            time.sleep(_PAUSE)
            began = time.process_time()
            time.sleep(_IDLE)
            return time.process_time() - began

    return measure


def _many(scene: Scene) -> str:
    return _filled(scene, scene.sizes.files)


def _filled(scene: Scene, count: int) -> str:
    folder = scene.new_folder("watched")
    people = os.path.join(folder, "people")
    os.mkdir(people)
    for name, person in records(count).items():
        with open(os.path.join(people, f"{name}.json"), "w", encoding="utf-8") as file:
            json.dump(person, file, indent=2)
    return folder


def _objstore(durability: Literal["full", "os"]) -> Start:
    def start(stack: ExitStack, folder: str, heard: Heard) -> None:
        store = stack.enter_context(
            objstore.open(folder, People, watch=True, durability=durability)
        )
        store.on_change("people", lambda _: heard())
        store.root.people[key(0)].visits = -1  # so that the log is there, and knows the file

    return start


def _watchdog(stack: ExitStack, folder: str, heard: Heard) -> None:
    events, observers = peers.need("watchdog.events"), peers.need("watchdog.observers")

    class Handler(events.FileSystemEventHandler):  # type: ignore[misc, name-defined]
        def on_moved(self, event: Any) -> None:
            if event.dest_path.endswith(".json"):
                heard()

    observer = observers.Observer()
    observer.schedule(Handler(), folder, recursive=True)
    observer.start()
    stack.callback(observer.join)
    stack.callback(observer.stop)


def _watchfiles(stack: ExitStack, folder: str, heard: Heard) -> None:
    watch = peers.need("watchfiles").watch
    stop = Event()

    def follow() -> None:
        for _ in watch(folder, stop_event=stop):
            heard()

    thread = Thread(target=follow, daemon=True)
    thread.start()
    time.sleep(0.5)  # it does not say when it has begun
    stack.callback(thread.join)
    stack.callback(stop.set)
