"""One stream as the server has it: filled by an engine's threads, read by the event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final, Literal

from streamavis.sinks.publish import end_of, status_of
from streamavis.types import AudioChunk, AudioGap, Heard, SourceEvent
from streamavis_apps.web import messages
from streamavis_apps.web.hearing import Hearing
from streamavis_apps.web.history import History

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from streamavis.status import EngineReport
    from streamavis.types import FrameResult, VideoFrame
    from streamavis.wire import Hello
    from streamavis_apps.web.browser import BrowserSource
    from streamavis_apps.web.playback import Playback
    from streamavis_apps.web.settings import Controls
    from streamavis_apps.web.viewer import Viewer

__all__ = ["Channel", "WebSink"]

_EVENTS: Final = 40  # kept for those who join late


class Channel:
    """The newest picture of a stream, its sound, its states, and who watches.

    `post` and what it takes may be called from any thread; everything else on the event loop.
    """

    def __init__(
        self,
        stream: str,
        hello: Hello,
        controls: Controls,
        post: Callable[..., None],
        encoder: Executor,
        *,
        shared: BrowserSource | None = None,
        playback: Playback | None = None,
    ) -> None:
        """Announce a stream that has not begun.

        Args:
            stream: its name.
            hello: what is known of it.
            controls: settings in force.
            post: runs a call on the event loop, or drops it where there is none any more.
            encoder: where pictures are made smaller and encoded.
            shared: shares the camera; its pictures are kept only while it does.
            playback: steers the recording; None: the stream is live.
        """
        self.stream = stream
        self.hello = hello
        self.viewers: set[Viewer] = set()
        self.ended: str | None = None  # the last message, once the stream is over
        self.shared = shared
        self.playback = playback
        self._controls = controls
        self._post = post
        self._encoder = encoder
        self._report: Callable[[], EngineReport] | None = None
        self._latest: tuple[VideoFrame, FrameResult, float] | None = None  # and when, wall time
        self._version = 0
        self._packet: tuple[int, bytes] = (0, b"")
        self._encoding = asyncio.Lock()
        self._forgotten = 0  # how often
        self._keeping = threading.Lock()  # what came, or forgetting it: not both at once
        self._hearing = Hearing()
        self._heard: Heard | None = None  # at the newest picture; None: unknown
        self._newest_heard: Heard | None = None  # its picture comes next
        self._history = History()
        self._events: deque[str] = deque(maxlen=_EVENTS)

    # From the engine's threads.

    def begin(self, report: Callable[[], EngineReport]) -> None:
        """A run starts; `report` has its status."""
        self._report = report

    def show(self, frame: VideoFrame, result: FrameResult) -> None:
        """Take the newest picture; the one before it is forgotten."""
        with self._keeping:
            if self.shared is not None and not self.shared.admits(frame):
                return  # of a browser that has left
            self._keep(frame, result)
        if self.viewers:  # a new viewer reads the latest picture itself
            self._post(self._wake)

    def _keep(self, frame: VideoFrame, result: FrameResult) -> None:
        # In a gap the model gets silence although there may be sound: unknown.
        whole, heard = result.audio == "ok", self._newest_heard
        current = heard is not None and heard.capture_time_ns == result.capture_time_ns
        self._heard = heard if whole and current else None
        self._history.see(result, self._hearing.level_dbfs if whole else None)
        self._latest = frame, result, time.time()
        self._version += 1

    def notice(self, item: AudioChunk | AudioGap | SourceEvent | Heard) -> None:
        """Take what is not a picture."""
        if isinstance(item, AudioChunk):
            with self._keeping:
                if self.shared is not None and not self.shared.admits(item):
                    return
                self._hearing.hear(item)
            if any(viewer.listens for viewer in list(self.viewers)):
                self._post(self._play, messages.sound(item))
        elif isinstance(item, Heard):
            self._newest_heard = item
        elif isinstance(item, SourceEvent):
            self._post(self._tell, messages.event(item, time.time()))
        else:
            lost_ms = round(item.duration_ns / 1e6)
            text = messages.text("gap", lost_ms=lost_ms, cause=item.cause, wall_time=time.time())
            self._post(self._tell, text)

    def end(self, report: EngineReport) -> None:
        """The run is over."""
        if self.playback is not None and self.playback.pending:
            return  # it goes on from another place
        last = self._latest[1] if self._latest else None
        self._post(self._finish, messages.text("eos", end_of(report, last)))

    # On the event loop.

    @property
    def version(self) -> int:
        """Rises with each picture; 0 while there is none."""
        return self._version if self._latest is not None else 0

    async def packet(self) -> tuple[int, bytes]:
        """The newest picture as a message, encoded once for all who ask; empty: forgotten."""
        async with self._encoding:
            if self._packet[0] != self._version:
                version = self._version
                if self._latest is None:
                    return version, b""
                frame, result, taken = self._latest
                settings, forgotten = self._controls.settings, self._forgotten
                loop = asyncio.get_running_loop()
                data = await loop.run_in_executor(
                    self._encoder, messages.picture, frame, result, settings, taken
                )
                if self._forgotten != forgotten:
                    return version, b""
                self._packet = version, data
            return self._packet

    def join(self, viewer: Viewer) -> None:
        """Greet a viewer with all there is to know."""
        self.viewers.add(viewer)
        playback = None if self.playback is None else self.playback.told()
        hello = messages.text("hello", self.hello, stream=self.stream, playback=playback)
        viewer.state("hello", hello)
        with self._keeping:
            history = self._history.told(self._controls.settings)
        if history is not None:
            viewer.state("history", messages.text("history", history))
        viewer.state("settings", messages.text("settings", self._controls.settings))
        viewer.state("status", self.status())
        for text in self._events:
            viewer.passing(text)
        if self.ended is not None:
            viewer.state("eos", self.ended)
        viewer.wake()

    def renew(self) -> None:
        """Settings changed: the picture that is shown is sent again."""
        self._packet = (0, b"")
        self._version += bool(self._version)
        self._wake()

    def forget(self) -> None:
        """The browser that shared the camera has left: its pictures and sound are deleted."""
        with self._keeping:
            self._latest, self._packet = None, (0, b"")
            self._heard = self._newest_heard = None
            self._forgotten += 1
            self._hearing.forget()
            self._history.forget()
        for viewer in self.viewers:
            viewer.silence()
        self.state("gone", messages.text("gone"))

    def tell_playback(self) -> None:
        """The playback changed: all viewers get a message."""
        if self.playback is not None:
            self.state("playback", messages.text("playback", self.playback.told()))

    def status(self) -> str:
        """How the stream is doing, as a text."""
        report = self._report() if self._report else None
        last = self._latest[1] if self._latest else None
        status = status_of(report, last, self.hello)
        status.wall_time, status.monotonic_ns = time.time(), time.monotonic_ns()
        return messages.text("status", status, stream=self.stream)

    def sound(self) -> str | None:
        """Level and spectrum since the last call, as a text; None: no sound."""
        glimpse = self._hearing.glimpse()
        if glimpse is None:
            return None
        return messages.heard(glimpse, self._heard, self.hello.classes)

    def state(self, kind: str, text: str) -> None:
        """Tell every viewer a state."""
        for viewer in self.viewers:
            viewer.state(kind, text)

    def passing(self, text: str) -> None:
        """Tell every viewer something of the moment."""
        for viewer in self.viewers:
            viewer.passing(text)

    def _wake(self) -> None:
        for viewer in self.viewers:
            viewer.wake()

    def _play(self, packet: bytes) -> None:
        for viewer in self.viewers:
            viewer.sound(packet)

    def _tell(self, text: str) -> None:
        self._events.append(text)
        self.passing(text)

    def _finish(self, text: str) -> None:
        self.ended = text
        self.state("status", self.status())
        self.state("eos", text)


class WebSink:
    """Hands an engine's results to the viewers of one stream; never waits for any of them."""

    name: Literal["web"] = "web"
    inline: Literal[True] = True
    max_hz: float = 30.0

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def start(self, report: Callable[[], EngineReport]) -> None:
        """From now on the status is sent."""
        self._channel.begin(report)

    def write(self, frame: VideoFrame, result: FrameResult) -> None:
        """Show the newest."""
        self._channel.show(frame, result)

    def notice(self, item: AudioChunk | AudioGap | SourceEvent | Heard) -> None:
        """Send sound levels and the states of the sources."""
        self._channel.notice(item)

    def close(self, report: EngineReport) -> None:
        """Say that the stream is over; what was shown last stays."""
        self._channel.end(report)
