"""Programs beside the one that is measured: started, read, ended."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, Literal, Self

import msgspec

from streamavis.errors import InputError
from streamavis_benchmarks.rigs.mjpeg import Departure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from streamavis_benchmarks.rigs.program import RigPlan

__all__ = ["Program", "RigProcess"]

_TAIL = 20  # lines that are kept for an error message
_END_S = 5.0


class Program:
    """A process whose lines are read as they come; a context manager that kills what is left."""

    def __init__(
        self,
        command: Sequence[str],
        on_line: Callable[[str], None],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start it; `on_line` is called on a thread of its own, without line ends."""
        self.process = subprocess.Popen(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._on_line = on_line
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._thread = threading.Thread(target=self._read, name="rig-lines", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    @property
    def runs(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    @property
    def tail(self) -> str:
        """The last lines it wrote."""
        return "\n".join(self._tail)

    def wait(self, timeout_s: float) -> int | None:
        """Its exit code, once all its lines are read; None: it still runs."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        self._thread.join(_END_S)
        return code

    def kill(self) -> None:
        """End it, if it has not ended."""
        self.process.kill()
        self.process.wait()
        self._thread.join(_END_S)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def _read(self) -> None:
        assert self.process.stdout is not None, "a pipe was asked for"
        for line in self.process.stdout:
            self._tail.append(line.rstrip("\n"))
            self._on_line(line.rstrip("\n"))


class RigProcess:
    """A camera and a speaker in a process of their own; a context manager.

    Attributes:
        url: where the camera is.
        departures: pictures sent so far, in order; from any thread.
    """

    def __init__(self, plan: RigPlan, timeout_s: float = 30.0) -> None:
        """Start it and wait for its camera.

        Raises:
            InputError: it did not start; the message has its output.
        """
        self.url = ""
        self.departures: list[Departure] = []
        self._ready = threading.Event()
        command = [sys.executable, "-m", "streamavis_benchmarks.rigs.program"]
        command.append(msgspec.json.encode(plan).decode())
        self._program = Program(command, self._take)
        if not self._ready.wait(timeout_s) or not self.url:
            self._program.kill()
            raise InputError(f"the rig did not start: {self._program.tail or 'no output'}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._program.kill()

    def say(self, word: Literal["unplug", "plug", "hang", "freeze", "repair"]) -> None:
        """Break the camera, or repair it."""
        stdin = self._program.process.stdin
        assert stdin is not None, "a pipe was asked for"
        stdin.write(word + "\n")
        stdin.flush()

    def _take(self, line: str) -> None:
        if self.url:
            fields = line.split()
            if len(fields) == 3 and all(field.isdecimal() for field in fields):
                self.departures.append(Departure(*map(int, fields)))
        elif line.startswith("http://"):
            self.url = line
            self._ready.set()
