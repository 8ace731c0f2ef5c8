"""Files of data sets that our commands write: pictures, sounds, movies, and `annotations.json`."""

from __future__ import annotations

import json
import shutil
import wave
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import av
import cv2
import numpy as np

from streamavis.errors import OutputError
from streamavis.masks import encode
from streamavis.types import SAMPLE_RATE
from streamavis_training.data.layout import ANNOTATIONS, AUDIO, FRAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = [
    "AUDIO",
    "FRAMES",
    "MOVIES",
    "Movie",
    "Record",
    "prepare",
    "publish",
    "run_lengths",
    "write_jpeg",
    "write_movie",
    "write_wav",
]

Record: TypeAlias = tuple[dict[str, Any], list[dict[str, Any]]]  # a video and its annotations

MOVIES = "Videos"
_PARTIAL = f"{ANNOTATIONS}.partial"  # marks a folder as ours until the last clip is written
_JPEG_QUALITY = 95
_CRF = 18  # H.264, visually lossless


class Movie(Protocol):
    """A clip with sound."""

    @property
    def frames(self) -> NDArray[np.uint8]:
        """(T, H, W, 3) RGB."""
        ...

    @property
    def fps(self) -> float:
        """Frames per second."""
        ...

    @property
    def waveform(self) -> NDArray[np.float32]:
        """(n,) from the first frame on."""
        ...


def prepare(out: Path, info: dict[str, Any], folders: Iterable[str]) -> None:
    """Make room for a new output, and mark it as ours before the first file is written.

    Args:
        out: folder, created if missing. An earlier output of the same generator is replaced.
        info: what is written; `generator` names the command.
        folders: made empty inside it.

    Raises:
        OutputError: `out` is a file, or holds something else.
    """
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file; name a folder to write the clips to")
    if out.exists() and any(out.iterdir()) and not _is_ours(out, info["generator"]):
        raise OutputError(
            f"{out} is not empty and not an earlier output of"
            f" {info['generator']}; name another folder"
        )
    out.mkdir(parents=True, exist_ok=True)
    (out / _PARTIAL).write_text(json.dumps({"info": info}))
    (out / ANNOTATIONS).unlink(missing_ok=True)
    for name in folders:
        shutil.rmtree(out / name, ignore_errors=True)
        (out / name).mkdir()


def _is_ours(out: Path, generator: str) -> bool:
    for name in (ANNOTATIONS, _PARTIAL):
        try:
            content = json.loads((out / name).read_text())
        except (OSError, ValueError):
            continue
        if isinstance(content, dict) and content.get("info", {}).get("generator") == generator:
            return True
    return False


def publish(
    out: Path, info: dict[str, Any], records: Sequence[Record], classes: Sequence[str]
) -> None:
    """Write `annotations.json`, last of all: without it the output is not complete.

    Args:
        out: the data set's folder.
        info: how it was made.
        records: a record per clip; annotations are numbered from 1.
        classes: category names; their ids start at 1.
    """
    annotations = [annotation for _, found in records for annotation in found]
    content = {
        "info": info,
        "videos": [video for video, _ in records],
        "annotations": [{"id": i, **a} for i, a in enumerate(annotations, 1)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(classes, 1)],
    }
    (out / _PARTIAL).write_text(json.dumps(content))
    (out / _PARTIAL).replace(out / ANNOTATIONS)


def run_lengths(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """COCO run lengths of an (H, W) mask."""
    rle = encode(mask)
    return {"size": list(rle.size), "counts": rle.counts}


def write_jpeg(path: Path, frame: NDArray[np.uint8]) -> None:
    """Write an (H, W, 3) RGB picture."""
    picture = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    _, packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    path.write_bytes(packed.tobytes())


def write_wav(path: Path, waveform: NDArray[np.float32]) -> None:
    """Write (n,) samples in -1..1 as 16-bit mono."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.round(waveform * 32767).astype("<i2").tobytes())


def write_movie(path: Path, made: Movie) -> None:
    """Write a clip as an mp4 that any player and `streamavis replay` take."""
    rate = Fraction(made.fps).limit_denominator(1001)
    height, width = made.frames.shape[1:3]
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate, options={"crf": str(_CRF), "preset": "fast"})
        video.width, video.height = width, height
        video.pix_fmt = "yuv420p" if width % 2 == height % 2 == 0 else "yuv444p"
        audio = file.add_stream("aac", SAMPLE_RATE, layout="mono")
        heard = 0
        for n, frame in enumerate(made.frames):
            until = round((n + 1) * SAMPLE_RATE / made.fps)
            sound = av.AudioFrame.from_ndarray(made.waveform[None, heard:until], "fltp", "mono")
            sound.sample_rate, sound.pts, heard = SAMPLE_RATE, heard, until
            file.mux(audio.encode(sound))
            # One thread: with several, swscale at times spoils pixels of odd sizes.
            picture = av.VideoFrame.from_ndarray(frame, "rgb24")
            picture = picture.reformat(format=video.pix_fmt, threads=1)
            picture.pts, picture.time_base = n, 1 / rate
            file.mux(video.encode(picture))
        for stream in (audio, video):
            file.mux(stream.encode(None))
