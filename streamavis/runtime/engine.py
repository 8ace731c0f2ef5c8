"""From sources through one model to sinks: the threads, and how they end.

Each source's thread decodes ahead into a bounded queue; the model runs on the thread that asks for
results, for all streams; each sink has a thread and a bounded queue of its own, so that none can
hold up another.
"""

from __future__ import annotations

import secrets
import threading
import time
from typing import TYPE_CHECKING

from streamavis.clock import Clock, MonotonicClock
from streamavis.errors import ArgumentError, MisuseError, TruncatedInputError
from streamavis.runtime.batch import StreamBatch
from streamavis.runtime.governor import LEVELS, Governor
from streamavis.runtime.heartbeat import Heartbeats
from streamavis.runtime.stream import EngineStream, Feed, Policy, Shared

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from streamavis.status import EngineReport, Phase
    from streamavis.types import FrameResult, VideoFrame

__all__ = ["Engine", "Feed", "Policy"]

_POLL_S = 0.1  # how often a waiting engine looks whether it was cancelled
_LOOK_S = 0.1  # how often somebody looks after live streams
_SHORTEST_LOOK_S = 0.002
_STOP_S = 1.2  # what a stop grants sources and sinks together; the promise is 2 s
_LEFT_S = 0.7  # the same where a step did not end before
_LEAVE_S = 0.3  # of that a source that is inside its driver, before the sinks are told
_FINISH_S = 60.0  # what the end of a recording grants the sinks to write what they have


