"""Media files as a seed makes them: of every kind, and damaged in every way."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
ANY = range(1, 33)  # channels
FEW = range(1, 9)
TWO = range(1, 3)
SOUNDS = {  # codec -> rates, channels
    "pcm_s16le": ((8000, 11_025, 22_050, 44_100, 47_999, 96_000, 192_000), ANY),
    "pcm_f32le": ((8000, 44_100, 48_000), ANY),
    "pcm_u8": ((8000, 11_025), ANY),
    "wavpack": ((44_100, 48_000), ANY),
    "flac": ((8000, 44_100, 96_000), FEW),
    "aac": ((8000, 22_050, 44_100, 48_000), (1, 2, 3, 4, 5, 6, 8)),
    "libopus": ((48_000, 16_000), FEW),
    "vorbis": ((22_050, 44_100, 48_000), (2,)),
    "ac3": ((32_000, 44_100, 48_000), (1, 2, 6)),
    "mp2": ((32_000, 44_100, 48_000), TWO),
    "libmp3lame": ((16_000, 44_100), TWO),
}
PCM = ("pcm_s16le", "pcm_f32le", "pcm_u8")
PICTURES = {  # codec -> pixel formats
    "libx264": ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "gray"),
    "mpeg4": ("yuv420p",),
    "mpeg2video": ("yuv420p", "yuv422p"),
    "mjpeg": ("yuvj420p", "yuvj444p"),
    "ffv1": ("yuv420p", "gray", "yuva420p", "bgra", "yuv444p16le", "gray16le", "rgb48le"),
    "png": ("rgb24", "rgba", "gray", "pal8", "monob", "rgb48be"),
    "rawvideo": ("yuv420p", "rgb24", "yuyv422", "gray", "nv12"),
    "libvpx": ("yuv420p",),
}
CONTAINERS = {  # name -> pictures, sounds
    "matroska": (tuple(PICTURES), tuple(SOUNDS)),
    "mp4": (("libx264", "mpeg4", "mjpeg", "png"), ("aac", "flac", "libopus", "ac3", "mp2")),
    "mov": (("libx264", "mpeg4", "mjpeg", "png", "rawvideo"), ("aac", *PCM)),
    "avi": (("libx264", "mpeg4", "mjpeg", "ffv1", "rawvideo"), (*PCM, "libmp3lame", "ac3")),
    "mpegts": (("libx264", "mpeg2video", "mpeg4"), ("aac", "mp2", "ac3", "libopus")),
    "webm": (("libvpx",), ("libopus", "vorbis")),
    "ogg": (("libvpx",), ("vorbis", "flac", "libopus")),
    "flv": (("libx264",), ("aac", "libmp3lame")),
    "mpeg": (("mpeg2video",), ("mp2", "ac3")),
    "asf": (("mpeg4", "mjpeg"), ("libmp3lame", "ac3")),
    "h264": (("libx264",), ()),
    "mjpeg": (("mjpeg",), ()),
    # No NUT: FFmpeg's writer of it aborts on some of these items.
}
# Each packet says what it is: size, pixel format, rate and layout may change on the way.
CHANGING = ("libx264", "mjpeg", "png", "libvpx", "mpeg2video", "libmp3lame", "ac3", "mp2")
SIZES = ((64, 48), (33, 21), (16, 16), (160, 90), (2, 200), (1, 1), (320, 2))
EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"


@dataclass(frozen=True)
class Item:
    """A media file in memory."""

    kind: str  # for people: what was made and done to it
    data: bytes


def item(seed: int) -> Item:
    """The item of that number, always the same on one machine."""
    rng = random.Random(seed)
    container = rng.choice(list(CONTAINERS))
    count = rng.choice((1, 1, 1, 2, 3))
    made = [_take(rng, container) for _ in range(count)]
    kind = f"{container}: " + " + ".join(name for name, _ in made)
    data = b"".join(data for _, data in made)
    for _ in range(rng.choice((0, 1, 1, 2))):
        how, data = _damaged(rng, data)
        kind += f", {how}"
    return Item(kind, data)


def _take(rng: random.Random, container: str) -> tuple[str, bytes]:
    """A container of a few pictures and some sound."""
    pictures, sounds = CONTAINERS[container]
    for _ in range(10):
        out = io.BytesIO()
        try:
            return _write(rng, out, container, rng.choice(pictures), rng.choice((None, *sounds)))
        except (av.error.FFmpegError, ValueError, AssertionError):
            continue  # a combination that cannot be written
    return "empty", b""


def _write(
    rng: random.Random, out: io.BytesIO, container: str, codec: str, sound: str | None
) -> tuple[str, bytes]:
    options = {"fflags": "bitexact"}  # the same bytes each time
    if container == "mpegts":
        options["output_ts_offset"] = str(rng.choice((0, 0, 3, 10, 5000, 95_000)))
    if container in ("mp4", "mov") and rng.random() < 0.3:
        options["movflags"] = "empty_moov+default_base_moof+frag_keyframe"
    pixels = rng.choice(PICTURES[codec])
    width, height = rng.choice(SIZES)
    stamps = _stamps(rng)
    with av.open(out, "w", format=container, container_options=options) as file:
        mpeg2 = codec == "mpeg2video"  # at 25 pictures a second, steadily
        video = file.add_stream(codec, rate=25 if mpeg2 else rng.choice((1, 10, 25, 60)))
        video.width, video.height, video.pix_fmt = width, height, pixels
        video.codec_context.thread_count = 1
        video.codec_context.time_base = Fraction(1, 25 if mpeg2 else 1000)
        if mpeg2:
            stamps = [40 * n for n in range(len(stamps))]
        if codec == "libx264":
            video.options = {"preset": "ultrafast", "bf": str(rng.choice((0, 2))), "g": "5"}
        if rng.random() < 0.2:
            aspects = ((2, 1), (64, 45), (1, 3), (1, 1000))
            video.codec_context.sample_aspect_ratio = Fraction(*rng.choice(aspects))
        if rng.random() < 0.15 and container in ("mp4", "mov", "matroska"):
            video.set_display_rotation(rng.choice((90, 180, 270, 45)), hflip=rng.random() < 0.5)
        audio = None if sound is None else _sound_stream(rng, file, sound)
        packets = list(_picture_packets(rng, video, stamps))
        name = f"{codec} {pixels} {width}x{height}"
        if codec in CHANGING and rng.random() < 0.2:
            other = _other_encoder(rng, codec)
            later = [ms + 10_000 for ms in stamps]
            packets += _of_stream(video, _picture_packets(rng, other, later))
            name += f" then {other.pix_fmt} {other.width}x{other.height}"
        if audio is not None:
            packets += _sound_packets(rng, audio.codec_context, audio.encode)
            context = audio.codec_context
            name += f" / {sound} {context.sample_rate} Hz x{context.layout.nb_channels}"
            if sound in CHANGING and rng.random() < 0.2:
                other = _sound_encoder(rng, sound)
                packets += _of_stream(audio, _sound_packets(rng, other, other.encode))
                name += f" then {other.sample_rate} Hz x{other.layout.nb_channels}"
        for packet in packets:
            file.mux(packet)
    return name, out.getvalue()


def _stamps(rng: random.Random) -> list[int]:
    """Milliseconds of pictures that lie close together, mostly."""
    step, count = rng.choice((40, 100, 16, 1000)), rng.choice((1, 2, 5, 9))
    stamps = [n * step for n in range(count)]
    if rng.random() < 0.15:
        place = rng.randrange(count)
        leap = rng.choice((3000, 7000, 100_000, 2**31, 90_000_000))
        stamps = [ms + leap * (n >= place) for n, ms in enumerate(stamps)]
    return stamps


def _other_encoder(rng, codec):
    """One that makes pictures of the same kind in any size and pixel format."""
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height = rng.choice(SIZES)
    encoder.pix_fmt, encoder.thread_count = rng.choice(PICTURES[codec]), 1
    encoder.framerate = Fraction(25)
    encoder.time_base = Fraction(1, 25 if codec == "mpeg2video" else 1000)
    return encoder


def _picture_packets(rng, encoder, stamps):
    context = getattr(encoder, "codec_context", encoder)
    size, pixels = (context.height, context.width), context.pix_fmt
    for n, ms in enumerate(stamps):
        image = np.full((*size, 3), 20 * n % 256, np.uint8)
        image[:: rng.choice((2, 3))] = rng.randrange(256)
        frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format=pixels, threads=1)
        frame.pts, frame.time_base = ms, Fraction(1, 1000)
        yield from encoder.encode(frame)
    yield from encoder.encode(None)


def _of_stream(stream, packets):
    """Packets of another encoder as the stream's own."""
    for packet in packets:
        packet.stream = stream
        yield packet


