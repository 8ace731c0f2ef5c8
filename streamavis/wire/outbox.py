"""What waits to be sent: bounded, so that handing over never blocks an engine."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamavis.wire.schema import Kind

__all__ = ["MAX_FRAMES", "Outbox"]

MAX_FRAMES: Final = 8  # waiting for the socket's thread, which takes far less than a frame time

_CACHED: Final[tuple[Kind, ...]] = ("hello", "status", "eos")  # one value each, the latest


class Outbox:
    """Hands encoded messages from any thread to the one that owns the socket.

    Frames wait in order, and the oldest is dropped for the newest when `MAX_FRAMES` do. Of every
    other kind the last value is kept for good, so that a late joiner can be told.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frames: deque[bytes] = deque()
        self._last: dict[Kind, bytes] = {}
        self._due: set[Kind] = set()
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Frames dropped because the socket's thread did not keep up."""
        return self._dropped

    def put(self, kind: Kind, data: bytes) -> None:
        """Hand over one encoded message; never blocks. After the eos nothing is taken."""
        with self._lock:
            if "eos" in self._last:
                return
            if kind != "frame":
                self._last[kind] = data
                self._due.add(kind)
                return
            if len(self._frames) == MAX_FRAMES:
                self._frames.popleft()
                self._dropped += 1
            self._frames.append(data)

    def repeat(self, kinds: Iterable[Kind]) -> None:
        """Send the last values of these kinds again, where there are any."""
        with self._lock:
            self._due |= self._last.keys() & set(kinds)

    def take(self) -> list[bytes]:
        """Return what is due, in the order to send it: hello, status, frames, eos."""
        with self._lock:
            due = [self._last[kind] for kind in _CACHED if kind in self._due]
            place = len(due) - ("eos" in self._due)
            due[place:place] = self._frames
            self._frames.clear()
            self._due.clear()
            return due
