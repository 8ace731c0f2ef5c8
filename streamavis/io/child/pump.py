"""The parent's side of a child process that holds one device."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from streamavis.errors import InputError
from streamavis.io.child.messages import ChildRequest, Failed, MessageReader, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamavis.io.child.messages import Message

__all__ = ["Pump"]

_PROGRAM = "from streamavis.io.child.program import main; main()"
_PIPE_BYTES = 1 << 20
_REAP_S = 0.5


class Pump:
    """Runs the child, yields its messages, and lets go of it at once when asked to."""

    def __init__(self, request: ChildRequest, name: str) -> None:
        """Prepare; `name` stands for the device in errors."""
        self._request = request
        self._name = name
        self._lock = threading.Lock()  # guards `_wake`: a number that was closed may be reused
        self._wake: int | None = None  # a pipe's end, while the iteration can be woken
        self._aborted = False
        self._child: subprocess.Popen[bytes] | None = None

    def abort(self) -> None:
        """From any thread: end the iteration and kill the child, even one that hangs."""
        with self._lock:
            self._aborted = True
            if self._wake is not None:
                os.write(self._wake, b"x")

    def __iter__(self) -> Iterator[Message]:
        """Yield messages until the child ends or is let go.

        Raises:
            InputError: the device cannot be opened or broke, in the child's words.
        """
        woken, wake = os.pipe()
        with self._lock:
            self._wake = wake
        try:
            yield from self._messages(woken)
        finally:
            with self._lock:
                self._wake = None
            os.close(wake)
            os.close(woken)
            self._end()

    def _messages(self, woken: int) -> Iterator[Message]:
        if self._aborted:
            return
        out = self._start()
        reader = MessageReader()
        while not self._aborted:
            ready, _, _ = select.select([out, woken], [], [])
            if woken in ready:
                return
            data = os.read(out, _PIPE_BYTES)
            if not data:
                raise InputError(f"{self._name}: its capture process ended unexpectedly")
            for message in reader.feed(data):
                if isinstance(message, Failed):
                    raise InputError(f"{self._name}: {message.reason}")
                yield message
                if self._aborted:
                    return

    def _start(self) -> int:
        if not sys.executable:
            raise InputError(f"{self._name}: needs a Python interpreter for its capture process")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._child = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # PortAudio and ALSA narrate there
            env=environment,
            start_new_session=True,  # Ctrl-C is for the parent, which then ends it
        )
        assert self._child.stdin is not None and self._child.stdout is not None, "piped"
        self._child.stdin.write(encode(self._request))
        self._child.stdin.flush()
        return self._child.stdout.fileno()

    def _end(self) -> None:
        child = self._child
        if child is None:
            return
        child.kill()
        with suppress(subprocess.TimeoutExpired):  # hangs in the kernel; reaped when it wakes
            child.wait(_REAP_S)
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
