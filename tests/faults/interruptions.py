"""Interrupts, as by Ctrl-C, at each moment at which one can come.

A signal's handler runs as a Python function begins, as a call into C ends and as a loop goes on,
and may raise there.
"""

from __future__ import annotations

import dis
import functools
import sys
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Self

_TESTS = str(Path(__file__).parents[1])
"""What is called from there is interrupted, and not itself."""


class Interrupt(BaseException):
    """As KeyboardInterrupt."""


class AlarmError(TimeoutError):
    """As what many handlers of SIGALRM raise: an OSError, and not the system's."""


INTERRUPTS = (Interrupt, AlarmError)


class Interruption:
    """Interrupts a block at the ``at``-th such moment; with 0 it counts them.

    What it raises, of the ``kind``, has to come out of the block as it is, or not at all: where
    something is freed, nothing does.
    """

    def __init__(self, at: int, kind: type[BaseException] = Interrupt) -> None:
        self.seen = 0
        self._at = at
        self._interrupt: BaseException = kind()
        self.came_out = False
        self._calling: dict[FrameType, int | None] = {}
        """By frame, where it has just called something, as far as we know written in C."""

    def __enter__(self) -> Self:
        sys.settrace(self._see)
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        sys.settrace(None)
        self._calling.clear()
        self.came_out = error is self._interrupt
        del self._interrupt  # which holds all that was going on
        return self.came_out

    def _see(self, frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename.startswith(_TESTS):
            return None
        if event == "call":
            if frame.f_back in self._calling:
                self._calling[frame.f_back] = None
            frame.f_trace_lines, frame.f_trace_opcodes = False, True
            self._count()
        elif event == "opcode":
            at, called = frame.f_lasti, self._calling.get(frame)
            # It is for who handles errors of the call, and not for who may handle them from now on.
            if called is not None and _handler(frame.f_code, called) == _handler(frame.f_code, at):
                self._count()
            self._calling[frame] = at if frame.f_code.co_code[at] in _CALLS else None
        elif event == "return":
            self._calling.pop(frame, None)
        return self._see

    def _count(self) -> None:
        self.seen += 1
        if self.seen == self._at:
            sys.settrace(None)
            self.come()

    def come(self) -> None:
        """What happens at that moment."""
        raise self._interrupt


@functools.cache
def _handlers(code: CodeType) -> list[tuple[int, int, int]]:
    return [entry[:3] for entry in dis._parse_exception_table(code)]  # type: ignore[attr-defined]


def _handler(code: CodeType, at: int) -> int | None:
    """Where an error at an instruction leads to."""
    return next((to for start, end, to in _handlers(code) if start <= at < end), None)


_CALLS = {code for name, code in dis.opmap.items() if name.startswith(("CALL", "JUMP_BACKWARD"))}
