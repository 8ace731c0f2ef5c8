"""From a source through a session to sinks: the threads, and how they end.

The source's thread decodes ahead into a bounded queue; the model runs on the thread that asks for
results; each sink has a thread and a bounded queue of its own, so that none can hold up another.
"""

from __future__ import annotations

import math
import secrets
import threading
import time
from typing import TYPE_CHECKING, Protocol

import torch

from streamavis.errors import TruncatedInputError
from streamavis.runtime.clock import Clock, MonotonicClock
from streamavis.runtime.delivery import EngineReport, Listener, Phase, serve
from streamavis.runtime.pacing import live, paced
from streamavis.runtime.queues import LiveQueue, ReplayQueue
from streamavis.runtime.stats import Statistics
from streamavis.types import AudioChunk, Stage, VideoFrame

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from streamavis.runtime.delivery import Sink
    from streamavis.runtime.session import Session
    from streamavis.types import FrameResult

__all__ = ["Engine", "EngineReport", "Source"]

_POLL_S = 0.1  # how often a waiting engine looks whether it was cancelled
_STOP_S = 1.5  # what a stop grants source and sinks together; the promise is 2 s
_FINISH_S = 60.0  # what the end of a recording grants the sinks to write what they have


class Source(Protocol):
    """Sound and pictures in order: all sound up to t comes before the frame at t."""

    def __iter__(self) -> Iterator[AudioChunk | VideoFrame]: ...


