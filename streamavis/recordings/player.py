"""Playing a recording back onto the wire, at its own pace."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from streamavis.errors import ArgumentError
from streamavis.types import FrameResult
from streamavis.wire.schema import VERSION, EndOfStream, Hello, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streamavis.recordings.reader import Recorded, Recording, Summary

__all__ = ["Player", "Target"]

_Progress = TypeVar("_Progress", FrameResult, Status, EndOfStream)


class Target(Protocol):
    """Where messages go: `streamavis.wire.Publisher`."""

    def publish(self, result: FrameResult) -> None: ...
    def hello(self, hello: Hello) -> None: ...
    def status(self, status: Status) -> None: ...
    def end(self, end: EndOfStream) -> None: ...


class Player:
    """Sends one stream of a recording again, each message at its time.

    The same file gives the same messages in the same order, except for the boot id, wall times and
    the engine's clock: stamps are moved so that ages are what they were when it was recorded.
    Where the recorded engine was started again, and where the recording is played again, epochs
    and sequence numbers go on rising, as they do in one engine.

    Attributes:
        frames: results sent.
        late_s: how much later than its time the latest message was sent, at most.
    """

    def __init__(
        self,
        recording: Recording,
        stream: str | None = None,
        *,
        speed: float = 1.0,
        clock: Callable[[], int],
        pause: Callable[[float], bool],
    ) -> None:
        """Look through the recording.

        Args:
            recording: to play.
            stream: which of its streams; None: the only one it has.
            speed: 1.0 is the pace at which it was recorded, 2.0 twice as fast.
            clock: monotonic ns.
            pause: waits so many seconds; True: stop playing.

        Raises:
            InputError: the recording cannot be read, or has no results.
            ArgumentError: `stream` is not in it, or has to be named; `speed` is not positive.
        """
        if not 0 < speed < float("inf"):
            raise ArgumentError(f"speed is {speed}, expected a positive number")
        self.summary: Summary = recording.summary(stream)
        self.frames = 0
        self.late_s = 0.0
        self._recording = recording
        self._speed = speed
        self._clock = clock
        self._pause = pause
        self._boot: tuple[int, str] | None = None  # round, boot id of the recorded engine
        self._base = (0, 0)  # added to epoch and seq
        self._next = (0, 0)  # the first that are free
        self._end: EndOfStream | None = None

    @property
    def hello(self) -> Hello:
        """What readers must know first; where the recording has none, as far as it tells."""
        size = self.summary.size
        if self.summary.hello is not None:
            return replace(self.summary.hello, v=VERSION, boot_id="")
        assert size is not None, "a summary has frames"
        return Hello(model="unknown", classes=(), size=size)

    def play(self, target: Target, *, rounds: int | None = 1) -> bool:
        """Send everything, and the end of the stream.

        Args:
            target: gets the messages.
            rounds: how often; None: until `pause` says so.

        Returns:
            True: all was sent; False: it was stopped, and the end has not been sent.
        """
        done = 0
        while rounds is None or done < rounds:
            if not self._round(target, done):
                return False
            done += 1
        end = self._end or EndOfStream(reason="ended", detail=self._recording.cut)
        target.end(replace(end, v=VERSION, boot_id="", wall_time=0.0))
        return True

    def _round(self, target: Target, number: int) -> bool:
        begin_ns = self._clock()
        passed_ns = 0  # of the recording; a clock that was set back takes no time
        last_ns: int | None = None
        for recorded in self._messages():
            if last_ns is not None:
                passed_ns += max(0, recorded.time_ns - last_ns)
            last_ns = recorded.time_ns
            due_ns = begin_ns + round(passed_ns / self._speed)
            wait_ns = due_ns - self._clock()
            if self._pause(max(0, wait_ns) / 1e9):
                return False
            self.late_s = max(self.late_s, (self._clock() - due_ns) / 1e9)
            self._send(target, recorded, number)
        return True

    def _messages(self) -> Iterator[Recorded]:
        return self._recording.messages(self.summary.stream)

    def _send(self, target: Target, recorded: Recorded, number: int) -> None:
        message = recorded.message
        if isinstance(message, Hello):
            target.hello(replace(message, v=VERSION, boot_id="", wall_time=0.0))
            return
        self._renumber(message, number)
        if isinstance(message, EndOfStream):
            self._end = self._numbered(message)
        elif isinstance(message, Status):
            target.status(self._now(self._numbered(message)))
        else:
            self.frames += 1
            target.publish(self._stamped(self._numbered(message)))

    def _renumber(self, message: FrameResult | Status | EndOfStream, number: int) -> None:
        """Begin anew after the numbers that were used, where the recorded engine did."""
        boot = (number, message.boot_id)
        if self._boot is not None and boot != self._boot:
            self._base = self._next
        self._boot = boot
        epoch, seq = self._base
        self._next = (
            max(self._next[0], epoch + message.epoch + 1),
            max(self._next[1], seq + (-1 if message.seq is None else message.seq) + 1),
        )

    def _numbered(self, message: _Progress) -> _Progress:
        epoch, seq = self._base
        known = None if message.seq is None else message.seq + seq
        changed = replace(
            message, epoch=message.epoch + epoch, v=VERSION, boot_id="", wall_time=0.0
        )
        return changed if known is None else replace(changed, seq=known)

    def _stamped(self, result: FrameResult) -> FrameResult:
        moved_ns = self._clock() - max(result.stamps.values(), default=0)
        stamps = {stage: max(0, at_ns + moved_ns) for stage, at_ns in result.stamps.items()}
        return replace(result, stamps=stamps, wall_time=0.0)

    def _now(self, status: Status) -> Status:
        moved_ns = self._clock() - status.monotonic_ns
        return replace(
            status,
            inputs=[
                replace(one, since_ns=max(0, one.since_ns + moved_ns)) for one in status.inputs
            ],
            notices=[
                replace(one, time_ns=max(0, one.time_ns + moved_ns)) for one in status.notices
            ],
        )
