"""How each sink is served without delaying the others."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Literal

from streamavis.protocols import InspectorSink, NoticeSink, ViewerSink

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streamavis.clock import Clock
    from streamavis.protocols import Sink
    from streamavis.runtime.heartbeat import Heartbeats
    from streamavis.runtime.journal import Journal
    from streamavis.status import EngineReport
    from streamavis.types import (
        AudioChunk,
        AudioGap,
        Candidate,
        FrameResult,
        Heard,
        SourceEvent,
        VideoFrame,
    )

__all__ = ["InlineServer", "SinkGroup", "SinkServer", "ThreadServer"]

_LOG = logging.getLogger(__name__)
_WAITING = 8  # results a sink may be behind
_POLL_S = 0.1  # how often a waiting engine looks whether it was cancelled


class SinkServer:
    """Calls one sink; its failure is recorded and stays its own."""

    def __init__(
        self,
        sink: Sink,
        report: Callable[[], EngineReport],
        *,
        clock: Clock | None = None,
        journal: Journal | None = None,
    ) -> None:
        """Prepare to serve `sink`.

        Args:
            report: how the stream is doing, for the sink.
            clock: that of a live stream, on which viewers are spared; None: a replay.
            journal: where a failure is noted.
        """
        self.name = sink.name
        self.failure = ""  # cause, or empty
        self.dropped = 0  # results it was too slow for
        self.most_hz: float | None = None  # results per second a viewer gets, at the most
        self._sink = sink
        self._report = report
        self._clock = clock
        self._journal = journal
        self._next_ns = 0  # a viewer gets nothing before

    def start(self) -> None:
        """Begin to serve."""
        try:
            self._sink.start(self._report)
        except Exception as error:
            self._fail(error)

    def put(self, frame: VideoFrame, result: FrameResult, cancelled: threading.Event) -> None:
        """Hand over a result; in a replay waits for a slow sink, at most until `cancelled`."""
        raise NotImplementedError

    def finish(self) -> None:
        """Nothing more comes; what waits is still written, then the sink is closed."""
        raise NotImplementedError

    def join(self, timeout_s: float) -> None:
        """Wait for the sink to be closed; not being closed in time is a failure."""

    def notice(self, item: AudioChunk | AudioGap | SourceEvent | Heard) -> None:
        """Pass on what came between pictures, if the sink listens."""
        if self.failure or not isinstance(self._sink, NoticeSink):
            return
        try:
            self._sink.notice(item)
        except Exception as error:
            self._fail(error)

    @property
    def inspects(self) -> bool:
        """Whether the sink asks for candidates now."""
        return not self.failure and isinstance(self._sink, InspectorSink) and self._sink.inspects

    def inspect(self, candidates: Sequence[Candidate]) -> None:
        """Pass on the candidates of the result that is put next."""
        assert isinstance(self._sink, InspectorSink), "asked for by `inspects`"
        try:
            self._sink.inspect(candidates)
        except Exception as error:
            self._fail(error)

    def _is_spared(self) -> bool:
        """True when the sink is a viewer that has just got a result."""
        if self._clock is None or not isinstance(self._sink, ViewerSink):
            return False
        now_ns = self._clock.now_ns()
        if now_ns < self._next_ns:
            return True
        rate_hz = min(self._sink.max_hz, self.most_hz or self._sink.max_hz)
        # From when it was due, not from now: else the rate would always end below what is asked.
        period_ns = round(1e9 / rate_hz)
        self._next_ns = max(self._next_ns + period_ns, now_ns + period_ns // 2)
        return False

    def _fail(self, error: Exception) -> None:
        if not self.failure:
            self.failure = f"{type(error).__name__}: {error}"
            text = f"sink {self.name} failed and is closed: {self.failure}"
            if self._journal is None:
                _LOG.error(text, exc_info=error)
            else:
                self._journal.note("sink", text, level=logging.ERROR, error=error)

    def _close(self) -> None:
        try:
            self._sink.close(self._report())
        except Exception as error:
            self._fail(error)


class InlineServer(SinkServer):
    """Serves a sink on the engine's own thread."""

    def put(self, frame: VideoFrame, result: FrameResult, cancelled: threading.Event) -> None:
        if self.failure or self._is_spared():
            return
        try:
            self._sink.write(frame, result)
        except Exception as error:
            self._fail(error)

    def finish(self) -> None:
        self._close()