def _sound_stream(rng, file, codec):
    rate, layout = _any_sound(rng, codec)
    stream = file.add_stream(codec, rate=rate)
    stream.codec_context.layout = layout
    stream.options = {"strict": "experimental"}  # FFmpeg's own Vorbis
    return stream


def _sound_encoder(rng, codec):
    encoder = av.CodecContext.create(codec, "w")
    encoder.sample_rate, encoder.layout = _any_sound(rng, codec)
    encoder.format = encoder.codec.audio_formats[0]
    encoder.time_base = Fraction(1, encoder.sample_rate)
    encoder.open()
    return encoder


def _any_sound(rng, codec) -> tuple[int, str]:
    """A rate, Hz, and a layout."""
    rates, channels = SOUNDS[codec]
    count = rng.choice(channels)
    layout = LAYOUTS.get(count) if rng.random() < 0.8 or codec not in PCM else None
    return rng.choice(rates), layout or f"{count} channels"


def _sound_packets(rng, context, encode):
    count, rate = context.layout.nb_channels, context.sample_rate
    # AVI cuts PCM into packets of 1 kB: many channels at a high rate are thousands of them.
    samples = min(rng.choice((100, rate // 4, rate // 2)), 30_000 // count)
    noise = np.random.default_rng(rng.randrange(2**32))
    data = noise.integers(-9000, 9000, (1, samples * count)).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(data, "s16", context.layout.name)
    frame.sample_rate, frame.pts = rate, rng.choice((0, 0, 0, rate, -rate // 10))
    frame.time_base = Fraction(1, rate)
    size = context.frame_size or 960
    resampler = av.AudioResampler(context.format, context.layout, rate, size)
    for part in [*resampler.resample(frame), *resampler.resample(None)]:
        yield from encode(part)
    yield from encode(None)


def _damaged(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    if len(data) < 64:
        return "as it is", data
    how = rng.choice(("flips", "flips", "head", "cut", "hole", "twice", "zeros", "exif", "words"))
    changed = bytearray(data)
    place = rng.randrange(len(data))
    length = min(rng.choice((1, 8, 188, 1000, 10_000)), len(data) - place)
    if how in ("flips", "head"):
        end = len(data) if how == "flips" else min(len(data), 600)
        for _ in range(rng.choice((1, 3, 20, 200))):
            changed[rng.randrange(end)] ^= 1 << rng.randrange(8)
    elif how == "words":
        for _ in range(rng.choice((1, 4))):
            at = rng.randrange(len(data) - 4)
            changed[at : at + 4] = rng.choice((b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff"))
    elif how == "cut":
        del changed[place:]
    elif how == "hole":
        del changed[place : place + length]
    elif how == "twice":
        changed[place:place] = data[place : place + length]
    elif how == "zeros":
        changed[place : place + length] = bytes(length)
    else:  # into every JPEG picture
        segment = b"\xff\xe1" + (len(EXIF) + 2).to_bytes(2, "big") + EXIF
        changed = bytearray(data.replace(b"\xff\xd8\xff", b"\xff\xd8" + segment + b"\xff"))
    return how, bytes(changed)
