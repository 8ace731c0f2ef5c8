"""One track's `segmentations` as COCO run lengths and areas: the only home of mask formats."""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from streamavis.metrics.limits import (
    MAX_PARTS,
    UNREADABLE,
    FrameError,
    check_boxes,
    check_count,
    check_polygons,
    check_size,
    reason,
)
from streamavis.metrics.runs import MaskError, areas

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FrameError", "TruthMasks", "predicted_masks", "truth_masks"]

Size = tuple[int, int]
Masks = list[bytes | None]
Areas = NDArray[np.int64]


@dataclass(slots=True)
class TruthMasks:
    """The masks of one ground-truth track."""

    masks: Masks
    areas: Areas  # -1 where the mask is None
    plain: bool  # the public evaluator reads them, too: lists of polygons or uncompressed runs


class _Runs(msgspec.Struct):
    size: Size
    counts: str | list[int]


class _Compressed(msgspec.Struct):
    size: Size
    counts: str


_COMPRESSED = msgspec.json.Decoder(list[_Compressed | None])
_POLYGONS = msgspec.json.Decoder(list[list[list[float]] | None])
_RUNS = msgspec.json.Decoder(list[_Runs | list[_Runs] | None])
_EITHER = msgspec.json.Decoder(list[msgspec.Raw])


def predicted_masks(raw: msgspec.Raw, size: Size | None) -> tuple[Masks, Areas, Size | None]:
    """Read compressed run lengths.

    Args:
        raw: JSON list of `{size, counts}` or null.
        size: height and width that each must have; None: that of the first.

    Returns:
        The counts, the areas (-1 for null), and the size.

    Raises:
        FrameError: malformed, or of another size.
    """
    entries: list[_Compressed | None] = _decode(_COMPRESSED, raw)
    for frame, entry in enumerate(entries):
        if entry is not None:
            if size is None:
                with _in_frame(frame):
                    check_size(*entry.size)
                size = entry.size
            if entry.size != size:
                raise FrameError(f"frame {frame}: size {entry.size}, expected {size}")
    masks = [None if entry is None else entry.counts.encode() for entry in entries]
    return masks, _areas(masks, size or (0, 0)), size


def truth_masks(raw: bytes, size: Size, length: int) -> TruthMasks:
    """Read ground truth: polygons, boxes or run lengths, in a list or, run lengths, without one.

    Args:
        raw: JSON list of what each frame holds.
        size: height and width of the video.
        length: T, frames of the video.

    Raises:
        FrameError: malformed, of another size, or not `length` frames.
    """
    check_size(*size)
    frames, plain = _truth_frames(raw)
    if len(frames) != length:
        raise FrameError(f"segmentations has {len(frames)} entries for {length} frames")
    polygons: list[list[float]] = []
    parts: dict[int, int] = {}  # frame -> its number of polygons
    packed: list[Any] = [None] * length
    for t, frame in enumerate(frames):
        if frame is None:
            continue
        if not frame:
            raise FrameError(f"frame {t}: an empty list; a frame without a mask must be null")
        with _in_frame(t):
            check_count("parts of one mask", len(frame), MAX_PARTS)
        if isinstance(frame[0], _Runs):
            packed[t] = [_pack(part, size, t) for part in frame]
            plain &= all(isinstance(part.counts, list) for part in frame)
        elif len(frame[0]) == 4:
            with _in_frame(t):
                check_boxes(frame, size)
            packed[t] = coco.frPyObjects(np.array(frame), *size)
            plain = False  # it hands pycocotools a list, which takes boxes from arrays only
        else:
            with _in_frame(t):
                check_polygons(frame, size)
            polygons += frame
            parts[t] = len(frame)
    drawn = iter(coco.frPyObjects(polygons, *size) if polygons else [])
    for t, number in parts.items():
        packed[t] = [next(drawn) for _ in range(number)]
    masks = [
        pieces and (pieces[0] if len(pieces) == 1 else coco.merge(pieces)) for pieces in packed
    ]
    found = np.full(length, -1, np.int64)
    present = [t for t, mask in enumerate(masks) if mask]
    found[present] = coco.area([masks[t] for t in present])
    return TruthMasks([mask and mask["counts"] for mask in masks], found, plain)


def _truth_frames(raw: bytes) -> tuple[list[list[Any] | None], bool]:
    """Each frame's parts, and whether all stand in lists."""
    try:
        return _POLYGONS.decode(raw), True
    except msgspec.ValidationError:
        pass  # not all polygons: look at the frames one by one
    frames: list[list[Any] | None] = []
    listed = True
    for t, frame in enumerate(_decode(_EITHER, raw)):
        text = bytes(frame)
        polygon = text.startswith(b"[") and not text[1:].lstrip().startswith(b"{")
        one = _decode(_POLYGONS if polygon else _RUNS, b"[" + text + b"]", t)[0]
        if isinstance(one, _Runs):
            one, listed = [one], False
        frames.append(one)
    return frames, listed


@contextmanager
def _in_frame(t: int) -> Iterator[None]:
    """Name the frame in what is wrong with a mask."""
    try:
        yield
    except FrameError as error:
        raise FrameError(f"frame {t}: {error}") from error


def _pack(runs: _Runs, size: Size, t: int) -> dict[str, Any]:
    if runs.size != size:
        raise FrameError(f"frame {t}: size {runs.size}, expected {size}")
    if isinstance(runs.counts, str):
        counts = runs.counts.encode()
        _areas([counts], size, t)
        return {"size": list(size), "counts": counts}
    pixels = size[0] * size[1]
    if min(runs.counts, default=0) < 0 or sum(runs.counts) != pixels:
        raise FrameError(f"frame {t}: run lengths fill {sum(runs.counts)} of {pixels} pixels")
    return coco.frPyObjects({"size": list(size), "counts": runs.counts}, *size)


def _areas(masks: Masks, size: Size, first: int = 0) -> Areas:
    present = [t for t, mask in enumerate(masks) if mask is not None]
    found = np.full(len(masks), -1, np.int64)
    try:
        found[present] = areas([mask for mask in masks if mask is not None], size[0] * size[1])
    except MaskError as error:
        raise FrameError(f"frame {first + present[error.index]}: {error.what}") from error
    return found


def _decode(decoder: msgspec.json.Decoder[Any], raw: msgspec.Raw | bytes, frame: int = 0) -> Any:
    """Decode a list of frames, the first of which is number `frame`."""
    try:
        return decoder.decode(raw)
    except UNREADABLE as error:
        place = re.search(r"`\$\[(\d+)\]", str(error))
        where = "" if place is None else f"frame {frame + int(place[1])}: "
        raise FrameError(f"{where}{reason(error)}") from error
