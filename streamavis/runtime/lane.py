"""One stream inside an engine: its source's thread, its queue, its session and its sinks."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from streamavis.protocols import Delayed, Lossy, Stoppable
from streamavis.runtime.delivery import serve
from streamavis.runtime.health import Health
from streamavis.runtime.journal import Journal
from streamavis.runtime.pacing import arriving, live, paced
from streamavis.runtime.queues import DropCause, LiveQueue, ReplayQueue
from streamavis.runtime.stats import Statistics
from streamavis.runtime.supervisor import MAX_REBUILDS, Remedy, Supervisor
from streamavis.status import EngineReport
from streamavis.types import AudioChunk, AudioGap, SourceEvent, Stage, VideoFrame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from streamavis.clock import Clock
    from streamavis.protocols import Sink, Source
    from streamavis.runtime.governor import Level
    from streamavis.runtime.heartbeat import Heartbeats
    from streamavis.runtime.post import SlotOutput
    from streamavis.runtime.step import StepInput, StreamSession
    from streamavis.status import Phase
    from streamavis.types import FrameResult, Heard, SourceItem

__all__ = ["Context", "Lane", "Policy"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What an engine does with a source's time: replay it, or follow it live."""

    live: bool = False
    speed: float | None = 1.0  # of a replay, times real time; None: as fast as possible
    on_clock: bool = False  # a live source's times are on the engine's clock already


@dataclass(frozen=True, slots=True)
class Context:
    """What the lanes of one engine share."""

    clock: Clock
    wall_clock: Callable[[], float]
    boot_id: str
    cancelled: threading.Event
    changed: threading.Condition  # of every lane's queue
    hearts: Heartbeats