class Engine:
    """Runs one stream to its end.

    Policies: replay processes every frame, paced by `speed`, and waits for what is slow; live
    takes the freshest frame and drops what is stale, but never sound.
    """

    def __init__(
        self,
        source: Source,
        session: Session,
        *,
        sinks: Sequence[Sink] = (),
        live: bool = False,
        speed: float | None = 1.0,
        clock: Clock | None = None,
        wall_clock: Callable[[], float] = time.time,
        boot_id: str | None = None,
        cancelled: threading.Event | None = None,
    ) -> None:
        """Prepare; nothing starts before the first result is asked for.

        Args:
            source: opened; the caller closes it when the engine has ended (see `reading`).
            session: fresh, not shared.
            sinks: closed by the engine, whatever happens.
            live: the live policy; `speed` then has no say.
            speed: of a replay in times real time; None or infinity for as fast as possible.
            clock: paces and stamps; the session's should be the same.
            wall_clock: seconds since 1970, metadata of the results.
            boot_id: names this run in the results; random by default.
            cancelled: whoever sets it ends the stream; the engine sets it when it ends early.
        """
        self.boot_id = boot_id or secrets.token_hex(8)
        self._session = session
        self._clock = clock or MonotonicClock()
        self._wall_clock = wall_clock
        self._cancelled = cancelled or threading.Event()
        self._statistics = Statistics()
        self._queue: LiveQueue | ReplayQueue
        self._feeder = self._feed_live(source) if live else self._feed_replay(source, speed)
        self._servers = [serve(sink, lambda: self.report) for sink in sinks]
        self._listeners = [sink for sink in sinks if isinstance(sink, Listener)]
        self._processed = 0
        self._phase: Phase = "running"
        self._started_ns: int | None = None
        self._ended_ns: int | None = None

    @property
    def report(self) -> EngineReport:
        """What became of the stream so far; from any thread."""
        counts = self._queue.counts
        dropped = {str(cause): n for cause, n in counts.dropped.items() if n}
        if self._phase != "running" and counts.processed > self._processed:
            dropped["failed"] = counts.processed - self._processed
        now_ns = self._clock.now_ns() if self._ended_ns is None else self._ended_ns
        started_ns = now_ns if self._started_ns is None else self._started_ns
        return EngineReport(
            phase=self._phase,
            captured=counts.captured,
            processed=self._processed,
            dropped=dropped,
            stages=self._statistics.snapshot()["stages"],
            duration_s=(now_ns - started_ns) / 1e9,
            torch_threads=torch.get_num_threads(),
            sink_failures={s.name: s.failure for s in self._servers if s.failure},
        )

    @property
    def reading(self) -> bool:
        """True while the source's thread is inside the source, which must not be closed then."""
        return self._feeder.is_alive()

    def stop(self) -> None:
        """End soon: from any thread or a signal handler, within 2 s, sinks closed."""
        self._cancelled.set()

    def run(self) -> EngineReport:
        """Process the stream to its end.

        Raises:
            TruncatedInputError: the input broke off; results up to there went to the sinks.
            StreamAVISError: the source or the model failed; the sinks are closed.
        """
        for _ in self.results():
            pass
        return self.report

    def results(self) -> Generator[FrameResult, None, None]:
        """Yield each result once the sinks have it; leaving early stops the stream.

        Raises:
            RuntimeError: called twice.
            TruncatedInputError, StreamAVISError: as `run`.
        """
        if self._started_ns is not None:
            raise RuntimeError("an engine runs once; build a new one for another run")
        self._started_ns = self._clock.now_ns()
        phase: Phase = "failed"
        try:
            for server in self._servers:
                server.start()
            self._feeder.start()
            yield from self._process()
            phase = "stopped" if self._cancelled.is_set() else "ended"
        except TruncatedInputError:
            phase = "truncated"
            raise
        except (GeneratorExit, KeyboardInterrupt):
            phase = "stopped"
            raise
        finally:
            self._ended_ns = self._clock.now_ns()
            self._close(phase)

    def _process(self) -> Iterator[FrameResult]:
        while not self._cancelled.is_set():
            ended = self._queue.ended  # asked first: an error that comes with the end is raised
            item = self._queue.get(_POLL_S)
            if isinstance(item, AudioChunk):
                self._hear(item)
            elif isinstance(item, VideoFrame):
                yield self._see(item)
            elif ended:
                return

    def _hear(self, chunk: AudioChunk) -> None:
        self._session.hear(chunk)
        for listener in self._listeners:
            listener.notice(chunk)

    def _see(self, frame: VideoFrame) -> FrameResult:
        frame.stamps[Stage.QUEUE] = self._clock.now_ns()
        result = self._session.see(frame)
        self._processed += 1
        result.boot_id = self.boot_id
        result.wall_time = self._wall_clock()
        result.stamps[Stage.PUBLISH] = self._clock.now_ns()
        for server in self._servers:
            server.put(frame, result, self._cancelled)
        if self._session.heard is not None:
            for listener in self._listeners:
                listener.notice(self._session.heard)
        # The stage counts what handing over took, but the sinks may not see stamps change.
        self._statistics.observe({**result.stamps, Stage.PUBLISH: self._clock.now_ns()})
        return result

    def _feed_replay(self, source: Source, speed: float | None) -> threading.Thread:
        if speed == math.inf:
            speed = None
        self._queue = queue = ReplayQueue()
        items = paced(
            source,
            self._clock,
            speed=speed,
            cancelled=self._cancelled,
            statistics=self._statistics,
        )
        return _feeder(items, queue.put, queue)

    def _feed_live(self, source: Source) -> threading.Thread:
        self._queue = queue = LiveQueue(self._clock)
        hear = self._hear

        def put(item: AudioChunk | VideoFrame) -> bool:
            if isinstance(item, VideoFrame):
                return queue.put(item)
            hear(item)
            return not queue.ended

        return _feeder(live(source, self._clock), put, queue)

    def _close(self, phase: Phase) -> None:
        """Stop the source and let the sinks finish, in bounded time."""
        if phase != "ended":
            self._cancelled.set()
        self._queue.cancel()
        deadline = time.monotonic() + (_STOP_S if phase == "stopped" else _FINISH_S)
        self._feeder.join(_STOP_S)
        self._phase = phase
        for server in self._servers:
            server.finish()
        for server in self._servers:
            server.join(max(0.0, deadline - time.monotonic()))
        report = self.report
        assert report.captured == report.processed + sum(report.dropped.values()), (
            f"frames do not add up: {report}"
        )


def _feeder(
    items: Iterable[AudioChunk | VideoFrame],
    put: Callable[[AudioChunk | VideoFrame], bool],
    queue: LiveQueue | ReplayQueue,
) -> threading.Thread:
    """A thread that moves `items` into `queue`; its end or error follows them.

    It holds no reference to the engine: an engine that is let go stops it.
    """

    def feed() -> None:
        try:
            for item in items:
                if not put(item):
                    return
        except BaseException as error:
            queue.fail(error)
        else:
            queue.close()

    return threading.Thread(target=feed, name="streamavis-source", daemon=True)
