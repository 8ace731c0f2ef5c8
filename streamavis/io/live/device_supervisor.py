"""Keep one camera or microphone going: watch it, give it up, open it anew, and say so."""

from __future__ import annotations

import logging
import random
import statistics
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from streamavis.errors import StoppedError, StreamAVISError
from streamavis.io.live.frozen import FrozenPicture
from streamavis.limits import LogLimiter
from streamavis.types import AudioChunk, SourceEvent, VideoFrame

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamavis.clock import Clock
    from streamavis.io.live.capture import Capture, Captured, Device
    from streamavis.types import Modality, SourceItem, SourceState

__all__ = ["DeviceSupervisor", "retry_delay_s"]

_LOG = logging.getLogger(__name__)
_NS = 1_000_000_000
_STALL_PERIODS = 5
_SHORTEST_DELAY_S = 0.25
_LONGEST_DELAY_S = 5.0
_JITTER = 0.2
_ASKED_EVERY_S = 0.8  # a device that is missing
_ANSWER_S = 0.5  # what it is granted to answer
_MISSING_S = 30.0  # one that is said to be missing is tried even so: the answer may be wrong
_FAILED_AFTER_S = 30.0  # broken this long: `failed`, told to people, still tried
_WELL_AFTER_S = 5.0  # an attempt that ran this long ends the outage before it
_MOST_HANGING = 4  # workers that a driver does not let go
_STARVED_NS = 50_000_000  # this process woke so much too late: it was held up, not the device
_POLL_S = 0.1  # who waits for the first item looks whether it was cancelled
_LET_GO_S = 0.5  # granted to a worker that was told to end, before the next opens the device


def retry_delay_s(
    outage_s: float, jitter: random.Random, longest_s: float = _LONGEST_DELAY_S
) -> float:
    """How long to wait before the next attempt: a tenth of the outage, 0.25 to 5 s, +-20 %.

    So a camera that was away for a moment is back in a moment, and one that is gone for good
    costs next to nothing.
    """
    delay_s = min(max(outage_s / 10, _SHORTEST_DELAY_S), longest_s)
    return delay_s * jitter.uniform(1 - _JITTER, 1 + _JITTER)


@dataclass
class _Attempt:
    """One capture on one thread; everything but `capture` is guarded by the supervisor's lock."""

    capture: Capture
    thread: threading.Thread | None = None
    wake: threading.Event = field(default_factory=threading.Event)  # who watches should look
    first_ns: int | None = None
    last_ns: int = 0  # when it was opened, or when its latest item came
    excused_ns: int | None = None  # `last_ns` of a silence that may be our own fault
    not_before_ns: int = 0  # when it has to be broken even so
    outcome: Literal["ended", "broke"] | None = None
    reason: str = ""


