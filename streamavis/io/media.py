"""Media files and generated test sources as frames and sound on one exact timeline."""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Self

import av

from streamavis.errors import InputError, TruncatedInputError
from streamavis.io.array_sound import ArraySound, check_channels
from streamavis.io.container import BEST, Tracks, open_media
from streamavis.io.demux import PacketReader
from streamavis.io.pictures import MAX_PIXELS, shown_size, upright_rgb
from streamavis.io.playlist import missing_segments
from streamavis.io.resample import MonoResampler
from streamavis.io.stamps import PictureStamps
from streamavis.io.structure import is_cut_short
from streamavis.io.unusable import UNUSABLE
from streamavis.types import AudioChunk, SoundBearing, SourceEvent, VideoFrame

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from types import TracebackType

    import numpy as np
    from av.audio.stream import AudioStream
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

    from streamavis.bearing import MicArray

__all__ = ["MediaInfo", "MediaSource"]

_NS = 1_000_000_000
_NOMINAL_FPS = Fraction(25)  # where a container says nothing
_LONGEST_S = 2**32  # 136 years, well within int64 ns; a damaged stamp may say anything
_MOST_DECLARED = 4096 * 4096  # pixels; a header that says more than the pictures is damaged
_LEAST_BITS_PER_S = 1000  # less than a packet of MPEG-TS a second: no duration, but two clocks
_HOPELESS_PACKETS = 300  # without one picture: the stream cannot be decoded


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What is known of a source before it is read."""

    name: str
    width: int  # pixels, upright and square; frames may differ, where a picture grows
    height: int
    fps: float | None  # nominal; the frames' own times count
    has_audio: bool
    duration_s: float | None  # None: endless or unknown


class MediaSource:
    """Frames and sound of a file or test source, all sound up to t before the frame at t.

    Times are exact int64 ns: the container's own stamps less the earlier of the two streams'
    starts. A frame without a stamp follows the one before by the nominal frame time; one whose
    stamp repeats or goes back follows at once. Where the container's clock begins anew, time goes
    on and `VideoFrame.epoch` rises (see `Continuity`). No time is below 0. Sound is 16 kHz mono;
    a gap in it stays a gap. Can be iterated once; close it, or use it in a `with` statement.

    Where a file is interleaved badly, it is read ahead up to `look_ahead` packets; then frames
    go on and their sound follows late. 0 never holds a frame back for sound: for live sources.

    Attributes:
        info: what is known beforehand.
        corrupt_packets: packets so far that could not be decoded and were skipped.
        once: a pipe, which nobody else can read.
    """

    def __init__(
        self,
        url: str | Path,
        *,
        format: str | None = None,
        threads: int = 1,
        look_ahead: int = 600,
        start_s: float = 0.0,
        tracks: Tracks = BEST,
        array: MicArray | None = None,
    ) -> None:
        """Open `url` and decode its first picture.

        Args:
            url: a path, a folder or pattern of pictures (25 a second), `-`, an address, or
                `lavfi:GRAPH` with outputs `out0` (and `out1`, sound).
            format: a libavformat name where it cannot be guessed, such as `lavfi` or `v4l2`.
            threads: decoding threads. The pictures are the same; each one adds a frame of delay.
            look_ahead: packets to read ahead for sound that comes late in the container.
            start_s: begin with the first frame from there on; times stay those of the file.
            tracks: which picture and sound are taken where there are several.
            array: the microphones that the channels of the sound are; their bearings
                (`SoundBearing`) come among the sound, which stays as it is without them.

        Raises:
            InputError: it cannot be opened or holds no picture; names it and the cause.
        """
        self.corrupt_packets = 0
        self._media = open_media(url, format, tracks)
        self.once = self._media.once
        try:
            if self._media.video is None:
                only = ", only sound" if self._media.audio is not None else ""
                raise InputError(f"{self._media.name}: holds no picture{only}")
            self._video: VideoStream = self._media.video
            self._audio: AudioStream | None = self._media.audio
            for stream in (self._video, self._audio):
                if stream is not None:
                    _require_decoder(self._media.name, stream)
            self._array: ArraySound | None = None
            if array is not None and self._audio is not None:
                channels = self._audio.codec_context.channels
                check_channels(array, channels, self._media.name)
                self._array = ArraySound(array, self._media.name)
            self._video.codec_context.thread_count = threads
            self._video.codec_context.thread_type = "AUTO"
            self._video.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            self._declared = (self._video.codec_context.width, self._video.codec_context.height)
            self._cut_short = self._media.path is not None and is_cut_short(self._media.path)
            if start_s > 0:
                self._seek(start_s)
            self._reader = PacketReader(self._media, look_ahead, from_start=start_s <= 0)
            self._stamps = PictureStamps(decoding_order=self._media.stamped_as_decoded)
            self._resampler = MonoResampler()
            self._decoded: deque[av.VideoFrame] = deque()
            self._sound: deque[AudioChunk] = deque()
            self._bearings: list[SoundBearing | SourceEvent] = []
            self._video_ended = False
            self._frames = 0
            self._time_ns = 0  # of the latest frame
            self._start_ns = round(start_s * _NS)
            self._epoch = 0  # likewise
            self._first = self._next_frame()
            while self._first is not None and self._first.capture_time_ns < self._start_ns:
                self._frames = 0
                later = self._next_frame()
                if later is None:  # `start_s` is behind the last frame
                    break
                self._first = later
            if self._first is None:
                raise InputError(f"{self._media.name}: none of its pictures can be decoded")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the file; safe to call twice, not while another thread iterates."""
        self._media.container.close()

    def __iter__(self) -> Iterator[AudioChunk | SoundBearing | SourceEvent | VideoFrame]:
        """Yield sound and frames to the end.

        Raises:
            TruncatedInputError: the file broke off; everything before was yielded.
        """
        frame, self._first = self._first, None
        while frame is not None:
            yield from self._sound_before(frame.capture_time_ns)
            yield frame
            frame = self._next_frame()
        yield from self._sound_before(None)
        missing = missing_segments(self._media.path) if self._media.path is not None else []
        if missing:
            more = "" if len(missing) == 1 else f" and {len(missing) - 1} more of its segments"
            raise TruncatedInputError(
                f"{self.info.name}: {missing[0]}{more} cannot be found; everything else was kept"
            )
        if self._cut_short or self._reader.broke_off:
            told_s = self.info.duration_s
            of = "" if told_s is None else f" of {told_s:.2f} s"
            raise TruncatedInputError(
                f"{self.info.name}: breaks off after {self._frames} frames "
                f"({self._time_ns / _NS:.2f} s{of}); everything up to there was kept"
            )

    def _seek(self, start_s: float) -> None:
        """Go to a key frame before `start_s`; where that is not possible, all is decoded."""
        place = round((self._media.origin_s + Fraction(start_s)) * av.time_base)
        with suppress(av.error.FFmpegError):
            self._media.container.seek(place)

    def _from_start(self, chunks: Iterable[AudioChunk]) -> Iterator[AudioChunk]:
        return (chunk for chunk in chunks if chunk.start_time_ns >= self._start_ns)

    def _next_frame(self) -> VideoFrame | None:
        while True:
            while not self._decoded:
                if self._video_ended or (
                    not self._frames and self.corrupt_packets > _HOPELESS_PACKETS
                ):
                    return None
                packet = self._reader.next(self._video)
                self._video_ended = packet is None
                with self._skipping_corrupt():
                    if packet is not None:
                        self._stamps.sent(packet)
                    self._decoded.extend(self._video.codec_context.decode(packet))
            frame = self._decoded.popleft()
            with self._skipping_corrupt():
                image = upright_rgb(frame, self._pixel_aspect)
                if not self._frames:
                    self.info = self._describe(frame, image)
                self._time_ns, epoch = self._frame_time(frame)
                self._frames += 1
                index = self._frames - 1
                return VideoFrame(image, self._time_ns, index, clock="pts", epoch=epoch)

    @property
    def _pixel_aspect(self) -> Fraction | None:
        """Of the latest picture: it may change on the way."""
        return self._video.codec_context.sample_aspect_ratio or self._video.sample_aspect_ratio

    def _frame_time(self, frame: av.VideoFrame) -> tuple[int, int]:
        """A frame's time, ns, and its epoch."""
        stamp = self._stamps.of(frame)
        time_s = self._time_s(stamp, self._video)
        if time_s is None:
            period_ns = round(_NS / (self._video.guessed_rate or _NOMINAL_FPS))
            time_ns = self._time_ns + period_ns if self._frames else 0
            time_s = Fraction(time_ns, _NS)
        time_ns = max(round(time_s * _NS), self._time_ns + 1 if self._frames else 0)
        epoch = self._reader.continuity.epoch_at(time_s + self._media.origin_s)
        self._epoch = max(self._epoch, epoch)  # a picture that is shown late is of the new clock
        return time_ns, self._epoch

    def _time_s(self, stamp: int | None, stream: VideoStream | AudioStream) -> Fraction | None:
        """A stamp's time since the origin; None where there is none, or one that cannot be."""
        if stamp is None or stream.time_base is None:
            return None
        time_s = stamp * stream.time_base - self._media.origin_s
        return time_s if abs(time_s) < _LONGEST_S else None

    def _sound_before(
        self, time_ns: int | None
    ) -> Iterator[AudioChunk | SoundBearing | SourceEvent]:
        """All sound that begins before `time_ns`, or all there is, and its bearings so far."""
        while True:
            yield from self._bearings
            self._bearings.clear()
            while self._sound and (time_ns is None or self._sound[0].start_time_ns < time_ns):
                yield self._sound.popleft()
            if self._audio is None or (time_ns is not None and self._resampler.end_ns >= time_ns):
                return
            packet = self._reader.next(self._audio, wait=time_ns is None)
            if packet is None and not self._reader.at_end:
                return
            with self._skipping_corrupt():
                for frame in self._audio.codec_context.decode(packet):
                    time_s = self._time_s(frame.pts, self._audio)
                    if self._array is not None:
                        start_ns = None if time_s is None else round(time_s * _NS)
                        self._bearings += self._array.frame(frame, start_ns)
                    self._sound.extend(self._from_start(self._resampler.feed(frame, time_s)))
            if packet is None:
                self._sound.extend(self._from_start(self._resampler.flush()))
                self._audio = None

    @contextmanager
    def _skipping_corrupt(self) -> Iterator[None]:
        try:
            yield
        except UNUSABLE:
            self.corrupt_packets += 1

    def _describe(self, first: av.VideoFrame, image: NDArray[np.uint8]) -> MediaInfo:
        """What is known once the first picture is there: a browser's recording begins small."""
        height, width = image.shape[:2]
        declared = shown_size(first, *self._declared, self._pixel_aspect)
        if height * width < declared[0] * declared[1] <= _MOST_DECLARED:
            height, width = declared
        rate = self._video.guessed_rate or self._video.average_rate
        return MediaInfo(
            name=self._media.name,
            width=width,
            height=height,
            fps=float(rate) if rate else None,
            has_audio=self._audio is not None,
            duration_s=self._duration_s(),
        )

    def _duration_s(self) -> float | None:
        """As the container says it; None where that cannot be, as where its clock begins anew."""
        duration = self._media.container.duration
        if not duration or duration <= 0:
            return None
        duration_s = duration / av.time_base
        if self._media.container.format.name == "mpegts" and self._media.path is not None:
            bits = 8 * self._media.path.stat().st_size
            return duration_s if bits >= _LEAST_BITS_PER_S * duration_s else None
        return duration_s


def _require_decoder(name: str, stream: VideoStream | AudioStream) -> None:
    if stream.codec_context is None:
        what = "picture" if stream.type == "video" else "sound"
        raise InputError(f"{name}: its {what} is of a kind that FFmpeg cannot decode")
