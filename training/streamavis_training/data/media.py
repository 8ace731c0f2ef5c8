"""Pictures and sound of data sets, decoded on every call."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np

from streamavis.errors import InputError
from streamavis.io.resample import MonoResampler
from streamavis.types import SAMPLE_RATE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["duration_s", "picture", "sound"]

_NS = 1_000_000_000
_REDUCED = {
    8: cv2.IMREAD_REDUCED_COLOR_8,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    1: cv2.IMREAD_COLOR,
}
_JPEG = (".jpg", ".jpeg")


def picture(path: Path, size: tuple[int, int], *, shrink: float = 1.0) -> NDArray[np.uint8]:
    """Decode a picture to RGB (H, W, 3).

    Args:
        path: of a JPEG or PNG file.
        size: height and width that it must have.
        shrink: how much smaller it is needed at most; a JPEG is then decoded at a half, a quarter
            or an eighth of its size, which is several times faster.

    Raises:
        InputError: it does not decode or has another size.
    """
    shrink = shrink if path.suffix.lower() in _JPEG else 1.0
    factor = next(factor for factor in _REDUCED if factor <= max(shrink, 1))
    flag = _REDUCED[factor] | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        packed = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    # The annotations are of the picture as it is stored, whatever its EXIF says of its turn.
    found = cv2.imdecode(packed, flag) if packed.size else None
    if found is None:
        raise InputError(f"{path}: does not decode; restore the file or remove its entry")
    wanted = tuple(-(-side // factor) for side in size)
    if found.shape[:2] != wanted:
        height, width = (side * factor for side in found.shape[:2])
        raise InputError(
            f"{path}: is {'about ' * (factor > 1)}{width}x{height} pixels, but its annotations"
            f" are for {size[1]}x{size[0]}; correct the file or the entry's width and height"
        )
    return np.asarray(cv2.cvtColor(found, cv2.COLOR_BGR2RGB), np.uint8)


def sound(
    path: Path, start_s: int = 0, stop_s: float | None = None
) -> tuple[NDArray[np.float32], int]:
    """Decode sound to 16 kHz mono in [-1, 1].

    Args:
        path: of a WAV file (or another that FFmpeg reads).
        start_s: whole seconds, so that the same samples come out wherever reading starts; what is
            before 0 is left out.
        stop_s: None: to the end.

    Returns:
        The samples, and the time of the first one in ns.

    Raises:
        InputError: it holds no sound or breaks off.
    """
    start_s = max(start_s, 0)
    pieces: list[tuple[int, NDArray[np.float32]]] = []
    try:
        with av.open(str(path), metadata_errors="replace") as file:
            stream = next(iter(file.streams.audio), None)
            if stream is None or stream.time_base is None:
                raise InputError(f"{path}: holds no sound")
            if start_s:
                file.seek(round(start_s / stream.time_base), stream=stream)
            resampler = MonoResampler()
            for frame in file.decode(stream):
                at_s = None if frame.pts is None else frame.pts * Fraction(stream.time_base)
                chunks = resampler.feed(frame, at_s)
                pieces += [(chunk.start_time_ns, chunk.samples) for chunk in chunks]
                if stop_s is not None and resampler.end_ns >= stop_s * _NS:
                    break
            pieces += [(chunk.start_time_ns, chunk.samples) for chunk in resampler.flush()]
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(f"{path}: does not decode as sound ({error})") from error
    return _joined(pieces, start_s)


def duration_s(path: Path) -> float:
    """Length of a sound, decoded to its end.

    Raises:
        InputError: as `sound`.
    """
    samples, start_ns = sound(path)
    return len(samples) / SAMPLE_RATE + start_ns / _NS


def _joined(
    pieces: list[tuple[int, NDArray[np.float32]]], start_s: int
) -> tuple[NDArray[np.float32], int]:
    """Pieces on one grid that begins at `start_s`; gaps are silent."""
    places = [round((at - start_s * _NS) * SAMPLE_RATE / _NS) for at, _ in pieces]
    ends = [at + len(piece) for at, (_, piece) in zip(places, pieces, strict=True)]
    joined = np.zeros(max([*ends, 0]), np.float32)
    for at, (_, piece) in zip(places, pieces, strict=True):
        skipped = max(-at, 0)
        joined[at + skipped : at + len(piece)] = piece[skipped:]
    return np.clip(joined, -1, 1, out=joined), start_s * _NS