class DeviceSupervisor:
    """Runs a device's captures, one after the other, until it ends or is stopped.

    Two threads: one is inside the driver, the other one watches it. States are as in
    `SourceState`; `failed` means broken for over 30 s, and is still tried every 5 s. While a
    device tells in a moment that it is not there, it is asked every second, and opened as soon
    as it is back, however long it was away; only twice a minute it is opened all the same.
    """

    def __init__(
        self,
        device: Device,
        put: Callable[[SourceItem], None],
        clock: Clock,
        *,
        on_ended: Callable[[], None] | None = None,
        jitter: random.Random | None = None,
    ) -> None:
        """Prepare; nothing is opened before `start`.

        Args:
            device: what to run.
            put: gets frames, sound, gaps and events, in order, from any thread; must not block.
            clock: stamps and paces everything.
            on_ended: called when the device has come to its own end (a file does).
            jitter: spreads the attempts of many supervisors.
        """
        self._device = device
        self._put = put
        self._clock = clock
        self._on_ended = on_ended
        self._jitter = jitter or random.Random()
        self._lock = threading.RLock()
        self._moved = threading.Condition(self._lock)  # a state, a first item
        self._stopped = threading.Event()
        self._attempt: _Attempt | None = None
        self._hanging: list[threading.Thread] = []
        self._frozen = FrozenPicture()
        self._surprises = LogLimiter(_LOG.error, clock.now_ns)  # lines of drivers and hosts
        self._periods_ns: deque[int] = deque(maxlen=15)
        self._frames = 0
        self._size = (0, 0)
        self._state: SourceState | None = None
        self._reason = ""
        self._with_sound = False
        self._back_ns = 0  # when it broke, or was seen to be back since
        self._running: Capture | None = None
        self._thread = threading.Thread(
            target=self._run, name=f"streamavis-watch {device.name}", daemon=True
        )

    @property
    def state(self) -> SourceState | None:
        """The state that was published last; None before `start`."""
        with self._lock:
            return self._state

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the latest picture."""
        with self._lock:
            return self._size

    @property
    def capture(self) -> Capture | None:
        """The latest capture that something came from."""
        with self._lock:
            return self._running

    def start(self) -> None:
        """Open the device, on threads of its own."""
        self._thread.start()

    def stop(self) -> None:
        """End soon, from any thread, without waiting: nothing is put any more."""
        self._stopped.set()
        with self._lock:
            attempt = self._attempt
            self._moved.notify_all()
        if attempt is not None:
            attempt.wake.set()
            attempt.capture.abort()

    def join(self, timeout_s: float) -> bool:
        """Wait until no thread is left; False when one still is after `timeout_s`."""
        threads = [self._thread, *self._hanging]
        if self._attempt is not None and self._attempt.thread is not None:
            threads.append(self._attempt.thread)
        for thread in threads:
            if thread.ident is not None:
                thread.join(timeout_s / len(threads))
        return not any(thread.is_alive() for thread in threads)

    def wait_first(
        self, patience_s: float, cancelled: threading.Event | None = None
    ) -> Capture | str:
        """Block until the first item came; return its capture, or why none comes.

        Attempts that fail are repeated for `patience_s`; then the latest one's reason is returned.

        Raises:
            StoppedError: `cancelled` was set.
        """
        until_ns = self._clock.now_ns() + round(patience_s * _NS)

        def settled() -> bool:
            hopeless = self._state in ("reconnecting", "failed", "ended")
            late = self._clock.now_ns() >= until_ns
            return self._running is not None or self._stopped.is_set() or (hopeless and late)

        with self._moved:
            # Nobody notifies when `cancelled` is set.
            while not self._moved.wait_for(settled, _POLL_S):
                if cancelled is not None and cancelled.is_set():
                    raise StoppedError(f"{self._device.name}: stopped before anything came")
            if self._running is None:
                return self._reason or "it was closed while it was opened"
            return self._running

    def _run(self) -> None:
        broken_since_ns: int | None = None
        self._change("starting")
        while not self._stopped.is_set():
            attempt = self._begin()
            self._watch(attempt)
            self._let_go(attempt)
            if self._stopped.is_set():
                return
            if attempt.outcome == "ended":
                self._change("ended", attempt.reason)
                if self._on_ended is not None:
                    self._on_ended()
                return
            now_ns = self._clock.now_ns()
            ran_ns = 0 if attempt.first_ns is None else attempt.last_ns - attempt.first_ns
            if broken_since_ns is None or ran_ns >= _WELL_AFTER_S * _NS:
                broken_since_ns = self._back_ns = now_ns
            failed = now_ns - broken_since_ns >= _FAILED_AFTER_S * _NS
            self._change("failed" if failed else "reconnecting", attempt.reason)
            self._pause()

    def _pause(self) -> None:
        """Wait until the next attempt is due."""
        begin_ns = self._clock.now_ns()
        if self._is_missing():
            while self._clock.now_ns() - begin_ns < _MISSING_S * _NS and not self._stopped.is_set():
                self._wait(_ASKED_EVERY_S)
                if not self._is_missing():
                    self._back_ns = self._clock.now_ns()  # if it is not ready yet, it is soon
                    break
        else:
            self._wait(self._device.longest_pause_s)
        while len(self._hanging) >= _MOST_HANGING and not self._stopped.is_set():
            self._change("failed", f"{_MOST_HANGING} attempts hang in its driver; waiting for one")
            self._clock.wait_until(self._clock.now_ns() + _NS, self._stopped)
            self._hanging = [thread for thread in self._hanging if thread.is_alive()]

    def _wait(self, longest_s: float) -> None:
        """A tenth of the time since it broke, or was last seen to be back."""
        now_ns = self._clock.now_ns()
        delay_s = retry_delay_s((now_ns - self._back_ns) / _NS, self._jitter, longest_s)
        self._clock.wait_until(now_ns + round(delay_s * _NS), self._stopped)
        with self._moved:
            self._moved.notify_all()  # `wait_first` looks whether its patience is at an end

    def _is_missing(self) -> bool:
        ask = self._device.problem
        return ask is not None and not self._stopped.is_set() and ask(_ANSWER_S) != ""

    def _begin(self) -> _Attempt:
        attempt = _Attempt(self._device.open(self._clock), last_ns=self._clock.now_ns())
        attempt.thread = threading.Thread(
            target=self._work, args=(attempt,), name=f"streamavis {self._device.name}", daemon=True
        )
        with self._lock:
            self._attempt = attempt
            if self._stopped.is_set():
                attempt.wake.set()
        attempt.thread.start()
        return attempt

    def _let_go(self, attempt: _Attempt) -> None:
        """Take nothing more from an attempt, and make its thread end."""
        with self._lock:
            self._attempt = None
        attempt.capture.abort()
        assert attempt.thread is not None, "it was begun"
        attempt.thread.join(_LET_GO_S)
        self._hanging = [t for t in (*self._hanging, attempt.thread) if t.is_alive()]

    def _work(self, attempt: _Attempt) -> None:
        """The worker thread: everything in here may block in a driver."""
        outcome: Literal["ended", "broke"] = "ended"
        reason = ""
        try:
            for item in attempt.capture:
                if not self._deliver(attempt, item):
                    break
        except StreamAVISError as error:
            outcome, reason = "broke", str(error)
        except Exception as error:  # a driver's surprise must not end the stream
            outcome, reason = "broke", f"{self._device.name}: {type(error).__name__}: {error}"
            if (line := self._surprises.admit(type(error).__name__, reason)) is not None:
                _LOG.error("%s", line, exc_info=error)
        finally:
            attempt.capture.abort()
        with self._lock:
            if attempt.outcome is None:
                attempt.outcome, attempt.reason = outcome, reason
        attempt.wake.set()

    def _watch(self, attempt: _Attempt) -> None:
        """Return when the attempt is over or has to be given up."""
        while True:
            with self._lock:
                due_ns = self._due_ns(attempt)
            self._clock.wait_until(due_ns, attempt.wake)
            attempt.wake.clear()  # before looking: what is set from now on wakes again
            with self._lock:
                if self._stopped.is_set() or attempt.outcome is not None:
                    return
                now_ns = self._clock.now_ns()
                late_ns = now_ns - self._due_ns(attempt)
                if late_ns < 0:
                    continue  # something came meanwhile
                if late_ns > _STARVED_NS and attempt.excused_ns != attempt.last_ns:
                    attempt.excused_ns = attempt.last_ns  # the worker was held up as well
                    attempt.not_before_ns = now_ns + _STARVED_NS
                    continue
                silent_s = (now_ns - attempt.last_ns) / _NS
                what = "picture" if self._device.modality == "video" else "sound"
                reason = f"{self._device.name}: no {what} for {silent_s:.1f} s"
                if attempt.first_ns is not None and self._state == "running":
                    self._change("stalled", reason)
                else:
                    attempt.outcome, attempt.reason = "broke", reason
                    return

    def _due_ns(self, attempt: _Attempt) -> int:
        """When the silence will have been too long."""
        not_before_ns = attempt.not_before_ns if attempt.excused_ns == attempt.last_ns else 0
        if attempt.first_ns is None:
            patience_ns = self._device.opening_s * _NS
        else:
            period_ns = statistics.median(self._periods_ns) if self._periods_ns else 0
            if attempt.capture.fps:
                period_ns = max(period_ns, _NS / attempt.capture.fps)
            patience_ns = max(self._device.stall_s * _NS, _STALL_PERIODS * period_ns)
            if self._state != "running":
                patience_ns = max(self._device.give_up_s * _NS, 2 * patience_ns)
        return max(attempt.last_ns + round(patience_ns), not_before_ns)

    def _deliver(self, attempt: _Attempt, item: Captured) -> bool:
        """Hand an item on; False when the attempt was given up."""
        if isinstance(item, VideoFrame) and item.state == "ok":
            item.state = self._frozen.state_of(item)
        with self._lock:
            if attempt is not self._attempt or self._stopped.is_set():
                return False
            if self._shows_life(item):
                now_ns = self._clock.now_ns()
                if attempt.first_ns is None:
                    attempt.first_ns = now_ns
                    self._with_sound = attempt.capture.has_sound
                    self._running = attempt.capture
                    attempt.wake.set()  # other patience from now on
                elif isinstance(item, VideoFrame):
                    self._periods_ns.append(now_ns - attempt.last_ns)
                attempt.last_ns = now_ns
                if self._state != "running":
                    self._change("running")
            if isinstance(item, VideoFrame):
                item.index = self._frames
                self._frames += 1
                self._size = (item.image.shape[0], item.image.shape[1])
            self._put(item)
        return True

    def _shows_life(self, item: Captured) -> bool:
        kind = VideoFrame if self._device.modality == "video" else AudioChunk
        return isinstance(item, kind)

    def _change(self, state: SourceState, reason: str = "") -> None:
        with self._moved:
            if state == self._state and reason == self._reason:
                return
            self._state, self._reason = state, reason
            modalities: list[Modality] = [self._device.modality]
            if self._with_sound and self._device.modality == "video":
                modalities.append("audio")
            now_ns = self._clock.now_ns()
            for modality in modalities:
                self._put(SourceEvent(self._device.name, modality, state, now_ns, reason))
            self._moved.notify_all()