class ThreadServer(SinkServer):
    """Serves a sink from a thread and a bounded queue."""

    def __init__(
        self,
        sink: Sink,
        report: Callable[[], EngineReport],
        *,
        clock: Clock | None = None,
        journal: Journal | None = None,
        hearts: Heartbeats | None = None,
    ) -> None:
        """As `SinkServer`; `hearts` is told what the thread does."""
        super().__init__(sink, report, clock=clock, journal=journal)
        self._hearts = hearts
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
        if self._is_spared():
            return
        with self._changed:
            while len(self._waiting) >= _WAITING and not self.failure:
                if self._clock is not None:  # live
                    self._waiting.popleft()
                    self.dropped += 1
                    break
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
                self._beat("working")
                self._sink.write(*item)
        except Exception as error:
            self._fail(error)
        self._beat("working")
        self._close()
        self._beat("ended")
        with self._changed:
            self._waiting.clear()
            self._changed.notify_all()

    def _next(self) -> tuple[VideoFrame, FrameResult] | None:
        """The oldest result that waits; None once nothing more comes."""
        self._beat("waiting")
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._finished)
            item = self._waiting.popleft() if self._waiting else None
            self._changed.notify_all()
            return item

    def _beat(self, doing: Literal["working", "waiting", "ended"]) -> None:
        if self._hearts is not None:
            self._hearts.beat(f"sink {self.name}", doing)


class SinkGroup:
    """The sinks of one stream, each with its server."""

    def __init__(
        self,
        sinks: Sequence[Sink],
        report: Callable[[], EngineReport],
        *,
        clock: Clock | None,
        journal: Journal,
        hearts: Heartbeats,
    ) -> None:
        """Prepare to serve `sinks`; the other arguments are those of `ThreadServer`."""
        self._servers: list[SinkServer] = [
            InlineServer(sink, report, clock=clock, journal=journal)
            if sink.inline
            else ThreadServer(sink, report, clock=clock, journal=journal, hearts=hearts)
            for sink in sinks
        ]

    @property
    def failures(self) -> dict[str, str]:
        """Sink -> cause."""
        return {s.name: s.failure for s in self._servers if s.failure}

    @property
    def dropped(self) -> dict[str, int]:
        """Sink -> results it was too slow for."""
        return {s.name: s.dropped for s in self._servers if s.dropped}

    def start(self) -> None:
        """Open every sink."""
        for server in self._servers:
            server.start()

    def put(self, frame: VideoFrame, result: FrameResult, cancelled: threading.Event) -> None:
        """Hand a result to every sink; in a replay waits for slow ones, until `cancelled`."""
        for server in self._servers:
            server.put(frame, result, cancelled)

    def notice(self, item: AudioChunk | AudioGap | SourceEvent | Heard) -> None:
        """Pass on what came between pictures."""
        for server in self._servers:
            server.notice(item)

    def inspect(self, candidates: Callable[[], Sequence[Candidate]]) -> None:
        """Give those that ask for them the candidates of the result that is put next."""
        if asking := [server for server in self._servers if server.inspects]:
            found = candidates()
            for server in asking:
                server.inspect(found)

    def limit_viewers(self, most_hz: float | None) -> None:
        """Results per second a viewer gets, at the most; None: what it asks for."""
        for server in self._servers:
            server.most_hz = most_hz

    def finish(self) -> None:
        """Let the sinks write what they have and close; `join` waits for it."""
        for server in self._servers:
            server.finish()

    def join(self, deadline_s: float) -> None:
        """Wait for the sinks to close, until `deadline_s` of `time.monotonic`."""
        for server in self._servers:
            server.join(max(0.0, deadline_s - time.monotonic()))
