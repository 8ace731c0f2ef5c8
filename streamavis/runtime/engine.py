"""From sources through one model to sinks: the threads, and how they end.

Each source's thread decodes ahead into a bounded queue; the model runs on the thread that asks for
results, for all streams; each sink has a thread and a bounded queue of its own, so that none can
hold up another.
"""

from __future__ import annotations

import math
import secrets
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from streamavis.clock import Clock, MonotonicClock
from streamavis.errors import ArgumentError, MisuseError, TruncatedInputError
from streamavis.runtime.batch import Batch
from streamavis.runtime.governor import LEVELS, Governor
from streamavis.runtime.heartbeat import Heartbeats
from streamavis.runtime.lane import Context, Lane, Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from streamavis.protocols import Sink, Source
    from streamavis.runtime.step import StreamSession
    from streamavis.status import EngineReport, Phase
    from streamavis.types import FrameResult, VideoFrame

__all__ = ["Engine", "Feed"]

_POLL_S = 0.1  # how often a waiting engine looks whether it was cancelled
_LOOK_S = 0.1  # how often somebody looks after live streams
_SHORTEST_LOOK_S = 0.002
_STOP_S = 1.5  # what a stop grants sources and sinks together; the promise is 2 s
_LEAVE_S = 0.3  # of that a source that is inside its driver, before the sinks are told
_FINISH_S = 60.0  # what the end of a recording grants the sinks to write what they have


@dataclass(frozen=True)
class Feed:
    """One of an engine's streams: where it comes from, its past, where its results go."""

    source: Source
    session: StreamSession
    sinks: Sequence[Sink] = ()
    stride: Callable[[], int] = lambda: 1  # asked at every live frame: look at one in so many


