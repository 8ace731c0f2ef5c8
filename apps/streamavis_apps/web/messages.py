"""Messages to the page: JSON texts of several kinds, and pictures with their results.

A picture travels as one binary message, so that masks are always drawn on their own frame: four
bytes with the length of a JSON text (big-endian), that text, the JPEG. The JSON's `result` is the
wire's `frame` message as `docs/WIRE.md` describes it. Sound that a viewer requested is sent
likewise: its JSON's `sound` has the time of the first of the samples that follow, mono, 16 kHz.
"""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from streamavis.viz import colour_of
from streamavis_apps.web.pictures import to_jpeg
from streamavis_apps.web.settings import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamavis.types import AudioChunk, FrameResult, Heard, SourceEvent, VideoFrame
    from streamavis_apps.web.hearing import Glimpse
    from streamavis_apps.web.settings import Settings

__all__ = ["event", "heard", "picture", "sound", "text"]

_LENGTH = struct.Struct("!I")
_TOP = 5  # classes of sound that are named
_LONGEST = 960  # pixels of a side: what a viewer loses first


def text(kind: str, content: Any = None, **more: Any) -> str:
    """A JSON text of one kind; the fields of `content` and `more` beside it."""
    fields = msgspec.to_builtins(content) if content is not None else {}
    return msgspec.json.encode({"kind": kind, **fields, **more}).decode()


def picture(
    frame: VideoFrame, result: FrameResult, settings: Settings, taken: float = 0.0
) -> bytes:
    """A frame and what is in it, less what is hidden; `taken` is when, seconds since 1970."""
    result = shown(result, settings)
    colours = {str(track.id): colour_of(track.id) for track in result.tracks}
    header = msgspec.json.encode({"result": result, "colours": colours, "taken": taken})
    return _LENGTH.pack(len(header)) + header + to_jpeg(frame.image, _LONGEST)


def sound(chunk: AudioChunk) -> bytes:
    """Sound to be played: a JSON text as before a picture, then 16-bit samples, little-endian."""
    header = msgspec.json.encode({"sound": {"time_s": chunk.start_time_ns / 1e9}})
    samples = (np.nan_to_num(chunk.samples).clip(-1, 1) * 32767).astype("<i2")
    padding = b" " * (-(len(header) + _LENGTH.size) % 2)  # so that samples lie on even bytes
    return _LENGTH.pack(len(header) + len(padding)) + header + padding + samples.tobytes()


def heard(glimpse: Glimpse, latest: Heard | None, classes: Sequence[str]) -> str:
    """Level, spectrum, and the detected audio classes; `top` is nil while they are unknown."""
    return text(
        "heard",
        level_dbfs=glimpse.level_dbfs,
        peak_dbfs=glimpse.peak_dbfs,
        bands=glimpse.spectra.shape[1],
        spectra=base64.b64encode(glimpse.spectra.tobytes()).decode(),
        top=None if latest is None else latest.top(classes, _TOP),
    )


def event(change: SourceEvent, wall_time: float) -> str:
    """A source changed its state."""
    return text("event", change, wall_time=wall_time)
