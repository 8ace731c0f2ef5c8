"""Results with their pictures and their sound in an MCAP file, which Foxglove shows."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

import cv2

from streamavis.errors import OutputError
from streamavis.recordings import McapWriter
from streamavis.sinks.publish import end_of, status_of
from streamavis.types import AudioChunk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streamavis.status import EngineReport
    from streamavis.types import AudioGap, FrameResult, Heard, SourceEvent, VideoFrame
    from streamavis.wire import Hello

__all__ = ["McapSink"]

_QUALITY: Final = 85  # of JPEG
_STATUS_NS: Final = 1_000_000_000  # between two statuses, of the stream's time
_MOST_CHUNKS: Final = 10_000  # of sound that wait for a frame: two minutes and more


class McapSink:
    """One stream's results, pictures, sound and statuses; `streamavis play` publishes them again.

    Times are the stream's, moved to the wall clock by the first frame, so that pictures and sound
    agree however late they come.
    """

    name: Literal["mcap"] = "mcap"
    inline: Literal[False] = False

    def __init__(self, path: str | Path, hello: Hello, *, stream: str) -> None:
        """Create `path`, replacing what is there.

        Args:
            path: of the file.
            hello: what readers are told of the stream.
            stream: its name.

        Raises:
            OutputError: `path` cannot be written.
            MissingExtraError: mcap is not installed.
        """
        self._hello = replace(hello, stream=stream)
        self._stream = stream
        self._report: Callable[[], EngineReport] | None = None
        self._last: FrameResult | None = None
        self._origin_ns: int | None = None  # wall time of the stream's time 0
        self._status_ns: int | None = None  # of the last status, the stream's time
        self._heard: deque[AudioChunk] = deque(maxlen=_MOST_CHUNKS)
        self._lock = threading.Lock()
        self._writer = McapWriter(path, overwrite=True)

    def start(self, report: Callable[[], EngineReport]) -> None:
        """From now on statuses say how the stream is doing."""
        self._report = report

    def notice(self, item: AudioChunk | AudioGap | SourceEvent | Heard) -> None:
        """Keep the sound until the next frame is written."""
        if isinstance(item, AudioChunk):
            with self._lock:
                self._heard.append(item)

    def write(self, frame: VideoFrame, result: FrameResult) -> None:
        """Write the sound that has come, the picture and its result.

        Raises:
            OutputError: the file cannot be written, or the picture not be packed.
        """
        if self._origin_ns is None:
            self._origin_ns = time.time_ns() - frame.capture_time_ns
        at_ns = self._at(frame.capture_time_ns)
        if self._last is None or result.size != self._hello.size:
            self._hello = replace(self._hello, boot_id=result.boot_id, size=result.size)
            self._writer.message(self._hello, at_ns)
        self._write_sound()
        pixels = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
        packed, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        if not packed:
            raise OutputError(f"{self._writer.path}: a picture {frame.image.shape} is no JPEG")
        self._writer.picture(self._stream, data.tobytes(), at_ns)
        self._last = result
        self._writer.message(replace(result, wall_time=at_ns / 1e9), at_ns)
        if self._status_ns is None or abs(frame.capture_time_ns - self._status_ns) >= _STATUS_NS:
            self._status_ns = frame.capture_time_ns
            self._write_status(at_ns)

    def close(self, report: EngineReport) -> None:
        """Write the rest of the sound and the end of the stream, and close the file."""
        try:
            self._write_sound()
            if self._last is not None:
                end = replace(
                    end_of(report, self._last), stream=self._stream, boot_id=self._last.boot_id
                )
                self._writer.message(end, self._at(self._last.capture_time_ns))
        finally:
            self._writer.close()

    def _at(self, stream_ns: int) -> int:
        assert self._origin_ns is not None, "a frame has come"
        return max(0, self._origin_ns + stream_ns)

    def _write_sound(self) -> None:
        with self._lock:
            heard = list(self._heard) if self._origin_ns is not None else []
            if heard:
                self._heard.clear()
        for chunk in heard:
            self._writer.sound(self._stream, chunk.samples, self._at(chunk.start_time_ns))

    def _write_status(self, at_ns: int) -> None:
        report = None if self._report is None else self._report()
        status = status_of(report, self._last, self._hello)
        boot_id = self._hello.boot_id
        now_ns = time.monotonic_ns()
        status = replace(status, stream=self._stream, boot_id=boot_id, monotonic_ns=now_ns)
        self._writer.message(status, at_ns)
