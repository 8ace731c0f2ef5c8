"""A replay in the browser goes on after its end: again, in a loop, from another place."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamavis
from streamavis.io.media import MediaSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streamavis import Stream
    from streamavis.bearing import Geometry
    from streamavis.runtime.step import StepModel
    from streamavis.wire import Hello
    from streamavis_apps.exits import Stop
    from streamavis_apps.web.playback import Playback
    from streamavis_apps.web.web_view import WebView

__all__ = ["Passes", "until_stopped"]

_POLL_S = 0.2
_STOP_POLL_S = 0.05
_LEFT_S = 3.0  # seconds without a viewer until the end; a page that reloads is back sooner


@contextmanager
def until_stopped(stop: Stop) -> Iterator[threading.Event]:
    """An event for one pass, which its engine may set without ending the program.

    It is set when `stop` is asked for.
    """
    cancelled, left = threading.Event(), threading.Event()

    def watch() -> None:
        while not left.wait(_STOP_POLL_S):
            if stop.event.is_set():
                cancelled.set()
                return

    thread = threading.Thread(target=watch, name="streamavis-pass", daemon=True)
    thread.start()
    try:
        yield cancelled
    finally:
        left.set()
        thread.join()


@dataclass(frozen=True)
class Passes:
    """What another pass over a recording needs; its results go to the viewer alone."""

    source: Path
    stream: str
    speed: float | None
    model: StepModel
    hello: Hello
    viewer: WebView
    playback: Playback
    geometry: Geometry

    def follow(self, results: Stream, stop: Stop) -> None:
        """Play on while there are viewers, after the first pass, `results`, is over.

        Raises:
            TruncatedInputError: the input broke off.
            StreamAVISError: the input can no longer be opened, or the model failed.
        """
        self.playback.running(None)
        self.playback.allow()
        ended = results.report.phase == "ended"
        seen_s = time.monotonic()
        while not stop.event.is_set() and time.monotonic() - seen_s < _LEFT_S:
            from_s = self.playback.next(ended and self.viewer.watched, _POLL_S)
            if from_s is not None:
                ended = self._play(from_s, stop)
            if self.viewer.watched:
                seen_s = time.monotonic()

    def _play(self, from_s: float, stop: Stop) -> bool:
        """One pass; True when it came to the end of the recording."""
        from streamavis_apps.web.steering import Strided

        sink = self.viewer.sink(self.stream, self.hello, playback=self.playback)
        with (
            until_stopped(stop) as cancelled,
            MediaSource(self.source, start_s=from_s, array=self.geometry.array) as media,
            streamavis.open(
                Strided(media, self.viewer.controls.stride),
                self.model,
                speed=self.speed,
                stream=self.stream,
                sinks=[sink],
                cancelled=cancelled,
                geometry=self.geometry,
            ) as results,
        ):
            self.playback.running(results.stop)
            seen_s = time.monotonic()
            for _ in results:
                if self.viewer.watched:
                    seen_s = time.monotonic()
                elif time.monotonic() - seen_s > _LEFT_S:
                    results.stop()
            self.playback.running(None)
            return results.report.phase == "ended"
