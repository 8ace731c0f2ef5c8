"""A recording or a generated source that behaves like a camera: in its own time, then it ends."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from streamavis.errors import InputError, TruncatedInputError
from streamavis.io.array_sound import ArraySound, check_channels
from streamavis.io.container import open_media
from streamavis.io.demux import PacketReader
from streamavis.io.live.capture import Capture, Captured, Device
from streamavis.io.media import MediaSource
from streamavis.io.resample import MonoResampler
from streamavis.io.unusable import UNUSABLE
from streamavis.types import AudioChunk, SoundBearing, SourceEvent, Stage, VideoFrame

if TYPE_CHECKING:
    from collections.abc import Iterator
    from fractions import Fraction

    import av

    from streamavis.bearing import MicArray
    from streamavis.clock import Clock
    from streamavis.io.live.address import DeviceAddress
    from streamavis.types import Modality

__all__ = ["paced_device"]


def paced_device(
    address: DeviceAddress,
    modality: Modality,
    *,
    with_sound: bool = True,
    array: MicArray | None = None,
) -> Device:
    """A file or `lavfi:` graph as a camera, or its sound as a microphone, or as an array."""

    def open_capture(clock: Clock) -> Capture:
        if modality == "audio":
            return _PacedSound(address, clock, array)
        return _PacedMedia(address, clock, with_sound, array if with_sound else None)

    return Device(address.name, modality, open_capture)


class _Pace:
    """Holds items back until their time has come; the first one comes now."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._origin_ns: int | None = None
        self._aborted = threading.Event()

    def abort(self) -> None:
        self._aborted.set()

    def on_clock(self, time_ns: int) -> int:
        """A time of the recording, on the clock."""
        if self._origin_ns is None:
            self._origin_ns = self._clock.now_ns() - time_ns
        return self._origin_ns + time_ns

    def wait(self, due_ns: int) -> bool:
        """Wait until `due_ns` on the clock; False when it was aborted."""
        return self._clock.wait_until(due_ns, self._aborted)


class _PacedMedia:
    def __init__(
        self, address: DeviceAddress, clock: Clock, with_sound: bool, array: MicArray | None
    ) -> None:
        self._array = array
        self.fps: float | None = None
        self.has_sound = False
        self._address = address
        self._clock = clock
        self._with_sound = with_sound
        self._pace = _Pace(clock)

    def abort(self) -> None:
        self._pace.abort()

    def __iter__(self) -> Iterator[Captured]:
        with MediaSource(self._address.target, array=self._array) as source:
            self.fps = source.info.fps
            self.has_sound = self._with_sound and source.info.has_audio
            try:
                yield from self._on_time(source)
            except TruncatedInputError:
                return  # a camera has no length it could fall short of

    def _on_time(self, source: MediaSource) -> Iterator[Captured]:
        for item in source:
            if isinstance(item, SoundBearing | SourceEvent):
                # It comes with the sound it was computed from: early by what is waited for below.
                yield _placed(item, self._pace)
                continue
            if isinstance(item, AudioChunk):
                if not self.has_sound:
                    continue
                item.start_time_ns = self._pace.on_clock(item.start_time_ns)
                due_ns = item.start_time_ns  # never held beyond the frame that hears it
            else:
                item.capture_time_ns = due_ns = self._pace.on_clock(item.capture_time_ns)
            if not self._pace.wait(due_ns):
                return
            if isinstance(item, VideoFrame):
                now_ns = self._clock.now_ns()
                item.stamps[Stage.CAPTURE] = due_ns
                item.stamps[Stage.RECEIVE] = item.stamps[Stage.DECODE] = max(now_ns, due_ns)
            yield item


class _PacedSound:
    fps: float | None = None
    has_sound = True

    def __init__(self, address: DeviceAddress, clock: Clock, array: MicArray | None) -> None:
        self._address = address
        self._pace = _Pace(clock)
        self._array = array

    def abort(self) -> None:
        self._pace.abort()

    def __iter__(self) -> Iterator[Captured]:
        media = open_media(self._address.target)
        with media.container:
            if media.audio is None or media.audio.codec_context is None:
                raise InputError(f"{self._address.name}: holds no sound")
            bearings: ArraySound | None = None
            if self._array is not None:
                check_channels(self._array, media.audio.codec_context.channels, self._address.name)
                bearings = ArraySound(self._array, self._address.name)
            reader = PacketReader(media, look_ahead=0, streams=[media.audio])
            resampler = MonoResampler()
            ended = False
            while not ended:
                packet = reader.next(media.audio)
                ended = packet is None
                chunks: list[AudioChunk] = []
                try:
                    for frame in media.audio.codec_context.decode(packet):
                        time_s = _time_s(frame, media.origin_s)
                        start_ns = None if time_s is None else round(time_s * 1_000_000_000)
                        found = [] if bearings is None else bearings.frame(frame, start_ns)
                        yield from (_placed(item, self._pace) for item in found)
                        chunks += resampler.feed(frame, time_s)
                except UNUSABLE:
                    continue  # a corrupt packet: a gap
                if ended:
                    chunks += resampler.flush()
                for chunk in chunks:
                    chunk.start_time_ns = self._pace.on_clock(chunk.start_time_ns)
                    if not self._pace.wait(chunk.start_time_ns):
                        return
                    yield chunk


def _placed(item: SoundBearing | SourceEvent, pace: _Pace) -> SoundBearing | SourceEvent:
    return replace(item, time_ns=pace.on_clock(item.time_ns))


def _time_s(frame: av.AudioFrame, origin_s: Fraction) -> Fraction | None:
    if frame.pts is None or frame.time_base is None:
        return None
    return frame.pts * frame.time_base - origin_s
