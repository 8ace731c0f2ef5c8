"""Read a live source for a limited time, or until a stop."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streamavis.io.live import LiveSource
    from streamavis_apps.exits import Stop

__all__ = ["closing_when"]


@contextmanager
def closing_when(
    source: LiveSource, stop: Stop, seconds: float | None
) -> Iterator[Callable[[], float]]:
    """Close `source`, which ends its iteration, after `seconds` or when `stop` is set.

    Yields a function that returns the elapsed seconds.
    """
    begin, left = time.monotonic(), threading.Event()

    def watch() -> None:
        until = None if seconds is None else begin + seconds
        while not left.is_set() and not stop.event.is_set():
            wait_s = 0.1 if until is None else min(0.1, until - time.monotonic())
            if wait_s <= 0:
                break
            stop.event.wait(wait_s)
        source.close()

    thread = threading.Thread(target=watch, name="streamavis-stop", daemon=True)
    thread.start()
    try:
        yield lambda: time.monotonic() - begin
    finally:
        left.set()
        thread.join()
