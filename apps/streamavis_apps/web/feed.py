"""What a browser sends of its camera and microphone: messages, checked before they are used.

Binary, little-endian. All times are the browser's `performance.now()` in milliseconds.

    picture  u8 1, u8 flags (1: the time is the camera's own), f64 capture time, f64 sent, JPEG
    sound    u8 2, u8 0, f64 first sample, f64 arrived, f64 sent, u32 rate, f32 latency in s, PCM16
             `first sample` counts samples since the sound began; a jump is sound that was lost
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
import numpy as np

from streamavis.errors import SchemaError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MAX_MESSAGE", "Begin", "Block", "Left", "Picture", "Trouble", "parse", "parse_text"]

MAX_MESSAGE: Final = 2 << 20  # bytes: a JPEG of 1080p at high quality has 1 MB
_PICTURE = struct.Struct("<BBdd")
_SOUND = struct.Struct("<BBdddIf")
_RATES = range(8_000, 192_001)  # Hz
_LONGEST_BLOCK_S = 1.0
_LONGEST_MS = 1e12  # thirty years
_LATENCY_S = 1.0


class Begin(msgspec.Struct, tag_field="kind", tag="begin", frozen=True):
    """A browser is about to send; what its devices are called."""

    camera: str | None
    microphone: str | None


class Trouble(msgspec.Struct, tag_field="kind", tag="trouble", frozen=True):
    """One of the browser's devices stopped."""

    device: str  # "camera" or "microphone"
    reason: str


@dataclass(frozen=True, slots=True)
class Left:
    """The browser has left; made by the server, not sent."""

    reason: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A JPEG and when it was taken."""

    time_ms: float
    sent_ms: float
    exact: bool  # the camera's own time, not that of its arrival in the page
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive samples."""

    first: int  # samples since the sound began
    arrived_ms: float  # when the page had it
    sent_ms: float
    rate: int  # Hz
    latency_s: float  # from the microphone to the page, as the browser reports it; 0: unknown
    samples: NDArray[np.int16]


Text: TypeAlias = Begin | Trouble
_TEXTS = msgspec.json.Decoder(Begin | Trouble)


def parse_text(data: str) -> Text:
    """Read a JSON text.

    Raises:
        SchemaError: it is none of those above.
    """
    try:
        return _TEXTS.decode(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise SchemaError(f"a text from the browser is refused: {error}") from error


def parse(data: bytes) -> Picture | Block:
    """Read a binary message.

    Raises:
        SchemaError: its kind is unknown, it is cut short, or a value is out of its range.
    """
    if len(data) > MAX_MESSAGE:
        raise SchemaError(f"a message of {len(data)} bytes is refused: at most {MAX_MESSAGE}")
    try:
        if data[:1] == b"\1":
            _, flags, time_ms, sent_ms = _PICTURE.unpack_from(data)
            return Picture(_time(time_ms), _time(sent_ms), bool(flags & 1), data[_PICTURE.size :])
        if data[:1] == b"\2":
            return _block(data)
    except struct.error as error:
        raise SchemaError(f"a message of {len(data)} bytes is cut short: {error}") from error
    raise SchemaError(f"a message that begins with {data[:1]!r} is none of picture and sound")


def _block(data: bytes) -> Block:
    _, _, first, arrived_ms, sent_ms, rate, latency_s = _SOUND.unpack_from(data)
    count, odd = divmod(len(data) - _SOUND.size, 2)
    if rate not in _RATES or odd or count > rate * _LONGEST_BLOCK_S:
        raise SchemaError(f"{count} samples at {rate} Hz are refused")
    if not (0 <= first < 2**53 and first == int(first) and 0 <= latency_s <= _LATENCY_S):
        raise SchemaError(f"first sample {first} with a latency of {latency_s} s is refused")
    samples = np.frombuffer(data, "<i2", offset=_SOUND.size)
    return Block(int(first), _time(arrived_ms), _time(sent_ms), rate, latency_s, samples)


def _time(ms: float) -> float:
    if not (math.isfinite(ms) and 0 <= ms < _LONGEST_MS):
        raise SchemaError(f"a time of {ms} ms is refused")
    return ms
