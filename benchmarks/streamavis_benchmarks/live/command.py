"""The `streamavis live` that is measured, as a process."""

from __future__ import annotations

import re
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Self

from streamavis.errors import InputError
from streamavis_benchmarks.rigs.process import Program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

__all__ = ["STREAMAVIS", "LiveCommand"]

STREAMAVIS = (sys.executable, "-m", "streamavis_apps")  # the command itself
_RESULTS = re.compile(r"results +(tcp://\S+)")
_START_S = 60.0  # torch and the model are loaded
_END_S = 20.0  # the promise is 2 s, which is measured


class LiveCommand:
    """`streamavis live` with a camera, a microphone and its results on the wire.

    A context manager that kills the process. It must end by `stop` only.

    Attributes:
        endpoint: where its results are.
        pid: of its process.
    """

    def __init__(
        self,
        camera: str,
        microphone: str,
        *,
        model: str,
        record: Path | None = None,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = STREAMAVIS,
    ) -> None:
        """Start it, and wait until it publishes.

        Args:
            camera: address.
            microphone: address or "none".
            model: as `--model` takes it.
            record: where to record, if it is to.
            environment: on top of this process's.
            command: that is `streamavis`.

        Raises:
            InputError: it did not start; the message has its output.
        """
        self.endpoint = ""
        self._ready = threading.Event()
        arguments = ["live", "--camera", camera, "--mic", microphone, "--model", model]
        arguments += ["--view", "none", "--publish", "tcp://127.0.0.1:*"]
        if record is not None:
            arguments += ["--record", str(record)]
        self._program = Program([*command, *arguments], self._take, environment)
        self.pid = self._program.process.pid
        deadline_s = time.monotonic() + _START_S
        while not self._ready.wait(0.1):
            if not self._program.runs or time.monotonic() > deadline_s:
                self._program.kill()
                raise InputError(f"`streamavis live` did not start: {self._program.tail}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._program.kill()

    def check(self) -> None:
        """Check that it runs.

        Raises:
            InputError: it does not; the message has its output.
        """
        if not self._program.runs:
            raise InputError(f"`streamavis live` ended by itself: {self._program.tail}")

    def stop(self) -> tuple[float, int]:
        """SIGTERM: seconds it took to end, and its exit code.

        Raises:
            InputError: it did not end.
        """
        begin_s = time.monotonic()
        self._program.process.send_signal(signal.SIGTERM)
        code = self._program.wait(_END_S)
        if code is None:
            raise InputError(f"`streamavis live` did not end within {_END_S:.0f} s of SIGTERM")
        return time.monotonic() - begin_s, code

    def _take(self, line: str) -> None:
        if (match := _RESULTS.search(line)) is not None:
            self.endpoint = match[1]
            self._ready.set()
