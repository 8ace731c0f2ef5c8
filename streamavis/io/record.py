"""Recordings that a sudden end leaves readable."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Self

import av
import numpy as np
from av.video.reformatter import (
    ColorPrimaries,
    ColorRange,
    Colorspace,
    ColorTrc,
    VideoReformatter,
)

from streamavis.audio_ring import AudioRing
from streamavis.clock import RESTART_NS
from streamavis.errors import OutputError
from streamavis.io.claim import Claim
from streamavis.io.container import BEST, Tracks, open_media
from streamavis.io.live_sound import LiveSoundtrack
from streamavis.io.locate import file_url
from streamavis.io.pictures import fitted
from streamavis.io.soundtrack import Soundtrack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from numpy.typing import NDArray

__all__ = ["Recorder"]

_TICKS_PER_S = 90_000  # fine enough for every camera, and what players expect
_NS_PER_S = 1_000_000_000
_RESTART_TICKS = RESTART_NS * _TICKS_PER_S // _NS_PER_S
# The index first, empty, and all else in fragments: readable at any moment.
_FRAGMENTED = {
    "movflags": "empty_moov+default_base_moof",
    "frag_duration": "500000",  # us, what a kill can cost
    "flush_packets": "1",
}
# A track that does not begin at 0 keeps its time only in an index that is written after it began.
_APART = {"movflags": f"{_FRAGMENTED['movflags']}+delay_moov"}


class Recorder:
    """Write frames as H.264 mp4, each at its own time, with a file's sound or what is heard live.

    The file is fragmented and written in place: whatever ends the program, it is readable up to
    about the last half second. Memory is constant. Where time repeats or steps back a little, a
    frame follows the one before by 1/90,000 s; where it steps back by 1 s, recording goes on
    from there. Odd sizes are padded by repeating the last row or column, as yuv420p needs even
    ones; frames of another size are scaled as a whole, in their shape, with black around them.
    The sound ends with the last frame.
    """

    def __init__(
        self,
        path: str | Path,
        width: int,
        height: int,
        *,
        fps: float | None = None,
        sound: str | Path | AudioRing | None = None,
        tracks: Tracks = BEST,
        begin_ns: int = 0,
        threads: int = 1,
        claim: Claim | None = None,
    ) -> None:
        """Create `path`, replacing what is there.

        Args:
            width: of the frames, in pixels.
            height: of the frames, in pixels.
            fps: nominal rate, taken as 1 to 240 (25 if unknown): key frames come every 2 s of it,
                and the last frame lasts one period.
            sound: media whose sound belongs to the frames; their times count from its start, as
                `MediaSource`'s do. Or a ring that somebody writes to while frames come: it must
                keep as much as the longest pause between frames and 1 s more. Without a file,
                time begins with the first frame. None: silent.
            tracks: of that media, as its pictures were read.
            begin_ns: with a file's sound, the stream's time at which the recording begins: that
                of its first frame, where it is not recorded from the start.
            threads: of the encoder.
            claim: of `path`, where the caller has it already; it ends with the recording.

        Raises:
            InputError: `sound` cannot be opened.
            OutputError: `path` cannot be written, is `sound` itself, or another program is
                writing to it.
        """
        self._path = Path(path)
        file = None if isinstance(sound, AudioRing) else sound
        if file is not None and _same_file(self._path, Path(file)):
            raise OutputError(f"{path}: is the input itself; give the recording another name")
        self._shape = (height, width)
        self._size = (width + width % 2, height + height % 2)
        rate = Fraction(min(max(fps or 25, 1), 240)).limit_denominator(1001)
        self._period = round(_TICKS_PER_S / rate)
        begin = Fraction(begin_ns, _NS_PER_S)
        # Ticks from the stream's to the file's time.
        self._shift: int | None = None if file is None else -round(begin * _TICKS_PER_S)
        self._last = -1  # the latest frame's file time, ticks
        self._soundtrack: Soundtrack | LiveSoundtrack | None = None
        self._converter = VideoReformatter()  # kept: setting one up takes longer than a frame
        self._claim = claim or Claim(self._path)
        self._open = True
        options = _FRAGMENTED if file is None else _FRAGMENTED | _APART
        try:
            self._container = av.open(
                file_url(self._path), "w", format="mp4", container_options=options
            )
        except BaseException:
            self._claim.release()
            raise
        with self._giving_up():
            self._stream = self._container.add_stream("libx264", rate=rate)
            self._set_encoder_up(round(2 * rate), threads)
            self._soundtrack = self._sound_of(sound, begin, tracks)
            self._container.start_encoding()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def write(self, image: NDArray[np.uint8], time_ns: int) -> None:
        """Add a frame.

        Args:
            image: (H, W, 3) RGB; not kept.
            time_ns: its stream time.

        Raises:
            OutputError: the file cannot be written, or is closed. It stays closed.
        """
        if not self._open:
            raise OutputError(f"{self._path}: the recording is closed")
        frame = self._converter.reformat(
            av.VideoFrame.from_ndarray(_even(fitted(image, *self._shape)), "rgb24"),
            *self._size,
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
        frame.pts = self._file_ticks(round(time_ns * _TICKS_PER_S / Fraction(_NS_PER_S)))
        frame.time_base = Fraction(1, _TICKS_PER_S)
        with self._giving_up():
            self._mux(frame)

    def close(self) -> None:
        """Finish the file; safe to call twice.

        Raises:
            OutputError: what was left could not be written.
        """
        if not self._open:
            return
        with self._giving_up():
            self._mux(None)
            if self._soundtrack is not None:
                end = Fraction(self._last + self._period, _TICKS_PER_S)
                self._soundtrack.finish(end)
            self._container.close()
        self._release()

    def _sound_of(
        self, sound: str | Path | AudioRing | None, begin_s: Fraction, tracks: Tracks
    ) -> Soundtrack | LiveSoundtrack | None:
        if sound is None:
            return None
        if isinstance(sound, AudioRing):
            return LiveSoundtrack(sound, self._container, self._stream_ns)
        media = open_media(sound, tracks=tracks)
        if media.audio is None:
            media.container.close()
            return None
        return Soundtrack(media, media.audio, self._container, begin_s)

    def _stream_ns(self, time_s: Fraction) -> int:
        """The stream's time at a time of the file."""
        return round((time_s - Fraction(self._shift or 0, _TICKS_PER_S)) * _NS_PER_S)

    def _set_encoder_up(self, key_frame_interval: int, threads: int) -> None:
        encoder = self._stream.codec_context
        encoder.width, encoder.height = self._size
        encoder.pix_fmt = "yuv420p"
        encoder.time_base = Fraction(1, _TICKS_PER_S)
        encoder.gop_size = key_frame_interval
        encoder.thread_count = threads
        # No look-ahead and no B-frames: nothing is held in memory, no time begins before 0.
        encoder.options = {"preset": "superfast", "tune": "zerolatency", "crf": "23"}
        encoder.colorspace = Colorspace.ITU709
        encoder.color_range = ColorRange.MPEG
        encoder.color_primaries = ColorPrimaries.BT709
        encoder.color_trc = ColorTrc.BT709

    def _file_ticks(self, ticks: int) -> int:
        """Where a frame of stream time `ticks` goes: always after the one before."""
        if self._shift is None:
            self._shift = -ticks
        back = self._last - (ticks + self._shift)
        if back >= _RESTART_TICKS:
            self._shift += back + self._period
        self._last = max(ticks + self._shift, self._last + 1)
        return self._last

    def _mux(self, frame: av.VideoFrame | None) -> None:
        for packet in self._stream.encode(frame):
            if self._soundtrack is not None:
                assert packet.pts is not None and packet.time_base is not None, "encoded in time"
                self._soundtrack.mux_before(packet.pts * packet.time_base)
            self._container.mux_one(packet)

    @contextmanager
    def _giving_up(self) -> Iterator[None]:
        """Close the file on any error, and name it where the error is the file's."""
        try:
            yield
        except BaseException as error:
            self._release()
            if isinstance(error, av.error.FFmpegError | OSError):
                cause = error.strerror or error
                raise OutputError(f"{self._path}: cannot be written: {cause}") from error
            raise

    def _release(self) -> None:
        self._open = False
        if self._soundtrack is not None:
            self._soundtrack.close()
        with suppress(av.error.FFmpegError, OSError):  # after the error that is reported
            self._container.close()
        self._claim.close()


def _same_file(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _even(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        return np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return image
