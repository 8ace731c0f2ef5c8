"""Messages that have arrived and are not read yet: bounded in bytes."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["MAX_BACKLOG", "Backlog"]

MAX_BACKLOG: Final = 32 << 20  # bytes


class Backlog:
    """A queue that drops its oldest messages when the newer ones have more than `limit` bytes.

    Attributes:
        dropped: messages that were dropped.
    """

    def __init__(self, limit: int = MAX_BACKLOG) -> None:
        """Start empty; `limit` in bytes, at least one message is kept."""
        self.dropped = 0
        self._limit = limit
        self._bytes = 0
        self._messages: deque[bytes] = deque()

    def __len__(self) -> int:
        return len(self._messages)

    def append(self, data: bytes) -> None:
        """Add the newest message, and drop the oldest ones it leaves no room for."""
        self._messages.append(data)
        self._bytes += len(data)
        while self._bytes > self._limit and len(self._messages) > 1:
            self.popleft()
            self.dropped += 1

    def popleft(self) -> bytes:
        """Take the oldest message.

        Raises:
            IndexError: there is none.
        """
        data = self._messages.popleft()
        self._bytes -= len(data)
        return data

    def drain(self) -> Iterator[bytes]:
        """Take every message, the oldest first."""
        while self._messages:
            yield self.popleft()

    def keep(self, messages: Iterable[bytes]) -> None:
        """Hold these messages alone."""
        self._messages = deque(messages)
        self._bytes = sum(map(len, self._messages))
