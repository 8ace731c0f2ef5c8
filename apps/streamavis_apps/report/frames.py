"""The worst frames as pictures: ground truth beside what was predicted."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamavis.errors import InputError
from streamavis.masks import decode
from streamavis.types import FrameResult, Rle, Track
from streamavis.viz import draw
from streamavis_apps.report.pieces import short_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from streamavis.metrics import Evaluation, GroundTruth, Predictions
    from streamavis.metrics.data import MaskTrack, TruthVideo

__all__ = ["Shot", "worst_frames"]

_SHOTS = 12
_OF_A_VIDEO = 2
_APART = 5  # frames between two of a video
_WIDTH = 560  # pixels on the page
_QUALITY = 82


@dataclass(frozen=True)
class Shot:
    """One frame on the page."""

    caption: str
    pictures: list[tuple[str, str]]  # label, data URI


def worst_frames(
    truth: GroundTruth,
    read: Sequence[Predictions],
    found: Sequence[Evaluation],
    media: Path,
) -> list[Shot]:
    """Draw the frames with the lowest FSLA, over all files; of equal ones those with most masks.

    Args:
        truth: the ground truth.
        read: files of predictions.
        found: their evaluations.
        media: holds the pictures `file_names` names, or a folder JPEGImages that does.

    Raises:
        InputError: a picture is missing or cannot be read.
    """
    names = ["ground truth", *short_names(found)]
    labels = {category.id: category.name for category in truth.categories}
    shots = []
    for video, t, score in _choose(truth, read, found):
        path = _picture(media, video.frames[t])
        image = _read(path, video.size)
        columns = [video.tracks, *(one.tracks.get(video.id, []) for one in read)]
        pictures = [
            (name, _drawn(name, image, tracks, video, t, labels))
            for name, tracks in zip(names, columns, strict=True)
        ]
        caption = f"{video.name}, frame {t} at {video.times_s[t]:.2f} s: FSLA {score:.0f}"
        shots.append(Shot(caption, pictures))
    return shots


def _choose(
    truth: GroundTruth, read: Sequence[Predictions], found: Sequence[Evaluation]
) -> list[tuple[TruthVideo, int, float]]:
    scores = [one.corrected or one.official for one in found]
    ranked = []
    for video in truth.videos:
        of_files = [one.frames[video.name] for one in scores if one is not None]
        if not of_files:
            return []
        mean = 100 * np.mean(of_files, axis=0)
        tracks = [*video.tracks, *(t for one in read for t in one.tracks.get(video.id, []))]
        for t in np.flatnonzero(mean < 100).tolist():
            masks = sum(track.areas[t] > 0 for track in tracks)
            ranked.append((float(mean[t]), -masks, video.name, t, video))
    ranked.sort(key=lambda one: one[:4])
    chosen: list[tuple[TruthVideo, int, float]] = []
    for score, _, _, t, video in ranked:
        taken = [at for other, at, _ in chosen if other is video]
        if len(taken) < _OF_A_VIDEO and all(abs(at - t) >= _APART for at in taken):
            chosen.append((video, t, score))
        if len(chosen) == _SHOTS:
            break
    return chosen


def _picture(media: Path, name: str) -> Path:
    for path in (media / name, media / "JPEGImages" / name):
        if path.is_file():
            return path
    raise InputError(f"{media}: holds neither {name} nor JPEGImages/{name}")


def _read(path: Path, size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """(H, W, 3) RGB of the size of the masks."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise InputError(f"{path}: not a picture that can be read")
    if size is not None and image.shape[:2] != size:
        image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
    return image.astype(np.uint8, copy=False)


def _drawn(
    name: str,
    image: NDArray[np.uint8],
    tracks: Sequence[MaskTrack],
    video: TruthVideo,
    t: int,
    labels: Mapping[int, str],
) -> str:
    """The picture with its masks, as a data URI."""
    size = (image.shape[0], image.shape[1])
    result = FrameResult(
        stream=name,
        epoch=0,
        seq=t,
        capture_time_ns=round(video.times_s[t] * 1e9),
        size=size,
        audio="ok",
        audio_delay_s=0.0,
        video="ok",
        clock="pts",
        tracks=[
            _shown(track, mask, size, labels)
            for track in tracks
            if (mask := track.masks[t]) is not None and track.areas[t] > 0
        ],
    )
    picture = draw(image, result)
    scale = min(1.0, _WIDTH / picture.shape[1])
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    quality = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    packed = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), quality)[1]
    return "data:image/jpeg;base64," + base64.b64encode(packed.tobytes()).decode("ascii")


def _shown(
    track: MaskTrack, mask: bytes, size: tuple[int, int], labels: Mapping[int, str]
) -> Track:
    rle = Rle(size, mask.decode("ascii"))
    rows, columns = np.nonzero(decode(rle))
    top, left = int(rows.min()), int(columns.min())
    return Track(
        id=track.category_id,  # the colour: of the class, so that both sides agree
        label=labels.get(track.category_id, f"class {track.category_id}"),
        class_id=track.category_id,
        score=track.score,
        sounding=1.0,
        visible=None,
        box=(left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1),
        centroid=(float(columns.mean()), float(rows.mean())),
        area=rows.size,
        rle=rle,
    )