class Engine:
    """Runs one stream, or several on one model, to their end.

    Policies: replay processes every frame, paced by `speed`, and waits for what is slow; live
    takes the freshest frame and drops what is stale, but never sound. Streams are stepped
    together whenever several have a frame; one that stalls leaves the batch and delays nobody.
    """

    def __init__(
        self,
        source: Source,
        session: StreamSession,
        *,
        sinks: Sequence[Sink] = (),
        live: bool = False,
        speed: float | None = 1.0,
        on_clock: bool = False,
        clock: Clock | None = None,
        wall_clock: Callable[[], float] = time.time,
        boot_id: str | None = None,
        cancelled: threading.Event | None = None,
        governor: Governor | None = None,
    ) -> None:
        """Prepare; nothing starts before the first result is asked for.

        Args:
            source: opened; the caller closes it when the engine has ended (see `reading`).
            session: fresh, not shared.
            sinks: closed by the engine, whatever happens.
            live: the live policy; `speed` then has no say.
            speed: of a replay in times real time; None or infinity for as fast as possible.
            on_clock: a live source's times are those of `clock` already.
            clock: paces and stamps; the session's should be the same.
            wall_clock: seconds since 1970, metadata of the results.
            boot_id: names this run in the results; random by default.
            cancelled: whoever sets it ends the stream; the engine sets it when it ends early.
            governor: decides what a live engine gives up when it is too slow; None: nothing.
        """
        policy = Policy(live, None if speed == math.inf else speed, on_clock)
        self._prepare(
            [Feed(source, session, sinks)],
            policy,
            clock=clock,
            wall_clock=wall_clock,
            boot_id=boot_id,
            cancelled=cancelled,
            governor=governor,
        )

    @classmethod
    def live(
        cls,
        feeds: Sequence[Feed],
        *,
        clock: Clock | None = None,
        wall_clock: Callable[[], float] = time.time,
        boot_id: str | None = None,
        cancelled: threading.Event | None = None,
        governor: Governor | None = None,
    ) -> Self:
        """An engine of one or more live streams, whose sources' times are on `clock`.

        Args:
            feeds: the sessions share one model and no name.
            clock, wall_clock, boot_id, cancelled, governor: as for one stream.

        Raises:
            ArgumentError: there is no feed, or two streams have one name.
        """
        names = [feed.session.stream for feed in feeds]
        if not names or len(set(names)) < len(names):
            raise ArgumentError(f"an engine needs streams of different names, got {names}")
        engine = cls.__new__(cls)
        engine._prepare(
            feeds,
            Policy(live=True, on_clock=True),
            clock=clock,
            wall_clock=wall_clock,
            boot_id=boot_id,
            cancelled=cancelled,
            governor=governor,
        )
        return engine

    def _prepare(
        self,
        feeds: Sequence[Feed],
        policy: Policy,
        *,
        clock: Clock | None,
        wall_clock: Callable[[], float],
        boot_id: str | None,
        cancelled: threading.Event | None,
        governor: Governor | None,
    ) -> None:
        self.boot_id = boot_id or secrets.token_hex(8)
        self._clock = clock or MonotonicClock()
        self._cancelled = cancelled or threading.Event()
        self._changed = threading.Condition()
        self._hearts = Heartbeats(self._clock)
        context = Context(
            self._clock, wall_clock, self.boot_id, self._cancelled, self._changed, self._hearts
        )
        self._lanes = [Lane(f.source, f.session, f.sinks, policy, context, f.stride) for f in feeds]
        self._batch = Batch([feed.session for feed in feeds])
        self._governor = governor
        self._busy_ns = 0  # at work since the start
        self._ended = threading.Event()
        # A daemon: it may look at a clock that a test holds.
        self._watch = threading.Thread(target=self._watching, name="streamavis-watch", daemon=True)
        self._watches = policy.live
        self._started = False

    @property
    def report(self) -> EngineReport:
        """What became of the first stream so far; from any thread."""
        return self._lanes[0].report

    @property
    def reports(self) -> dict[str, EngineReport]:
        """What became of each stream so far, by name; from any thread."""
        return {lane.session.stream: lane.report for lane in self._lanes}

    @property
    def reading(self) -> bool:
        """True while a source's thread is inside a source, which must not be closed then."""
        return any(lane.reading for lane in self._lanes)

    def stop(self) -> None:
        """End soon: from any thread or a signal handler, within 2 s, sinks closed."""
        self._cancelled.set()

    def run(self) -> EngineReport:
        """Process the streams to their end; returns the first one's report.

        Raises:
            TruncatedInputError: the input broke off; results up to there went to the sinks.
            StreamAVISError: the source or the model failed; the sinks are closed.
        """
        for _ in self.results():
            pass
        return self.report

    def results(self) -> Generator[FrameResult, None, None]:
        """Yield each result once the sinks have it; leaving early stops the streams.

        Raises:
            MisuseError: called twice.
            TruncatedInputError, StreamAVISError: as `run`. Of several streams none ends the
                others: its report says what happened.
        """
        if self._started:
            raise MisuseError("an engine runs once; build a new one for another run")
        self._started = True
        phase: Phase = "failed"
        try:
            for lane in self._lanes:
                lane.start()
            if self._watches:
                self._watch.start()
            yield from self._process()
            phase = "stopped" if self._cancelled.is_set() else "ended"
        except TruncatedInputError:
            phase = "truncated"
            raise
        except (GeneratorExit, KeyboardInterrupt):
            phase = "stopped"
            raise
        finally:
            self._close(phase)

    def _process(self) -> Iterator[FrameResult]:
        while not self._cancelled.is_set():
            self._hearts.beat("engine", "waiting")
            with self._changed:
                self._changed.wait_for(self._has_work, _POLL_S)
            self._hearts.beat("engine", "working")
            begin_ns = self._clock.now_ns()
            frames = self._take()
            if frames:
                results = self._see(frames)
                self._busy_ns += self._clock.now_ns() - begin_ns
                yield from results
            elif all(lane.over for lane in self._lanes):
                return

    def _has_work(self) -> bool:
        return any(lane.ready for lane in self._lanes)

    def _take(self) -> dict[int, VideoFrame]:
        """The freshest frame of every stream that has one, by slot."""
        frames = {}
        for slot, lane in enumerate(self._lanes):
            try:
                frame = lane.take()
            except Exception as error:
                if len(self._lanes) == 1:
                    raise
                lane.fail(error)
                lane.finish_sinks("failed")
                continue
            if frame is not None:
                frames[slot] = frame
            elif lane.over and lane.phase == "running" and len(self._lanes) > 1:
                lane.finish_sinks("ended")
        return frames

    def _see(self, frames: dict[int, VideoFrame]) -> list[FrameResult]:
        begun = {slot: self._lanes[slot].begin(frame) for slot, frame in frames.items()}
        inputs = {slot: ready for slot, ready in begun.items() if ready is not None}
        results = (
            self._lanes[slot].finish(inputs[slot], outcome)
            for slot, outcome in self._batch.step(inputs).items()
        )
        return [result for result in results if result is not None]

    def _watching(self) -> None:
        while not self._ended.wait(self._until_look_s()):
            self._look()

    def _until_look_s(self) -> float:
        """Until the next round, or until an input that stays silent counts as gone."""
        due_ns = min((d for lane in self._lanes if (d := lane.silent_at_ns())), default=None)
        if due_ns is None:
            return _LOOK_S
        left_s = (due_ns - self._clock.now_ns()) / 1e9
        return min(max(left_s, _SHORTEST_LOOK_S), _LOOK_S)

    def _look(self) -> None:
        """Notice silent inputs, stuck workers and too much work, ten times a second."""
        now_ns = self._clock.now_ns()
        for lane in self._lanes:
            lane.look(now_ns)
        for sentence in self._hearts.news():
            for lane in self._lanes:
                lane.note_worker(sentence)
        if self._governor is None:
            return
        before = self._governor.place
        if self._governor.look(now_ns, self._busy_ns, sum(lane.lost for lane in self._lanes)):
            place = self._governor.place
            steps = [level.name for level in LEVELS[1 : place + 1]]
            for lane in self._lanes:
                lane.degrade_to(self._governor.level, steps, down=place > before)

    def _close(self, phase: Phase) -> None:
        """Stop the sources and let the sinks finish, in bounded time."""
        if phase != "ended":
            self._cancelled.set()
        self._ended.set()
        deadline_s = time.monotonic() + (_STOP_S if phase == "stopped" else _FINISH_S)
        leave_s = time.monotonic() + (_LEAVE_S if phase == "stopped" else _STOP_S)
        for lane in self._lanes:
            lane.stop_source()
        for lane in self._lanes:
            lane.join_source(leave_s - time.monotonic())
        for lane in self._lanes:
            if lane.phase == "running":
                lane.finish_sinks(phase)
        for lane in self._lanes:
            lane.join_sinks(deadline_s)
        if self._watch.ident is not None:
            self._watch.join(_LOOK_S)
        for lane in self._lanes:
            lane.join_source(min(_STOP_S, deadline_s - time.monotonic()))
            report = lane.report
            assert report.captured == report.processed + sum(report.dropped.values()), (
                f"frames do not add up: {report}"
            )