class Lane:
    """Carries one stream from its source to its sinks; the engine makes the model's steps.

    Live, no failure of one frame ends the stream: what the model cannot do is skipped, noted and
    remedied (see `Supervisor`). In a replay it is raised.
    """

    def __init__(
        self,
        source: Source,
        session: StreamSession,
        sinks: Sequence[Sink],
        policy: Policy,
        by: Context,
        stride: Callable[[], int] = lambda: 1,
    ) -> None:
        """Prepare; `stride` is asked which share of live frames its user wants: one in so many."""
        self.session = session
        self.phase: Phase = "running"
        self.over = False  # nothing more will be taken
        self._by = by
        self._source = source
        self._statistics = Statistics()
        self._journal = Journal(session.stream, by.clock)
        self._dropped: Counter[DropCause] = Counter()
        self._processed = 0
        self._latest: FrameResult | None = None
        self._left_out_before = 0
        self._stride = 1
        self._steps: list[str] = []
        self._span_ns: tuple[int, int | None] | None = None  # from start to end
        self._queue: LiveQueue | ReplayQueue
        self._health: Health | None = None
        self._supervisor: Supervisor | None = None
        put: Callable[[SourceItem], bool]
        if policy.live:
            self._queue = LiveQueue(
                by.clock, stride=lambda: max(self._stride, stride()), changed=by.changed
            )
            put = self._put
            self._health = Health(
                session.stream, has_audio=session.has_audio, now_ns=by.clock.now_ns()
            )
            self._supervisor = Supervisor()
            items = (arriving if policy.on_clock else live)(source, by.clock)
        else:
            self._queue = ReplayQueue(changed=by.changed)
            put = self._queue.put
            items = paced(
                source,
                by.clock,
                speed=policy.speed,
                cancelled=by.cancelled,
                statistics=self._statistics,
            )
        self._servers = [
            serve(
                sink,
                lambda: self.report,
                clock=by.clock if policy.live else None,
                journal=self._journal,
                hearts=by.hearts,
            )
            for sink in sinks
        ]
        self._feeder = self._make_feeder(items, put)

    @property
    def reading(self) -> bool:
        """True while the source's thread is inside the source."""
        return self._feeder.is_alive()

    @property
    def ready(self) -> bool:
        """True when `take` has something to do."""
        return not self.over and self._queue.ready

    @property
    def lost(self) -> int:
        """Frames the engine was too slow for."""
        dropped = self._queue.counts.dropped
        return dropped[DropCause.SUPERSEDED] + dropped[DropCause.STALE]

    @property
    def report(self) -> EngineReport:
        """What became of the stream so far; from any thread."""
        by, counts = self._by, self._queue.counts
        dropped = counts.dropped + self._dropped
        captured = counts.captured
        if left_out := self._left_out - self._left_out_before:
            captured += left_out
            dropped[DropCause.OVERRUN] += left_out
        unfinished = captured - counts.waiting - self._processed - dropped.total()
        if self.phase != "running" and unfinished > 0:
            dropped[DropCause.FAILED] = unfinished
        now_ns = by.clock.now_ns()
        begin_ns, end_ns = self._span_ns or (now_ns, now_ns)
        report = EngineReport(
            phase=self.phase,
            captured=captured,
            processed=self._processed,
            dropped={str(cause): n for cause, n in dropped.items() if n},
            stages=self._statistics.snapshot()["stages"],
            duration_s=((now_ns if end_ns is None else end_ns) - begin_ns) / 1e9,
            torch_threads=torch.get_num_threads(),
            sink_failures={s.name: s.failure for s in self._servers if s.failure},
            stream=self.session.stream,
            notices=self._journal.notices,
            degraded=list(self._steps),
            sink_dropped={s.name: s.dropped for s in self._servers if s.dropped},
        )
        if self._health is not None:
            latest = self._latest
            report.source = self._health.source
            report.audio = self._health.audio(now_ns, latest.audio if latest else "ok")
            report.video = self._health.video(now_ns)
            report.inputs = self._health.inputs
            report.workers = by.hearts.pulses if self.phase == "running" else {}
        if self._supervisor is not None and self._supervisor.given_up:
            report.model = "failed"
        return report

    def start(self) -> None:
        """Open the sinks, then the source."""
        self._span_ns = (self._by.clock.now_ns(), None)
        self._left_out_before = self._left_out
        for server in self._servers:
            server.start()
        self._feeder.start()

    def take(self) -> VideoFrame | None:
        """The next frame, if there is one; what comes before it is heard.

        Raises:
            BaseException: what the source raised, once all it gave was taken.
        """
        while not self.over:
            ended = self._queue.ended  # asked first: an error that comes with the end is raised
            item = self._queue.get(0)
            if isinstance(item, VideoFrame):
                item.stamps[Stage.QUEUE] = self._by.clock.now_ns()
                return item
            if item is not None:
                self._between(item)
            elif ended:
                self.over = True
            else:
                break
        return None

    def begin(self, frame: VideoFrame) -> StepInput | None:
        """Make a frame ready for the model; None: it is skipped."""
        now_ns = self._by.clock.now_ns()
        if self._supervisor is not None and not self._supervisor.may_try(now_ns):
            self._dropped[DropCause.MODEL] += 1
            return None
        if self._health is not None:
            self.session.microphone_lost = self._health.audio(now_ns, "ok") == "lost"
        if isinstance(self._source, Delayed):
            self.session.audio_delay_s = self._source.audio_delay_s
        try:
            return self.session.begin(frame)
        except Exception as error:
            if self._supervisor is None:
                raise
            self._dropped[DropCause.BROKEN] += 1
            self._journal.note("source", f"frame {frame.index} is left out: {error}", error=error)
            return None

    def finish(self, ready: StepInput, outcome: SlotOutput | Exception) -> FrameResult | None:
        """Turn the model's output into a result and hand it to the sinks; None: there is none."""
        try:
            if isinstance(outcome, Exception):
                raise outcome
            result = self.session.finish(ready, outcome)
        except Exception as error:
            if self._supervisor is None:
                raise
            self._remedy(ready.frame, error, self._supervisor)
            return None
        if self._supervisor is not None and self._supervisor.succeeded():
            self._journal.note("model", "the model works again", level=logging.INFO)
        self._processed += 1
        self._latest = result
        self._deliver(ready.frame, result)
        return result

    def look(self, now_ns: int) -> None:
        """Notice what has fallen silent."""
        if self._health is not None:
            for event in self._health.look(now_ns):
                self._tell(event)

    def silent_at_ns(self) -> int | None:
        """When `look` will find an input silent if nothing comes until then; None: nothing runs."""
        return None if self._health is None else self._health.due_ns()

    def note_worker(self, sentence: str) -> None:
        """Note that a worker is stuck, or moves again."""
        self._journal.note("worker", sentence)

    def degrade_to(self, level: Level, steps: Sequence[str], *, down: bool) -> None:
        """Do as much as `level` says from now on, and say so."""
        self._steps = list(steps)
        self._stride = level.stride
        session = self.session
        session.short_side = round(session.model.config.short_side * level.scale)
        session.max_tracks = level.max_tracks
        for server in self._servers:
            server.most_hz = level.viewer_hz
        what = f"too slow to keep up, now {level.name}" if down else f"time to spare: {level.name}"
        self._journal.note("load", what, level=logging.WARNING if down else logging.INFO)

    def fail(self, error: Exception) -> None:
        """The source broke off, which the other streams survive."""
        self.over = True
        self._journal.note("source", f"the stream ends: {error}", level=logging.ERROR, error=error)

    def stop_source(self) -> None:
        """Take nothing more, and wake whoever waits inside the source."""
        self.over = True
        self._queue.cancel()
        if isinstance(self._source, Stoppable):
            self._source.stop()

    def join_source(self, timeout_s: float) -> None:
        """Wait for the source's thread to leave the source."""
        if self._feeder.ident is not None:
            self._feeder.join(max(0.0, timeout_s))

    def finish_sinks(self, phase: Phase) -> None:
        """Let the sinks write what they have and close; `join_sinks` waits for it."""
        begin_ns = (self._span_ns or (self._by.clock.now_ns(), None))[0]
        self._span_ns = (begin_ns, self._by.clock.now_ns())
        self.phase = phase
        for server in self._servers:
            server.finish()

    def join_sinks(self, deadline_s: float) -> None:
        """Wait for the sinks to close, until `deadline_s` of `time.monotonic`."""
        for server in self._servers:
            server.join(max(0.0, deadline_s - time.monotonic()))

    @property
    def _left_out(self) -> int:
        """Frames the source had no room for."""
        return self._source.dropped_frames if isinstance(self._source, Lossy) else 0

    def _deliver(self, frame: VideoFrame, result: FrameResult) -> None:
        by = self._by
        result.boot_id = by.boot_id
        result.wall_time = by.wall_clock()
        result.stamps[Stage.PUBLISH] = by.clock.now_ns()
        if asking := [server for server in self._servers if server.inspects]:
            candidates = self.session.candidates()
            for server in asking:
                server.inspect(candidates)
        if self.session.heard is not None:  # first: viewers show it with its frame
            self._notice(self.session.heard)
        for server in self._servers:
            server.put(frame, result, by.cancelled)
        # The stage counts what handing over took, but the sinks may not see stamps change.
        self._statistics.observe({**result.stamps, Stage.PUBLISH: by.clock.now_ns()})

    def _remedy(self, frame: VideoFrame, error: Exception, supervisor: Supervisor) -> None:
        self._dropped[DropCause.MODEL] += 1
        cause = f"{type(error).__name__}: {error}"
        remedy = supervisor.failed(self._by.clock.now_ns())
        if remedy is Remedy.SKIP:
            self._journal.note("model", f"frame {frame.index} has no result: {cause}", error=error)
            return
        if remedy is Remedy.GIVE_UP:
            sentence = (
                f"fails after {MAX_REBUILDS} new starts in a minute, tried every 5 s: {cause}"
            )
            self._journal.note("model", sentence, level=logging.ERROR, error=error)
        else:
            text = f"starts anew after repeated failures: {cause}"
            self._journal.note("model", text, error=error)
        try:
            self.session.rebuild()
        except Exception as broken:
            text = f"cannot start anew: {broken}"
            self._journal.note("model", text, level=logging.ERROR, error=broken)

    def _put(self, item: SourceItem) -> bool:
        """Live: take an item from the source's thread; False: nothing more is wanted."""
        assert isinstance(self._queue, LiveQueue) and self._health is not None, "a live lane"
        if not isinstance(item, VideoFrame):
            self._between(item)
            return not self._queue.ended
        event = self._health.frame(item, self._by.clock.now_ns())
        if event is not None:
            self._tell(event)
        return self._queue.put(item)

    def _between(self, item: AudioChunk | AudioGap | SourceEvent) -> None:
        """Take what comes between pictures."""
        event, is_news = None, True
        if isinstance(item, AudioChunk):
            self.session.hear(item)
            if self._health is not None:
                event = self._health.sound(self._by.clock.now_ns())
        elif isinstance(item, AudioGap):
            self.session.miss(item)
            self._statistics.count(f"audio gap: {item.cause}")
        elif self._health is not None:
            is_news = self._health.told(item, self._by.clock.now_ns())
        if event is not None:
            self._tell(event)
        if isinstance(item, SourceEvent) and is_news:
            self._tell(item)
        else:
            self._notice(item)

    def _tell(self, event: SourceEvent) -> None:
        what = "camera" if event.modality == "video" else "microphone"
        why = f": {event.reason}" if event.reason else ""
        good = event.state in ("starting", "running")
        self._journal.note(
            "source",
            f"{what} {event.source} {event.state}{why}",
            level=logging.INFO if good else logging.WARNING,
        )
        self._notice(event)

    def _notice(self, item: AudioChunk | AudioGap | SourceEvent | Heard) -> None:
        for server in self._servers:
            server.notice(item)

    def _make_feeder(
        self, items: Iterable[SourceItem], put: Callable[[SourceItem], bool]
    ) -> threading.Thread:
        """A thread that moves `items` on by `put`; their end or error follows them."""
        queue, beat = self._queue, self._by.hearts.beat
        worker = f"source {self.session.stream}"

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

        return threading.Thread(target=feed, name="streamavis-source", daemon=True)
