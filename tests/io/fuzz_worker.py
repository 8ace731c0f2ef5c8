"""A process that answers one question at a time and may die or hang of it."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from types import TracebackType

_CONTEXT = multiprocessing.get_context("spawn")  # a fork would share FFmpeg's threads
_START_S = 60.0  # a new process imports our code first
_HUNG = 1  # exit code of faulthandler's watchdog


class Died(Exception):  # noqa: N818 - the message says what happened
    """The process ended, or had to be ended, before it answered."""


class Worker:
    """Calls a function in a process of its own; the next call after a death starts a new one."""

    def __init__(
        self, function: Callable[[Any], object], limit_s: float, *, quiet: bool = False
    ) -> None:
        """Start nothing yet; `function` and its arguments must be picklable.

        Args:
            function: answers a question.
            limit_s: longest time for one answer.
            quiet: without the process's own words about its death, and FFmpeg's.
        """
        self._function, self._limit_s, self._quiet = function, limit_s, quiet
        self._process: Any = None
        self._pipe: Connection | None = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def ask(self, question: object) -> Any:
        """The function's answer.

        Raises:
            Died: the process crashed, or did not answer in time.
        """
        if self._process is None:
            self._start()
        assert self._pipe is not None
        try:
            self._pipe.send(question)
            if self._pipe.poll(self._limit_s + _START_S):
                return self._pipe.recv()
        except (EOFError, OSError):
            self._process.join(_START_S)
            code = self._process.exitcode
            self.stop()
            raise Died(self._too_long() if code == _HUNG else _ended(code)) from None
        self.stop()
        raise Died(self._too_long())

    def stop(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.join(_START_S)
        assert self._pipe is not None
        self._pipe.close()

    def _too_long(self) -> str:
        return f"hangs: no answer in {self._limit_s:g} s"

    def _start(self) -> None:
        self._pipe, other = _CONTEXT.Pipe()
        what = (self._function, other, self._limit_s, self._quiet)
        self._process = _CONTEXT.Process(target=_serve, args=what, daemon=True)
        self._process.start()
        other.close()  # only the process has it now: its death ends the pipe


def _serve(
    function: Callable[[Any], object], pipe: Connection, limit_s: float, quiet: bool
) -> None:
    """In the process: answer until the pipe ends. A hang ends it, with its traceback."""
    import av

    av.logging.set_level(None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    if quiet:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stderr__.fileno())
    faulthandler.enable(sys.__stderr__)
    while True:
        try:
            question = pipe.recv()
        except EOFError:
            return
        faulthandler.dump_traceback_later(limit_s, exit=True, file=sys.__stderr__)
        answer = function(question)
        faulthandler.cancel_dump_traceback_later()
        pipe.send(answer)


def _ended(code: int | None) -> str:
    if code is not None and code < 0:
        return f"crash ({signal.Signals(-code).name})"
    return f"crash (exit code {code})"