class Engine:
    """Runs one stream, or several on one model, to their end.

    Policies: replay processes every frame, paced by `speed`, and waits for what is slow; live
    takes the freshest frame and drops what is stale, but never sound. Streams are stepped
    together whenever several have a frame; one that stalls leaves the batch and delays nobody.
    """

    def __init__(
        self,
        feeds: Sequence[Feed],
        policy: Policy = Policy(),  # noqa: B008  frozen
        *,
        clock: Clock | None = None,
        wall_clock: Callable[[], float] = time.time,
        boot_id: str | None = None,
        cancelled: threading.Event | None = None,
        governor: Governor | None = None,
    ) -> None:
        """Prepare; nothing starts before the first result is asked for.

        Args:
            feeds: one or more streams. Their sources are open, and closed by the caller when the
                engine has ended (see `reading`). Their sessions are fresh and share one model and
                no name. The engine closes their sinks, whatever happens.
            policy: live, or a replay at some speed.
            clock: paces and stamps; the sessions' should be the same, and live sources' times are
                on it.
            wall_clock: seconds since 1970, metadata of the results.
            boot_id: names this run in the results; random by default.
            cancelled: when it is set the streams end; the engine sets it when it ends early.
            governor: decides what a live engine gives up when it is too slow; None: nothing.

        Raises:
            ArgumentError: there is no feed, two streams have one name, the sessions do not share
                one model, or the speed of a replay is not positive.
        """
        names = [feed.session.stream for feed in feeds]
        if not names or len(set(names)) < len(names):
            raise ArgumentError(f"an engine needs streams of different names, got {names}")
        self.boot_id = boot_id or secrets.token_hex(8)
        self._clock = clock or MonotonicClock()
        self._cancelled = cancelled or threading.Event()
        self._changed = threading.Condition()
        self._hearts = Heartbeats(self._clock)
        shared = Shared(
            self._clock, wall_clock, self.boot_id, self._cancelled, self._changed, self._hearts
        )
        self._streams = [EngineStream(feed, policy, shared) for feed in feeds]
        self._batch = StreamBatch([feed.session for feed in feeds])
        self._governor = governor
        self._busy_ns = 0  # at work since the start
        self._ended = threading.Event()
        # A daemon: it may look at a clock that a test holds.
        self._watch = threading.Thread(target=self._watching, name="streamavis-watch", daemon=True)
        self._watches = policy.live
        self._started = False
        self._closing = threading.Lock()  # held by whoever closes, for ever

    @property
    def report(self) -> EngineReport:
        """What became of the first stream so far; from any thread."""
        return self._streams[0].report

    @property
    def reports(self) -> dict[str, EngineReport]:
        """What became of each stream so far, by name; from any thread."""
        return {stream.session.stream: stream.report for stream in self._streams}

    @property
    def reading(self) -> bool:
        """True while a source's thread is inside a source, which must not be closed then."""
        return any(stream.reading for stream in self._streams)

    def stop(self) -> None:
        """End soon: from any thread or a signal handler, within 2 s, sinks closed."""
        self._cancelled.set()

    def leave(self) -> bool:
        """Close sources and sinks from another thread, while a step does not end.

        For a program that exits: the thread that runs the engine is left behind in its step.

        Returns:
            False: the engine is closing by itself, or has closed.
        """
        self.stop()
        if not self._closing.acquire(blocking=False):
            return False
        self._finish("stopped", time.monotonic() + _LEFT_S)
        return True

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
            for stream in self._streams:
                stream.start()
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
            elif all(stream.over for stream in self._streams):
                return

    def _has_work(self) -> bool:
        return any(stream.ready for stream in self._streams)

    def _take(self) -> dict[int, VideoFrame]:
        """The freshest frame of every stream that has one, by slot."""
        frames = {}
        for slot, stream in enumerate(self._streams):
            try:
                frame = stream.take()
            except Exception as error:
                if len(self._streams) == 1:
                    raise
                stream.fail(error)
                stream.finish_sinks("failed")
                continue
            if frame is not None:
                frames[slot] = frame
            elif stream.over and stream.phase == "running" and len(self._streams) > 1:
                stream.finish_sinks("ended")
        return frames

    def _see(self, frames: dict[int, VideoFrame]) -> list[FrameResult]:
        begun = {slot: self._streams[slot].begin(frame) for slot, frame in frames.items()}
        inputs = {slot: ready for slot, ready in begun.items() if ready is not None}
        results = (
            self._streams[slot].finish(inputs[slot], outcome)
            for slot, outcome in self._batch.step(inputs).items()
        )
        return [result for result in results if result is not None]

    def _watching(self) -> None:
        while not self._ended.wait(self._until_look_s()):
            self._look()

    def _until_look_s(self) -> float:
        """Until the next round, or until an input that stays silent counts as gone."""
        due_ns = min((d for stream in self._streams if (d := stream.silent_at_ns())), default=None)
        if due_ns is None:
            return _LOOK_S
        left_s = (due_ns - self._clock.now_ns()) / 1e9
        return min(max(left_s, _SHORTEST_LOOK_S), _LOOK_S)

    def _look(self) -> None:
        """Notice silent inputs, stuck workers and too much work, ten times a second."""
        now_ns = self._clock.now_ns()
        for stream in self._streams:
            stream.look(now_ns)
        for sentence in self._hearts.news():
            for stream in self._streams:
                stream.note_worker(sentence)
        if self._governor is None:
            return
        before = self._governor.place
        if self._governor.look(now_ns, self._busy_ns, sum(stream.lost for stream in self._streams)):
            place = self._governor.place
            steps = [level.name for level in LEVELS[1 : place + 1]]
            for stream in self._streams:
                stream.degrade_to(self._governor.level, steps, down=place > before)

    def _close(self, phase: Phase) -> None:
        """Stop the sources and let the sinks finish, in bounded time, unless `leave` does."""
        if not self._closing.acquire(blocking=False):
            return
        deadline_s = time.monotonic() + (_STOP_S if phase == "stopped" else _FINISH_S)
        self._finish(phase, deadline_s)
        if self._watch.ident is not None:
            self._watch.join(_LOOK_S)
        for stream in self._streams:
            stream.join_source(min(_STOP_S, deadline_s - time.monotonic()))
            report = stream.report
            assert report.captured == report.processed + sum(report.dropped.values()), (
                f"frames do not add up: {report}"
            )

    def _finish(self, phase: Phase, deadline_s: float) -> None:
        """Stop the sources and close the sinks, of all streams at once where several run."""
        if phase != "ended":
            self._cancelled.set()
        self._ended.set()
        leave_s = time.monotonic() + (_LEAVE_S if phase == "stopped" else _STOP_S)
        for stream in self._streams:
            stream.stop_source()
        for stream in self._streams:
            stream.join_source(leave_s - time.monotonic())
        running = [stream for stream in self._streams if stream.phase == "running"]
        if len(running) == 1:
            running[0].finish_sinks(phase)
        else:  # a publisher repeats its end to readers that are slow: not one after another
            finishing = [
                threading.Thread(target=stream.finish_sinks, args=(phase,), daemon=True)
                for stream in running
            ]
            for thread in finishing:
                thread.start()
            for thread in finishing:
                thread.join(max(0.0, deadline_s - time.monotonic()))
        for stream in self._streams:
            stream.join_sinks(deadline_s)
