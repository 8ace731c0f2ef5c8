"""Small media files made on the spot, with known pictures, times and sounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (64, 48)  # width, height
GREY_STEP = 8  # frame n is grey of level n * GREY_STEP, modulo 256
HERTZ = 440


@dataclass(frozen=True)
class Sound:
    """A sine of amplitude 0.5 on every channel."""

    codec: str = "aac"
    rate: int = 48_000
    layout: str = "mono"
    pieces_s: tuple[tuple[float, float], ...] = ((0.0, 1.0),)  # (from, to), gaps between them
    first: bool = False  # all of it before the pictures in the file


@dataclass(frozen=True)
class Pictures:
    """Grey frames that tell their number."""

    codec: str = "libx264"
    pixels: str = "yuv420p"
    size: tuple[int, int] = SIZE
    time_base: Fraction = Fraction(1, 30)
    ticks: tuple[int, ...] = tuple(range(30))
    options: dict[str, str] = field(default_factory=lambda: {"bf": "2", "g": "10"})
    rotation: tuple[int, bool, bool] | None = None  # degrees counter-clockwise, hflip, vflip
    image: np.ndarray | None = None  # instead of grey


def grey(n: int) -> int:
    return n * GREY_STEP % 256


def sine(start: int, count: int, rate: int) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * HERTZ * (start + np.arange(count)) / rate)).astype(np.float32)


def write_clip(
    path: Path,
    pictures: Pictures | None = Pictures(),
    sound: Sound | None = None,
    **container_options: str,
) -> Path:
    """Write a file of the kind its name says."""
    with av.open(path, "w", container_options=container_options) as container:
        video = _video_stream(container, pictures) if pictures else None
        audio = _audio_stream(container, sound) if sound else None
        if audio and sound.first:
            container.mux(list(_sound_packets(audio, sound)))
        if video:
            container.mux(list(_picture_packets(video, pictures)))
        if audio and not sound.first:
            container.mux(list(_sound_packets(audio, sound)))
    return path


def _video_stream(container, pictures):
    rate = round(1 / pictures.time_base) if pictures.time_base.numerator == 1 else None
    stream = container.add_stream(pictures.codec, rate=min(rate or 30, 60))
    stream.width, stream.height = pictures.size
    stream.pix_fmt = pictures.pixels
    stream.codec_context.time_base = pictures.time_base
    stream.codec_context.thread_count = 1
    if pictures.codec == "libx264":
        stream.options = dict(pictures.options)
    if pictures.rotation:
        degrees, hflip, vflip = pictures.rotation
        stream.set_display_rotation(degrees, hflip=hflip, vflip=vflip)
    return stream


def _picture_packets(stream, pictures):
    width, height = pictures.size
    for n, ticks in enumerate(pictures.ticks):
        image = pictures.image
        if image is None:
            image = np.full((height, width, 3), grey(n), np.uint8)
        # One thread: with several, swscale leaves 8 pixels of an odd picture grey, once in 170.
        frame = av.VideoFrame.from_ndarray(image, "rgb24")
        frame = frame.reformat(format=pictures.pixels, threads=1)
        frame.pts, frame.time_base = ticks, pictures.time_base
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _audio_stream(container, sound):
    stream = container.add_stream(sound.codec, rate=sound.rate)
    stream.codec_context.layout = sound.layout
    return stream


def _sound_packets(stream, sound):
    context = stream.codec_context
    for begin_s, end_s in sound.pieces_s:
        begin, end = round(begin_s * sound.rate), round(end_s * sound.rate)
        for start in range(begin, end, 1024):
            one = sine(start, min(1024, end - start), sound.rate)
            channels = np.repeat(one[None], len(context.layout.channels), axis=0)
            frame = av.AudioFrame.from_ndarray(channels, "fltp", sound.layout)
            frame.sample_rate, frame.pts = sound.rate, start
            frame.time_base = Fraction(1, sound.rate)
            yield from stream.encode(frame)
    yield from stream.encode(None)
