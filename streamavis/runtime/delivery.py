"""Where results go: what a sink is, and how each one is served without holding up the rest."""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamavis.runtime.stats import LatencySummary
    from streamavis.types import (
        AudioChunk,
        AudioGap,
        FrameResult,
        Heard,
        SourceEvent,
        VideoFrame,
    )

__all__ = [
    "EngineReport",
    "InlineServer",
    "Listener",
    "Phase",
    "Sink",
    "SinkServer",
    "ThreadServer",
    "serve",
]

_LOG = logging.getLogger(__name__)
_WAITING = 8  # results a sink may be behind
_POLL_S = 0.1  # how often a waiting engine looks whether it was cancelled

Phase = Literal["running", "ended", "stopped", "truncated", "failed"]


@dataclass
class EngineReport:
    """What became of a stream, so far or in the end.

    Once it is over, `captured == processed + sum(dropped.values())`, exactly.
    """

    phase: Phase
    captured: int  # frames the source gave
    processed: int  # frames with a result
    dropped: dict[str, int]  # cause -> frames without one
    stages: dict[str, LatencySummary]  # Stage, "total" and, when paced, "lateness"
    duration_s: float  # since the first result was asked for
    torch_threads: int  # the same number gives the same results
    sink_failures: dict[str, str] = field(default_factory=dict)  # sink -> cause

    @property
    def frames_per_s(self) -> float:
        """Results per second of `duration_s`."""
        return self.processed / self.duration_s if self.duration_s > 0 else 0.0


class Sink(Protocol):
    """A consumer of results. After `start`, all calls come from one thread; `close` is the last.

    An `inline` sink is called on the thread that asks the engine for results: for those that
    never wait, and for windows, which belong to a program's main thread. Any other has a thread
    and a bounded queue of its own, and the engine waits for it: it gets every result.
    """

    @property
    def name(self) -> str: ...

    @property
    def inline(self) -> bool: ...

    def start(self, report: Callable[[], EngineReport]) -> None:
        """The stream begins; `report` tells from any thread, at any time, how it is doing."""

    def write(self, frame: VideoFrame, result: FrameResult) -> None:
        """Take a result and the picture it was made from; neither may be changed."""

    def close(self, report: EngineReport) -> None:
        """The stream is over, or this sink failed; leave everything written readable."""


@runtime_checkable
class Listener(Protocol):
    """A sink that also follows the sound, what the model hears, how the sources are doing."""

    def notice(self, item: AudioChunk | AudioGap | SourceEvent | Heard) -> None:
        """Take what came between pictures, in order; on any thread, and must return at once."""


class SinkServer:
    """Calls one sink; its failure is recorded and stays its own."""

    def __init__(self, sink: Sink, report: Callable[[], EngineReport]) -> None:
        self.name = sink.name
        self.failure = ""  # cause, or empty
        self._sink = sink
        self._report = report

    def start(self) -> None:
        """Begin to serve."""
        try:
            self._sink.start(self._report)
        except Exception as error:
            self._fail(error)

    def put(self, frame: VideoFrame, result: FrameResult, cancelled: threading.Event) -> None:
        """Hand over a result; waits for a slow sink, at most until `cancelled`."""
        raise NotImplementedError

    def finish(self) -> None:
        """Nothing more comes; what waits is still written, then the sink is closed."""
        raise NotImplementedError

    def join(self, timeout_s: float) -> None:
        """Wait for the sink to be closed; not being closed in time is a failure."""

    def _fail(self, error: Exception) -> None:
        if not self.failure:
            self.failure = f"{type(error).__name__}: {error}"
            _LOG.error("sink %s failed and is closed: %s", self.name, self.failure)

    def _close(self) -> None:
        try:
            self._sink.close(self._report())
        except Exception as error:
            self._fail(error)


class InlineServer(SinkServer):
    """Serves a sink on the engine's own thread."""

    def put(self, frame: VideoFrame, result: FrameResult, cancelled: threading.Event) -> None:
        if self.failure:
            return
        try:
            self._sink.write(frame, result)
        except Exception as error:
            self._fail(error)

    def finish(self) -> None:
        self._close()


class ThreadServer(SinkServer):
    """Serves a sink from a thread and a bounded queue."""

    def __init__(self, sink: Sink, report: Callable[[], EngineReport]) -> None:
        super().__init__(sink, report)
        self._waiting: deque[tuple[VideoFrame, FrameResult]] = deque()
        self._finished = False  # nothing more comes
        self._changed = threading.Condition()
        # A daemon: a sink that wedges must not keep the program from ending.
        self._thread = threading.Thread(
            target=self._run, name=f"streamavis-{sink.name}", daemon=True
        )

    def start(self) -> None:
        super().start()
        self._thread.start()

    def put(self, frame: VideoFrame, result: FrameResult, cancelled: threading.Event) -> None:
        with self._changed:
            while len(self._waiting) >= _WAITING and not self.failure:
                if cancelled.is_set():
                    return
                self._changed.wait(_POLL_S)  # nobody notifies when `cancelled` is set
            if not self.failure:
                self._waiting.append((frame, result))
                self._changed.notify_all()

    def finish(self) -> None:
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self._fail(TimeoutError("it did not close in time"))

    def _run(self) -> None:
        try:
            while (item := self._next()) is not None:
                self._sink.write(*item)
        except Exception as error:
            self._fail(error)
        self._close()
        with self._changed:
            self._waiting.clear()
            self._changed.notify_all()

    def _next(self) -> tuple[VideoFrame, FrameResult] | None:
        """The oldest result that waits; None once nothing more comes."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._finished)
            item = self._waiting.popleft() if self._waiting else None
            self._changed.notify_all()
            return item


def serve(sink: Sink, report: Callable[[], EngineReport]) -> SinkServer:
    """The server a sink needs; `report` tells how the stream is doing."""
    return InlineServer(sink, report) if sink.inline else ThreadServer(sink, report)
