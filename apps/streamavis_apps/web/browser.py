"""A browser's camera and microphone as a device: `streamavis live --camera browser`."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias

from streamavis.errors import InputError, SchemaError
from streamavis.types import SAMPLE_RATE, AudioGap, Stage, VideoFrame
from streamavis_apps.web.feed import Begin, Block, Left, Picture, Trouble
from streamavis_apps.web.offsets import ClockOffset
from streamavis_apps.web.pictures import from_jpeg
from streamavis_apps.web.sound import BrowserSound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamavis.clock import Clock
    from streamavis.types import AudioChunk

__all__ = ["BrowserCapture", "BrowserSource"]

_WAITING: Final = 200  # messages: about 3 s of a camera and a microphone
# Pictures that wait: a picture may take 0.25 s to decode, and only the newest are worth it.
_PICTURES_WAITING: Final = 4
_Message: TypeAlias = Begin | Picture | Block | Trouble | Left


class BrowserSource:
    """Takes pictures and sound of one browser at a time and passes them to the capture.

    A browser that leaves may come back, and so may another one: `capture` opens the device anew.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sender: Begin | None = None  # None: no browser sends
        self._reader: BrowserCapture | None = None  # None: what is sent is not wanted yet
        self._since_ns = 0  # the reader's clock: since when the sender shares its camera

    @property
    def busy(self) -> bool:
        """True while a browser sends."""
        return self._sender is not None

    def admits(self, item: VideoFrame | AudioChunk) -> bool:
        """True for what the browser that sends now has sent; False once it has left."""
        if isinstance(item, VideoFrame):
            came_ns = item.stamps.get(str(Stage.RECEIVE), item.capture_time_ns)
        else:
            came_ns = item.start_time_ns + len(item.samples) * 1_000_000_000 // SAMPLE_RATE
        return self._sender is not None and came_ns >= self._since_ns

    def capture(self, clock: Clock) -> BrowserCapture:
        """Frames and sound of the sending browser, on `clock`; ends an earlier capture."""
        reader = BrowserCapture(clock)
        with self._lock:
            self._reader = reader
            if self._sender is not None:
                self._since_ns = clock.now_ns()
                reader.put(self._sender)
        return reader

    def begin(self, begin: Begin) -> bool:
        """A browser wants to send; False while another one does."""
        with self._lock:
            if self._sender is not None:
                return False
            self._sender = begin
            if self._reader is not None:
                self._since_ns = self._reader.clock.now_ns()
        self.receive(begin)
        return True

    def receive(self, message: _Message) -> None:
        """Take a message of the browser that sends, from any thread; never waits."""
        with self._lock:
            if self._reader is not None:
                self._reader.put(message)

    def end(self, reason: str) -> None:
        """The sending browser has left."""
        self.receive(Left(reason))
        with self._lock:
            self._sender = None


class BrowserCapture:
    """One browser's camera and microphone, until it leaves: a `Capture` with sound of its own.

    Attributes:
        fps: unknown; browsers deliver what light and load allow.
        has_sound: a browser without a microphone is one whose microphone is lost.
        refused: pictures that could not be decoded.
        replaced: pictures left out for newer ones.
        clock: what comes is stamped by.
    """

    fps: float | None = None
    has_sound: bool = True

    def __init__(self, clock: Clock) -> None:
        self.refused = self.replaced = 0
        self.clock = clock
        self._arrived: deque[tuple[_Message, int]] = deque()  # and when
        self._changed = threading.Condition()
        self._aborted = False
        self._offset = ClockOffset()
        self._sound = BrowserSound()

    def put(self, message: _Message) -> None:
        """Take a message; never waits. Where it is not taken in time, the oldest goes.

        Unread input of a browser is dropped when it leaves: the next one does not wait
        behind it.
        """
        with self._changed:
            if isinstance(message, Left):
                self._arrived.clear()
            self._arrived.append((message, self.clock.now_ns()))
            if len(self._arrived) > _WAITING:
                self._arrived.popleft()
            if isinstance(message, Picture):
                self._leave_pictures_out()
            self._changed.notify_all()

    def _leave_pictures_out(self) -> None:
        pictures = [each for each in self._arrived if isinstance(each[0], Picture)]
        if len(pictures) > _PICTURES_WAITING:
            self._arrived.remove(pictures[0])
            self.replaced += 1

    def abort(self) -> None:
        """From any thread: end the iteration."""
        with self._changed:
            self._aborted = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[VideoFrame | AudioChunk | AudioGap]:
        """Wait for a browser, then yield what its camera and microphone give.

        Raises:
            InputError: it left, or its camera stopped; says why.
        """
        while (arrived := self._next()) is not None:
            message, arrived_ns = arrived
            if isinstance(message, Picture):
                yield from self._see(message, arrived_ns)
            elif isinstance(message, Block):
                sent_ns = round(message.sent_ms * 1e6)
                yield from self._sound.hear(message, self._offset.observe(sent_ns, arrived_ns))
            elif isinstance(message, Left):
                raise InputError(message.reason)
            elif isinstance(message, Trouble):
                if message.device == "camera":
                    raise InputError(f"the browser's camera: {message.reason[:200]}")
                yield AudioGap(arrived_ns, 0, f"the browser's microphone: {message.reason[:200]}")

    def _next(self) -> tuple[_Message, int] | None:
        """The oldest message that waits; None once it was aborted."""
        with self._changed:
            self._changed.wait_for(lambda: self._arrived or self._aborted)
            return None if self._aborted else self._arrived.popleft()

    def _see(self, picture: Picture, arrived_ns: int) -> Iterator[VideoFrame]:
        offset_ns = self._offset.observe(round(picture.sent_ms * 1e6), arrived_ns)
        captured_ns = min(round(picture.time_ms * 1e6) + offset_ns, arrived_ns)
        try:
            image = from_jpeg(picture.jpeg)
        except SchemaError:
            self.refused += 1
            return
        stamps = {
            str(Stage.CAPTURE): captured_ns,
            str(Stage.RECEIVE): arrived_ns,
            str(Stage.DECODE): self.clock.now_ns(),
        }
        yield VideoFrame(
            image, captured_ns, 0, "driver" if picture.exact else "arrival", stamps=stamps
        )
