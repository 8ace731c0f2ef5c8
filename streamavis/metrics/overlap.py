"""Which masks share pixels, and how well whole tracks align."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pycocotools import mask as coco

from streamavis.metrics.data import MaskPairs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from streamavis.metrics.data import MaskTrack

__all__ = ["EPS", "FRAMES_AT_ONCE", "PairList", "alignment", "find_pairs"]

EPS = np.finfo(float).eps  # the evaluator's slack in comparisons
FRAMES_AT_ONCE = 1024  # of a video: bounds what is dense at one time


class PairList:
    """Pairs of one video, found frame by frame."""

    def __init__(self, size: tuple[int, int]) -> None:
        """`size`: height and width of every mask."""
        self._size = list(size)
        self._found: list[tuple[NDArray[Any], ...]] = []

    def add(
        self, frame: int, truth: Sequence[tuple[int, bytes]], predicted: Sequence[tuple[int, bytes]]
    ) -> None:
        """Compare the masks (track, counts) of a frame; frames come in order."""
        if not truth or not predicted:
            return
        left = [{"size": self._size, "counts": counts} for _, counts in truth]
        right = [{"size": self._size, "counts": counts} for _, counts in predicted]
        iou = coco.iou(left, right, [False] * len(right))
        rows, columns = np.nonzero(iou)
        if rows.size:
            self._found.append(
                (
                    np.full(rows.size, frame),
                    np.array([track for track, _ in truth])[rows],
                    np.array([track for track, _ in predicted])[columns],
                    iou[rows, columns],
                )
            )

    def pairs(self) -> MaskPairs:
        """What was found so far."""
        if not self._found:
            none = np.empty(0, np.intp)
            return MaskPairs(none, none, none, np.empty(0))
        return MaskPairs(*(np.concatenate(column) for column in zip(*self._found, strict=True)))


def find_pairs(
    truth: Sequence[MaskTrack], predicted: Sequence[MaskTrack], length: int, size: tuple[int, int]
) -> MaskPairs:
    """Compare the masks of a video of `length` frames."""
    found = PairList(size)
    for frame in range(length):
        found.add(frame, list(_visible(truth, frame)), list(_visible(predicted, frame)))
    return found.pairs()


def alignment(
    pairs: MaskPairs,
    truth: Sequence[int],
    predicted: Sequence[int],
    truth_frames: NDArray[np.intp],
    predicted_frames: NDArray[np.intp],
    length: int,
) -> NDArray[np.float64]:
    """HOTA's global alignment of tracks, as TrackEval computes it.

    Args:
        pairs: of the video.
        truth: (G) tracks that take part.
        predicted: (P) likewise.
        truth_frames: (G) number of frames in which each is present; >= 1.
        predicted_frames: (P) likewise.
        length: frames of the video.

    Returns:
        (G, P) in [0, 1].
    """
    joint = np.zeros((1, len(truth), len(predicted)))
    for start in range(0, length, FRAMES_AT_ONCE):
        frames = range(start, min(start + FRAMES_AT_ONCE, length))
        iou = pairs.dense(frames, truth, predicted)
        total = iou.sum(axis=1, keepdims=True) + iou.sum(axis=2, keepdims=True) - iou
        share = np.divide(iou, total, out=np.zeros_like(iou), where=total > EPS)
        # One frame is added after the other, as the evaluator does: ties must stay ties.
        joint = np.concatenate((joint, share)).sum(axis=0, keepdims=True)
    return joint[0] / (truth_frames[:, None] + predicted_frames - joint[0])


def _visible(tracks: Sequence[MaskTrack], frame: int) -> Iterator[tuple[int, bytes]]:
    """Tracks with at least one pixel in the frame, and their counts."""
    for number, track in enumerate(tracks):
        mask = track.masks[frame]
        if mask is not None and track.areas[frame] > 0:
            yield number, mask
