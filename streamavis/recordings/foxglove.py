"""Results in Foxglove's messages: boxes, outlines and names over a picture, pictures and sound."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from streamavis.palette import INK, Colour, colour_of
from streamavis.recordings.outline import label_png, outlines
from streamavis.words import name_of, percent, sounding_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from streamavis.types import FrameResult, Notice, Track

__all__ = ["compressed_image", "drawn", "log", "masks_image", "raw_audio"]

_Json: TypeAlias = dict[str, Any]

_LINE_LOOP: Final = 2  # foxglove.PointsAnnotationType
_WARNING: Final = 3  # foxglove.LogLevel
_FILL: Final = 0.35  # opacity of a mask over the picture
_SOUNDING_PX, _SILENT_PX = 4.0, 1.5  # thickness of a box
_CLEAR: Final = {"r": 0.0, "g": 0.0, "b": 0.0, "a": 0.0}


def drawn(result: FrameResult, time_ns: int) -> _Json:
    """`foxglove.ImageAnnotations`: a box, a name and the mask's outline for each track."""
    stamp = _time(time_ns)
    font_px = max(10.0, result.size[0] / 24)
    return {
        "circles": [],
        "points": [shape for track in result.tracks for shape in _shapes(track, stamp)],
        "texts": [_name(track, stamp, font_px) for track in result.tracks],
    }


def masks_image(result: FrameResult, time_ns: int) -> _Json:
    """`foxglove.CompressedImage`: every mask in the colour of its track, on black."""
    colours = [colour_of(track.id) for track in result.tracks]
    data = label_png([track.mask for track in result.tracks], colours, result.size)
    return compressed_image(data, "png", result.stream, time_ns)


def compressed_image(data: bytes, kind: str, frame_id: str, time_ns: int) -> _Json:
    """`foxglove.CompressedImage` of a picture in a file format: jpeg, png, webp."""
    return {
        "timestamp": _time(time_ns),
        "frame_id": frame_id,
        "data": base64.b64encode(data).decode(),
        "format": kind,
    }


def raw_audio(samples: NDArray[np.float32], sample_rate: int, time_ns: int) -> _Json:
    """`foxglove.RawAudio` of mono samples (N,) in [-1, 1]."""
    pcm = np.rint(np.clip(samples, -1, 1) * 32_767).astype("<i2")
    return {
        "timestamp": _time(time_ns),
        "data": base64.b64encode(pcm.tobytes()).decode(),
        "format": "pcm-s16",
        "sample_rate": sample_rate,
        "number_of_channels": 1,
    }


def log(notice: Notice, stream: str, time_ns: int) -> _Json:
    """`foxglove.Log` of a notice."""
    return {
        "timestamp": _time(time_ns),
        "level": _WARNING,
        "message": notice.text,
        "name": f"{stream}/{notice.kind}",
        "file": "",
        "line": 0,
    }


def _shapes(track: Track, stamp: _Json) -> list[_Json]:
    colour = colour_of(track.id)
    x, y, w, h = track.box
    corners = ((x, y), (x + w, y), (x + w, y + h), (x, y + h))
    thickness = _SOUNDING_PX if track.is_sounding else _SILENT_PX
    told = _facts(track)
    box = _polygon(corners, stamp, colour, thickness=thickness, fill=0.0, facts=told)
    masks = [
        _polygon(loop, stamp, colour, thickness=1.0, fill=_FILL if _is_piece(loop) else 0.0)
        for loop in outlines(track.mask)
    ]
    return [box, *masks]


def _polygon(
    corners: Iterable[tuple[int, int]],
    stamp: _Json,
    colour: Colour,
    *,
    thickness: float,
    fill: float,
    facts: Sequence[_Json] = (),
) -> _Json:
    return {
        "timestamp": stamp,
        "type": _LINE_LOOP,
        "points": [{"x": x, "y": y} for x, y in corners],
        "outline_color": _rgba(colour, 1.0),
        "outline_colors": [],
        "fill_color": _rgba(colour, fill) if fill else _CLEAR,
        "thickness": thickness,
        "metadata": list(facts),
    }


def _name(track: Track, stamp: _Json, font_px: float) -> _Json:
    x, y, _, _ = track.box
    return {
        "timestamp": stamp,
        "position": {"x": x, "y": max(y, font_px)},
        "text": f"{name_of(track.label, track.id)}: {sounding_words(track)}",
        "font_size": font_px,
        "text_color": _rgba(INK, 1.0),
        "background_color": _rgba(colour_of(track.id), 1.0),
        "metadata": _facts(track),
    }


def _facts(track: Track) -> list[_Json]:
    facts = {
        "id": str(track.id),
        "label": track.label,
        "score": percent(track.score),
        "sounding": percent(track.sounding),
        "visible": percent(track.visible),
    }
    return [{"key": key, "value": value} for key, value in facts.items()]


def _is_piece(loop: Sequence[tuple[int, int]]) -> bool:
    """Whether it goes clockwise, y down: around a piece, not around a hole."""
    around = zip(loop, [*loop[1:], loop[0]], strict=True)
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in around) > 0


def _time(time_ns: int) -> _Json:
    sec, nsec = divmod(time_ns, 1_000_000_000)
    return {"sec": sec, "nsec": nsec}


def _rgba(colour: Colour, opacity: float) -> _Json:
    red, green, blue = colour
    return {"r": red / 255, "g": green / 255, "b": blue / 255, "a": opacity}
