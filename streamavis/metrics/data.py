"""What is compared: tracks of run-length masks, in the ground truth's videos. No dense masks.

T frames, G ground-truth tracks, P predicted tracks, N pairs of masks that share a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from streamavis.metrics.runs import content_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["Case", "Category", "GroundTruth", "MaskPairs", "MaskTrack", "Predictions", "TruthVideo"]


@dataclass(frozen=True, slots=True)
class Category:
    """A class as the ground truth lists it."""

    id: int
    name: str


@dataclass(slots=True)
class MaskTrack:
    """One object through a video.

    A mask is None where the file says `null`. An all-zero mask is something else to the public
    evaluator, the same to the corrected protocol: the area tells them apart.
    """

    id: int  # in ground truth the file's, else the place among the video's predictions
    category_id: int
    masks: list[bytes | None]  # (T) COCO's compressed counts
    areas: NDArray[np.int64]  # (T) pixels; -1 where the mask is None
    score: float = 1.0
    crowd: bool = False
    stated_area: float = 0.0  # ground truth: mean of the `areas` in the file


@dataclass(slots=True)
class TruthVideo:
    """A video of the ground truth."""

    id: int
    name: str
    frames: list[str]  # (T) picture files
    times_s: NDArray[np.float64]  # (T) ascending
    size: tuple[int, int] | None  # height, width; None: the file does not say
    tracks: list[MaskTrack]  # (G) in the file's order


@dataclass(slots=True)
class GroundTruth:
    """A ground-truth file."""

    source: str
    categories: list[Category]
    videos: list[TruthVideo]  # by name, as the public evaluator takes them
    unreadable: str | None = None  # why the public evaluator cannot read the file


@dataclass(slots=True)
class Predictions:
    """A file of predictions for a ground truth."""

    source: str
    tracks: dict[int, list[MaskTrack]]  # video id -> (P) in the file's order


@dataclass(slots=True)
class MaskPairs:
    """The masks of one video that share a pixel, sparse and ordered by frame."""

    frame: NDArray[np.intp]  # (N)
    truth: NDArray[np.intp]  # (N) place in the video's ground-truth tracks
    predicted: NDArray[np.intp]  # (N) place in its predicted tracks
    iou: NDArray[np.float64]  # (N) > 0

    def dense(
        self, frames: range, truth: Sequence[int], predicted: Sequence[int]
    ) -> NDArray[np.float64]:
        """The IoU of some tracks in some consecutive frames: (frames, truth, predicted)."""
        start, stop = np.searchsorted(self.frame, (frames.start, frames.stop))
        rows = _places(truth, self.truth[start:stop])
        columns = _places(predicted, self.predicted[start:stop])
        wanted = (rows >= 0) & (columns >= 0)
        dense = np.zeros((len(frames), len(truth), len(predicted)))
        at = self.frame[start:stop][wanted] - frames.start
        dense[at, rows[wanted], columns[wanted]] = self.iou[start:stop][wanted]
        return dense


@dataclass(slots=True)
class Case:
    """One video with its ground truth, its predictions, and how they overlap."""

    name: str
    times_s: NDArray[np.float64]  # (T)
    truth: list[MaskTrack]  # (G)
    predicted: list[MaskTrack]  # (P)
    pairs: MaskPairs
    truth_areas: NDArray[np.int64] = field(init=False)  # (G, T)
    predicted_areas: NDArray[np.int64] = field(init=False)  # (P, T)
    truth_order: list[int] = field(init=False)  # places by content, for what must not depend
    predicted_order: list[int] = field(init=False)  # on where a track stands in its file

    def __post_init__(self) -> None:
        self.truth_areas = _stack(self.truth, len(self.times_s))
        self.predicted_areas = _stack(self.predicted, len(self.times_s))
        self.truth_order = sorted(range(len(self.truth)), key=content_key(self.truth))
        self.predicted_order = sorted(range(len(self.predicted)), key=content_key(self.predicted))


def _stack(tracks: Sequence[MaskTrack], length: int) -> NDArray[np.int64]:
    stacked = np.empty((len(tracks), length), np.int64)
    for row, track in zip(stacked, tracks, strict=True):
        row[:] = track.areas[:length]
    return stacked


def _places(wanted: Sequence[int], found: NDArray[np.intp]) -> NDArray[np.intp]:
    """Where each of `found` stands in `wanted`; -1 where it does not."""
    size = max(max(wanted, default=-1), int(found.max(initial=-1))) + 1
    place = np.full(size, -1, np.intp)
    place[list(wanted)] = np.arange(len(wanted))
    return place[found]
