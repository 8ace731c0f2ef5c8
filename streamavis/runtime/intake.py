"""From a source to the engine: frames through one bounded queue, all else in between."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

from streamavis.protocols import PushingSource, Stoppable
from streamavis.runtime.pacing import paced
from streamavis.runtime.queues import LiveQueue, ReplayQueue
from streamavis.types import Stage, VideoFrame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from streamavis.clock import Clock
    from streamavis.protocols import Source
    from streamavis.runtime.heartbeat import Heartbeats
    from streamavis.runtime.ledger import FrameLedger
    from streamavis.runtime.stats import StreamStatistics
    from streamavis.types import AudioChunk, AudioGap, SoundBearing, SourceEvent, SourceItem

__all__ = ["Intake", "LiveIntake", "ReplayIntake", "Taker"]


class Taker(Protocol):
    """What an intake tells of the items that are no work for the model."""

    def between(self, item: AudioChunk | AudioGap | SourceEvent | SoundBearing) -> None:
        """Take what comes between pictures, in order."""

    def arrived(self, frame: VideoFrame) -> None:
        """A live frame came, whether it is processed or not; on the source's thread."""


class Intake(ABC):
    """Takes what one source gives; the engine's thread takes frames from it."""

    def __init__(
        self, source: Source, queue: LiveQueue | ReplayQueue, taker: Taker, hearts: Heartbeats
    ) -> None:
        self._source = source
        self._queue = queue
        self._taker = taker
        self._hearts = hearts
        self._thread: threading.Thread | None = None  # inside an iterated source

    @property
    def reading(self) -> bool:
        """True while a thread of the intake is inside the source."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def ready(self) -> bool:
        """True when `take` has something to do."""
        return self._queue.ready

    @abstractmethod
    def start(self, worker: str) -> None:
        """Begin to take what the source gives, on a thread called `worker`."""

    def take(self) -> tuple[VideoFrame | None, bool]:
        """The next frame that waits, if any, and whether the source is over.

        Raises:
            BaseException: what the source raised, once all it gave was taken.
        """
        while True:
            ended = self._queue.ended  # asked first: an error that comes with the end is raised
            item = self._queue.get(0)
            if item is None:
                return None, ended
            if isinstance(item, VideoFrame):
                return item, False
            self._taker.between(item)

    def stop(self) -> None:
        """Take nothing more, and wake whatever waits inside the source."""
        self._queue.cancel()
        if isinstance(self._source, Stoppable):
            self._source.stop()

    def join(self, timeout_s: float) -> None:
        """Wait for the intake's thread to leave the source."""
        if self._thread is not None:
            self._thread.join(max(0.0, timeout_s))

    def _iterate(
        self, items: Iterable[SourceItem], put: Callable[[SourceItem], bool], worker: str
    ) -> None:
        """Move `items` on by `put`, on a thread; their end or error follows them."""
        queue, beat = self._queue, self._hearts.beat

        def feed() -> None:
            try:
                beat(worker, "waiting")
                for item in items:
                    beat(worker, "working")
                    if not put(item):
                        return
                    beat(worker, "waiting")
            except BaseException as error:
                queue.fail(error)
            else:
                queue.close()
            finally:
                beat(worker, "ended")

        self._thread = threading.Thread(target=feed, name="streamavis-source", daemon=True)
        self._thread.start()


class ReplayIntake(Intake):
    """A recording: every item in order, each frame when it is due."""

    def __init__(
        self,
        source: Source,
        taker: Taker,
        *,
        clock: Clock,
        speed: float | None,
        cancelled: threading.Event,
        changed: threading.Condition,
        ledger: FrameLedger,
        statistics: StreamStatistics,
        hearts: Heartbeats,
    ) -> None:
        """Prepare; the arguments are those of `paced` and of `ReplayQueue`.

        Raises:
            ArgumentError: `speed` is not positive.
        """
        self._replay = ReplayQueue(ledger=ledger, changed=changed)
        super().__init__(source, self._replay, taker, hearts)
        self._items = paced(source, clock, speed=speed, cancelled=cancelled, statistics=statistics)

    def start(self, worker: str) -> None:
        self._iterate(self._items, self._replay.put, worker)


class LiveIntake(Intake):
    """A live source: the freshest frame waits, all else is taken as it comes.

    A source that pushes is connected and keeps its own threads; any other is iterated on one.
    """

    def __init__(
        self,
        source: Source,
        taker: Taker,
        *,
        clock: Clock,
        stride: Callable[[], int],
        changed: threading.Condition,
        ledger: FrameLedger,
        hearts: Heartbeats,
    ) -> None:
        """Prepare; the arguments are those of `LiveQueue`."""
        self._live = LiveQueue(clock, stride=stride, ledger=ledger, changed=changed)
        super().__init__(source, self._live, taker, hearts)
        self._clock = clock

    def start(self, worker: str) -> None:
        if isinstance(self._source, PushingSource):
            self._source.connect(_Connection(self._put, self._live.close, self._hearts, worker))
        else:
            self._iterate(self._source, self._put, worker)

    def _put(self, item: SourceItem) -> bool:
        if isinstance(item, VideoFrame):
            _stamp(item, self._clock.now_ns())
            self._taker.arrived(item)
            return self._live.put(item)
        self._taker.between(item)
        return not self._live.ended


class _Connection:
    """The end that a pushing source gives its items to; beats for the threads that it keeps."""

    def __init__(
        self,
        put: Callable[[SourceItem], bool],
        close: Callable[[], None],
        hearts: Heartbeats,
        worker: str,
    ) -> None:
        self._put, self._close = put, close
        self._hearts, self._worker = hearts, worker
        hearts.beat(worker, "waiting")

    def put(self, item: SourceItem) -> bool:
        self._hearts.beat(self._worker, "working")
        wanted = self._put(item)
        self._hearts.beat(self._worker, "waiting")
        return wanted

    def close(self) -> None:
        self._close()
        self._hearts.beat(self._worker, "ended")


def _stamp(frame: VideoFrame, now_ns: int) -> None:
    """Give a live frame those of the first three stamps that it lacks."""
    lacking: dict[str, int] = {
        Stage.CAPTURE: min(frame.capture_time_ns, now_ns),
        Stage.RECEIVE: now_ns,
        Stage.DECODE: now_ns,
    }
    frame.stamps = lacking | frame.stamps
