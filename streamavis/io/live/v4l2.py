"""Cameras of Linux: read by a child process, because a driver can hang; decoded here."""

from __future__ import annotations

import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av

from streamavis.errors import InputError
from streamavis.io.child.messages import ChildRequest, OpenedCamera, PacketMessage
from streamavis.io.child.pump import Pump
from streamavis.io.live.capture import Capture, Captured, Device
from streamavis.io.live.timeline import StreamTimeline
from streamavis.io.pictures import upright_rgb
from streamavis.io.unusable import UNUSABLE
from streamavis.types import Stage, VideoFrame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from av.video.codeccontext import VideoCodecContext

    from streamavis.clock import Clock
    from streamavis.io.live.address import DeviceAddress
    from streamavis.types import ClockSource

__all__ = ["pumped_device", "v4l2_device"]

_OPTION_NAMES = {"size": "video_size", "fps": "framerate", "format": "input_format"}
_NOT_LINUX = "is read through V4L2, which only Linux has; give a network address or a file"
_OLDEST_NS = 1_000_000_000
_MOST_CORRUPT = 300


def v4l2_device(address: DeviceAddress) -> Device:
    """The camera at `camera:N` or `v4l2:NODE`.

    Raises:
        InputError: this is not Linux.
    """
    if sys.platform != "linux":
        raise InputError(f"{address.name}: {_NOT_LINUX}")
    options = {_OPTION_NAMES[key]: value for key, value in address.options}
    request = ChildRequest("packets", address.target, "v4l2", options)

    def problem(_patience_s: float) -> str:
        there = Path(address.target).exists()
        return "" if there else f"{address.name}: no such device; `streamavis devices` lists them"

    return pumped_device(request, address.name, problem)


def pumped_device(
    request: ChildRequest, name: str, problem: Callable[[float], str] | None = None
) -> Device:
    """Whatever libavformat can open, read in a child process; `problem` as `Device` has it."""

    def open_capture(clock: Clock) -> Capture:
        return _PumpedCapture(request, name, clock)

    return Device(name, "video", open_capture, problem=problem)


class _PumpedCapture:
    has_sound = False

    def __init__(self, request: ChildRequest, name: str, clock: Clock) -> None:
        self.fps: float | None = None
        self._clock = clock
        self._name = name
        self._pump = Pump(request, name)
        self._corrupt = 0

    def abort(self) -> None:
        self._pump.abort()

    def __iter__(self) -> Iterator[Captured]:
        messages = iter(self._pump)
        opened = next(messages, None)
        if opened is None:  # aborted
            return
        if not isinstance(opened, OpenedCamera):
            raise InputError(f"{self._name}: its capture process said {opened!r} first")
        decoder = _decoder(opened, self._name)
        self.fps = opened.fps
        time_base = Fraction(*opened.time_base)
        timeline = StreamTimeline()
        for message in messages:
            if isinstance(message, PacketMessage):
                yield from self._pictures(message, decoder, time_base, timeline)

    def _pictures(
        self,
        message: PacketMessage,
        decoder: VideoCodecContext,
        time_base: Fraction,
        timeline: StreamTimeline,
    ) -> Iterator[VideoFrame]:
        # The child stamps with the machine's monotonic clock; the engine's may be another.
        read_ns = self._clock.now_ns() - (time.monotonic_ns() - message.monotonic_ns)
        timeline.arrived(message.pts, time_base, read_ns)
        for frame in self._decode(decoder, message):
            try:
                image = upright_rgb(frame, decoder.sample_aspect_ratio)
            except UNUSABLE as error:
                self._skipped(error)
                continue
            driver_ns = _monotonic_ns(frame.pts, time_base)
            age_ns = _OLDEST_NS if driver_ns is None else message.monotonic_ns - driver_ns
            clock: ClockSource = "driver"
            if 0 <= age_ns < _OLDEST_NS:
                time_ns = timeline.in_order(read_ns - age_ns)
            else:
                time_ns, clock = timeline.picture_ns(frame.pts, time_base, read_ns)
            stamps: dict[str, int] = {
                Stage.CAPTURE: time_ns,
                Stage.RECEIVE: read_ns,
                Stage.DECODE: self._clock.now_ns(),
            }
            yield VideoFrame(image, time_ns, 0, clock, stamps=stamps)

    def _decode(self, decoder: VideoCodecContext, message: PacketMessage) -> list[av.VideoFrame]:
        packet = av.Packet(message.data)
        packet.pts = message.pts
        try:
            frames = decoder.decode(packet)
        except UNUSABLE as error:
            self._skipped(error)
            return []
        self._corrupt = 0
        return frames

    def _skipped(self, error: Exception) -> None:
        """Count what is useless; too much in a row is an error of its own."""
        self._corrupt += 1
        if self._corrupt >= _MOST_CORRUPT:
            raise InputError(f"{self._name}: cannot be decoded") from error


def _decoder(opened: OpenedCamera, name: str) -> VideoCodecContext:
    try:
        decoder = av.CodecContext.create(opened.codec, "r")
    except (av.error.FFmpegError, ValueError) as error:
        raise InputError(f"{name}: FFmpeg cannot decode {opened.codec}") from error
    assert isinstance(decoder, av.VideoCodecContext), "a picture's codec"
    decoder.width, decoder.height = opened.width, opened.height
    if opened.pixels:
        decoder.pix_fmt = opened.pixels
    if opened.extradata:
        decoder.extradata = opened.extradata
    decoder.thread_count = 1
    return decoder


def _monotonic_ns(pts: int | None, time_base: Fraction) -> int | None:
    """A V4L2 driver's stamp: the machine's monotonic clock, if the driver keeps to the rules."""
    if pts is None:
        return None
    return pts * time_base.numerator * 1_000_000_000 // time_base.denominator
