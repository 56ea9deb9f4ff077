"""The commit log against a list: handles, switches of files, and crashes at random."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from tempfile import mkdtemp

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from objstore.backings.filesystem.log.commitlog import CommitLog

from .faults.crash_states import Recording
from .faults.logs import payload, payloads, small_steps


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    small_steps(monkeypatch)


class AgainstAList(RuleBasedStateMachine):
    """Two handles on one log, crashes of the machine, and a list beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.top = Path(mkdtemp(prefix="objstore-test-"))
        self.random = random.Random(0)  # noqa: S311
        self.rounds = 0
        self.records: list[bytes] = []
        self.durable = 0
        self.begin(self.top / "0")

    def begin(self, folder: Path) -> None:
        self.files = Recording(folder)
        self.logs = [CommitLog.open(self.files), CommitLog.open(self.files)]

    which = st.integers(0, 1)

    @rule(which=which, size=st.sampled_from([0, 5, 400, 1200]), synced=st.booleans())
    def append(self, which: int, size: int, synced: bool) -> None:
        log = self.logs[which]
        data = payload(len(self.records), size)
        with log.writing() as writer:
            assert writer.head == len(self.records)
            number, position = writer.append(data)
        self.records.append(data)
        assert number == len(self.records)
        if synced:
            log.sync(position)
            self.durable = number

    @rule(which=which)
    def refresh(self, which: int) -> None:
        log = self.logs[which]
        assert log.refresh() == len(self.records)
        assert payloads(log) == self.records

    @rule(which=which, checkpoint=st.integers())
    def switch(self, which: int, checkpoint: int) -> None:
        with self.logs[which].writing() as writer:
            writer.switch(checkpoint)
        self.durable = len(self.records)
        assert self.logs[which].checkpoint == checkpoint

    @rule(which=which, closes=st.booleans())
    def reopen(self, which: int, closes: bool) -> None:
        if closes:
            self.logs[which].close()
        self.logs[which] = CommitLog.open(self.files)
        assert self.logs[which].head == len(self.records)

    @precondition(lambda self: self.records)
    @rule(which=which, data=st.data())
    def read(self, which: int, data: st.DataObject) -> None:
        log = self.logs[which]
        if log.head:
            number = data.draw(st.integers(1, log.head))
            assert log.read(number).payload == self.records[number - 1]
            after = [record.payload for record in log.records(number)]
            assert after == self.records[number : log.head]

    @rule(seed=st.integers(0, 1000))
    def crash(self, seed: int) -> None:
        """The machine stops; what its disk holds then may be anything that the seam allows."""
        self.random.seed(seed)
        self.rounds += 1
        *_, last = self.files.crash_states(self.random, each=1)
        self.begin(last.build(self.top / str(self.rounds)))
        found = payloads(self.logs[0])
        assert len(found) >= self.durable
        assert found == self.records[: len(found)]
        self.records = found
        self.durable = len(found)

    @invariant()
    def no_handle_is_ahead(self) -> None:
        for log in self.logs:
            assert log.head <= len(self.records)

    def teardown(self) -> None:
        shutil.rmtree(self.top)


TestAgainstAList = AgainstAList.TestCase
TestAgainstAList.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
