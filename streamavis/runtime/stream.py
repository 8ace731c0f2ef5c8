"""One stream inside an engine: from its source through its session to its sinks."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from streamavis.bearing import Bearings, Geometry
from streamavis.protocols import Delayed
from streamavis.runtime.delivery import SinkGroup
from streamavis.runtime.input_health import InputHealth
from streamavis.runtime.intake import Intake, LiveIntake, ReplayIntake
from streamavis.runtime.journal import Journal
from streamavis.runtime.ledger import DropCause, FrameLedger
from streamavis.runtime.model_supervisor import MAX_REBUILDS, ModelSupervisor, Remedy
from streamavis.runtime.stats import StreamStatistics
from streamavis.status import EngineReport
from streamavis.types import AudioChunk, AudioGap, SoundBearing, SourceEvent, Stage

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from streamavis.clock import Clock
    from streamavis.protocols import Sink, Source
    from streamavis.runtime.governor import LoadLevel
    from streamavis.runtime.heartbeat import Heartbeats
    from streamavis.runtime.post import SlotOutput
    from streamavis.runtime.step import StepInput, StreamSession
    from streamavis.status import Phase
    from streamavis.types import FrameResult, VideoFrame

__all__ = ["EngineStream", "Feed", "Policy", "Shared"]


@dataclass(frozen=True)
class Feed:
    """One of an engine's streams: where it comes from, its past, where its results go."""

    source: Source
    session: StreamSession
    sinks: Sequence[Sink] = ()
    stride: Callable[[], int] = lambda: 1  # asked at every live frame: process one in so many
    geometry: Geometry | None = None  # of camera and microphones; None: no bearings


@dataclass(frozen=True, slots=True)
class Policy:
    """What an engine does with time: follow live sources, or replay recordings."""

    live: bool = False  # times are on the engine's clock; stale frames are dropped
    speed: float | None = 1.0  # of a replay, times real time; None: as fast as possible


@dataclass(frozen=True, slots=True)
class Shared:
    """What the streams of one engine share."""

    clock: Clock
    wall_clock: Callable[[], float]
    boot_id: str
    cancelled: threading.Event
    changed: threading.Condition  # of every stream's queue
    hearts: Heartbeats


