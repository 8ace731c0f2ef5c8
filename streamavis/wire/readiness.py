"""Waiting for sockets in an asyncio event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

__all__ = ["Readiness"]

# A ZeroMQ descriptor signals a change, not a state. What one round leaves unread gives no signal,
# so that no wait is longer than this.
_LONGEST_S: Final = 0.05


class Readiness:
    """Wakes a task when a descriptor can be read. A context manager, for one task.

    The event loop must have `add_reader`, as every loop on Linux and macOS has.
    """

    def __init__(self, fds: Sequence[int]) -> None:
        """Watch descriptors of ZeroMQ sockets (`zmq.FD`) from `__enter__` to `__exit__`."""
        self._fds = fds
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()

    def __enter__(self) -> Self:
        for fd in self._fds:
            self._loop.add_reader(fd, self._ready.set)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for fd in self._fds:
            self._loop.remove_reader(fd)

    async def wait(self, wait_ms: int | None) -> None:
        """Wait for a signal, `wait_ms` at most; it may come without a message."""
        longest_s = _LONGEST_S if wait_ms is None else min(wait_ms / 1e3, _LONGEST_S)
        try:
            await asyncio.wait_for(self._ready.wait(), longest_s)
        except TimeoutError:
            return
        finally:
            self._ready.clear()
