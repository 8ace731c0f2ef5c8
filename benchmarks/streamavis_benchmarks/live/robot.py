"""The robot's side: reads the wire and notes when each result came."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

from streamavis.types import FrameResult, Stage
from streamavis.wire import EndOfStream, Subscriber
from streamavis_benchmarks.faults.watch import Seen
from streamavis_benchmarks.live.match import Arrival

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Robot"]

_WAIT_S = 0.1
_JOIN_S = 10.0


class Robot:
    """Reads one stream on a thread until it ends; a context manager.

    Attributes:
        seen: the latest of everything.
        arrivals: every result, in order; from any thread.
        end: the stream's last message; None while it lasts.
    """

    def __init__(self, endpoint: str) -> None:
        """Connect and read."""
        self.seen = Seen()
        self.arrivals: list[Arrival] = []
        self.end: EndOfStream | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(endpoint,), name="robot", daemon=True
        )
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join(_JOIN_S)

    def wait_end(self, timeout_s: float) -> EndOfStream | None:
        """The stream's last message, waited for; None: it did not come."""
        self._thread.join(timeout_s)
        return self.end

    def _run(self, endpoint: str) -> None:
        with Subscriber(endpoint, kinds=("frame", "status")) as subscriber:
            while not self._over.is_set() and subscriber.end is None:
                message = subscriber.receive(_WAIT_S)
                now_ns = time.monotonic_ns()
                if message is None:
                    continue
                self.seen.take(message)
                if isinstance(message, FrameResult):
                    stamps = message.stamps
                    self.arrivals.append(
                        Arrival(
                            message.seq,
                            message.capture_time_ns,
                            stamps[Stage.PREPROCESS],
                            stamps[Stage.MODEL],
                            stamps[Stage.PUBLISH],
                            now_ns,
                        )
                    )
            self.end = subscriber.end