class EngineStream:
    """Carries one stream from its source to its sinks; the engine makes the model's steps.

    Live, no failure of one frame ends the stream: what the model cannot do is skipped, noted and
    remedied (see `ModelSupervisor`). In a replay it is raised.
    """

    def __init__(self, feed: Feed, policy: Policy, by: Shared) -> None:
        """Prepare; nothing starts.

        Raises:
            ArgumentError: the speed of a replay is not positive.
        """
        self.session = feed.session
        self.phase: Phase = "running"
        self.over = False  # nothing more will be taken
        self._by = by
        self._source = feed.source
        self._ledger = FrameLedger()
        self._statistics = StreamStatistics()
        self._journal = Journal(self.session.stream, by.clock)
        self._bearings = Bearings(feed.geometry or Geometry())
        self._latest: FrameResult | None = None
        self._load = _Load()
        self._span_ns: tuple[int, int | None] | None = None  # from start to end
        self._inputs: InputHealth | None = None
        self._model: ModelSupervisor | None = None
        if policy.live:
            now_ns, has_audio = by.clock.now_ns(), self.session.has_audio
            self._inputs = InputHealth(self.session.stream, has_audio=has_audio, now_ns=now_ns)
            self._model = ModelSupervisor()
        self._sinks = SinkGroup(
            feed.sinks,
            lambda: self.report,
            clock=by.clock if policy.live else None,
            journal=self._journal,
            hearts=by.hearts,
        )
        self._intake = self._make_intake(feed, policy)

    @property
    def reading(self) -> bool:
        """True while a thread of the engine is inside the source."""
        return self._intake.reading

    @property
    def ready(self) -> bool:
        """True when `take` has something to do."""
        return not self.over and self._intake.ready

    @property
    def lost(self) -> int:
        """Frames the engine was too slow for."""
        dropped = self._ledger.counts.dropped
        return dropped[DropCause.SUPERSEDED] + dropped[DropCause.STALE]

    @property
    def report(self) -> EngineReport:
        """What became of the stream so far; from any thread."""
        by, counts = self._by, self._ledger.counts
        now_ns = by.clock.now_ns()
        begin_ns, end_ns = self._span_ns or (now_ns, now_ns)
        report = EngineReport(
            phase=self.phase,
            captured=counts.captured,
            processed=counts.processed,
            dropped={str(cause): n for cause, n in counts.dropped.items() if n},
            stages=self._statistics.snapshot()["stages"],
            duration_s=((now_ns if end_ns is None else end_ns) - begin_ns) / 1e9,
            torch_threads=torch.get_num_threads(),
            sink_failures=self._sinks.failures,
            stream=self.session.stream,
            notices=self._journal.notices,
            degraded=list(self._load.steps),
            sink_dropped=self._sinks.dropped,
        )
        if self._inputs is not None:
            latest = self._latest
            report.source = self._inputs.source
            report.audio = self._inputs.audio(now_ns, latest.audio if latest else "ok")
            report.video = self._inputs.video(now_ns)
            report.inputs = self._inputs.inputs
            report.workers = by.hearts.pulses if self.phase == "running" else {}
        if self._model is not None and self._model.given_up:
            report.model = "failed"
        return report

    def start(self) -> None:
        """Open the sinks, then the source."""
        self._span_ns = (self._by.clock.now_ns(), None)
        self._sinks.start()
        self._intake.start(f"source {self.session.stream}")

    def take(self) -> VideoFrame | None:
        """The next frame, if there is one; what comes before it is heard.

        Raises:
            BaseException: what the source raised, once all it gave was taken.
        """
        if self.over:
            return None
        frame, self.over = self._intake.take()
        if frame is not None:
            frame.stamps[Stage.QUEUE] = self._by.clock.now_ns()
        return frame

    def begin(self, frame: VideoFrame) -> StepInput | None:
        """Make a frame ready for the model; None: it is skipped."""
        now_ns = self._by.clock.now_ns()
        if self._model is not None and not self._model.may_try(now_ns):
            self._ledger.drop(DropCause.MODEL)
            return None
        if self._inputs is not None:
            self.session.microphone_lost = self._inputs.audio(now_ns, "ok") == "lost"
        if isinstance(self._source, Delayed):
            self.session.audio_delay_s = self._source.audio_delay_s
        try:
            return self.session.begin(frame)
        except Exception as error:
            if self._model is None:
                raise
            self._ledger.drop(DropCause.BROKEN)
            self._journal.note("source", f"frame {frame.index} is left out: {error}", error=error)
            return None

    def finish(self, ready: StepInput, outcome: SlotOutput | Exception) -> FrameResult | None:
        """Turn the model's output into a result and hand it to the sinks; None: there is none."""
        try:
            if isinstance(outcome, Exception):
                raise outcome
            result = self.session.finish(ready, outcome)
        except Exception as error:
            if self._model is None:
                raise
            self._remedy(ready.frame, error, self._model)
            return None
        if self._model is not None and self._model.succeeded():
            self._journal.note("model", "the model works again", level=logging.INFO)
        self._ledger.process()
        self._latest = result
        self._deliver(ready.frame, result)
        return result

    def look(self, now_ns: int) -> None:
        """Notice what has fallen silent."""
        if self._inputs is not None:
            for event in self._inputs.look(now_ns):
                self._tell(event)

    def silent_at_ns(self) -> int | None:
        """When `look` will find an input silent if nothing comes until then; None: nothing runs."""
        return None if self._inputs is None else self._inputs.due_ns()

    def note_worker(self, sentence: str) -> None:
        """Note that a worker is stuck, or moves again."""
        self._journal.note("worker", sentence)

    def degrade_to(self, level: LoadLevel, steps: Sequence[str], *, down: bool) -> None:
        """Do as much as `level` says from now on, and say so."""
        self._load = _Load(level.stride, tuple(steps))
        session = self.session
        session.short_side = round(session.model.config.short_side * level.scale)
        session.max_tracks = level.max_tracks
        self._sinks.limit_viewers(level.viewer_hz)
        what = f"{'overloaded' if down else 'recovered'}: {level.name}"
        self._journal.note("load", what, level=logging.WARNING if down else logging.INFO)

    def fail(self, error: Exception) -> None:
        """The source broke off, which the other streams survive."""
        self.over = True
        self._journal.note("source", f"the stream ends: {error}", level=logging.ERROR, error=error)

    def stop_source(self) -> None:
        """Take nothing more, and wake whatever waits inside the source."""
        self.over = True
        self._intake.stop()

    def join_source(self, timeout_s: float) -> None:
        """Wait for the engine's thread in the source to leave it."""
        self._intake.join(timeout_s)

    def finish_sinks(self, phase: Phase) -> None:
        """Let the sinks write what they have and close; `join_sinks` waits for it."""
        begin_ns = (self._span_ns or (self._by.clock.now_ns(), None))[0]
        self._span_ns = (begin_ns, self._by.clock.now_ns())
        self._ledger.close()
        self.phase = phase
        self._sinks.finish()

    def join_sinks(self, deadline_s: float) -> None:
        """Wait for the sinks to close, until `deadline_s` of `time.monotonic`."""
        self._sinks.join(deadline_s)

    def between(self, item: AudioChunk | AudioGap | SourceEvent | SoundBearing) -> None:
        """Take what comes between pictures, in order."""
        if isinstance(item, SoundBearing):
            self._bearings.hear(item)
            return
        event, is_news = None, True
        if isinstance(item, AudioChunk):
            self.session.hear(item)
            if self._inputs is not None:
                event = self._inputs.sound(self._by.clock.now_ns())
        elif isinstance(item, AudioGap):
            self.session.miss(item)
            self._statistics.count(f"audio gap: {item.cause}")
        elif self._inputs is not None:
            is_news = self._inputs.told(item, self._by.clock.now_ns())
        if event is not None:
            self._tell(event)
        if isinstance(item, SourceEvent) and is_news:
            self._tell(item)
        else:
            self._sinks.notice(item)

    def arrived(self, frame: VideoFrame) -> None:
        """A live frame came, whether it is processed or not; on the source's thread."""
        assert self._inputs is not None, "live"
        event = self._inputs.frame(frame, self._by.clock.now_ns())
        if event is not None:
            self._tell(event)

    def _deliver(self, frame: VideoFrame, result: FrameResult) -> None:
        by = self._by
        self._bearings.annotate(result)
        result.boot_id = by.boot_id
        result.wall_time = by.wall_clock()
        if self._inputs is not None:  # live: the capture time is on the engine's clock
            age_s = (by.clock.now_ns() - result.capture_time_ns) / 1e9
            result.capture_wall_time = max(0.0, result.wall_time - age_s)
        result.stamps[Stage.PUBLISH] = by.clock.now_ns()
        self._sinks.inspect(self.session.candidates)
        if self.session.heard is not None:  # first: viewers show it with its frame
            self._sinks.notice(self.session.heard)
        self._sinks.put(frame, result, by.cancelled)
        # The stage counts what handing over took, but the sinks may not see stamps change.
        self._statistics.observe({**result.stamps, Stage.PUBLISH: by.clock.now_ns()})

    def _remedy(self, frame: VideoFrame, error: Exception, supervisor: ModelSupervisor) -> None:
        self._ledger.drop(DropCause.MODEL)
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

    def _tell(self, event: SourceEvent) -> None:
        what = "camera" if event.modality == "video" else "microphone"
        why = f": {event.reason}" if event.reason else ""
        good = event.state == "starting" or (event.state == "running" and not event.reason)
        self._journal.note(
            "source",
            f"{what} {event.source} {event.state}{why}",
            level=logging.INFO if good else logging.WARNING,
        )
        self._sinks.notice(event)

    def _make_intake(self, feed: Feed, policy: Policy) -> Intake:
        by = self._by
        if policy.live:
            return LiveIntake(
                feed.source,
                self,
                clock=by.clock,
                stride=lambda: max(self._load.stride, feed.stride()),
                changed=by.changed,
                ledger=self._ledger,
                hearts=by.hearts,
            )
        return ReplayIntake(
            feed.source,
            self,
            clock=by.clock,
            speed=policy.speed,
            cancelled=by.cancelled,
            changed=by.changed,
            ledger=self._ledger,
            statistics=self._statistics,
            hearts=by.hearts,
        )


@dataclass(frozen=True, slots=True)
class _Load:
    """What a stream gives up to keep up."""

    stride: int = 1  # every n-th frame is processed
    steps: tuple[str, ...] = ()  # names of the levels, in order
