"""HOTA: detection and association of one class in one video, counted so that videos can be added.

A threshold axis of 19 comes first everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

from streamavis.metrics.overlap import EPS, FRAMES_AT_ONCE, alignment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamavis.metrics.data import Case

__all__ = ["CORRECTED_ALPHAS", "OFFICIAL_ALPHAS", "HotaCounts", "count_class"]

OFFICIAL_ALPHAS = np.arange(0.05, 0.99, 0.05)  # with float noise: 0.15000000000000002
CORRECTED_ALPHAS = np.arange(1, 20) / 20


@dataclass(slots=True)
class HotaCounts:
    """What HOTA needs of a class; `+` pools videos."""

    tp: NDArray[np.float64]  # (19)
    truth: int  # masks
    predicted: int  # masks
    association: NDArray[np.float64]  # (19, 3) sums over TP, for AssA, AssRe, AssPr
    iou: NDArray[np.float64]  # (19) sum over TP

    @classmethod
    def none(cls) -> HotaCounts:
        """Of a class without any mask."""
        return cls(np.zeros(19), 0, 0, np.zeros((19, 3)), np.zeros(19))

    def __add__(self, other: HotaCounts) -> HotaCounts:
        return HotaCounts(
            self.tp + other.tp,
            self.truth + other.truth,
            self.predicted + other.predicted,
            self.association + other.association,
            self.iou + other.iou,
        )

    def values(self) -> dict[str, NDArray[np.float64]]:
        """The HOTA family at each threshold, (19) in 0..1."""
        tp = self.tp
        ass_a, ass_re, ass_pr = (self.association / np.maximum(1, tp)[:, None]).T
        det_a = tp / np.maximum(1, self.truth + self.predicted - tp)
        return {
            "HOTA": np.sqrt(det_a * ass_a),
            "DetA": det_a,
            "AssA": ass_a,
            "DetRe": tp / np.maximum(1, self.truth),
            "DetPr": tp / np.maximum(1, self.predicted),
            "AssRe": ass_re,
            "AssPr": ass_pr,
            "LocA": np.maximum(1e-10, self.iou) / np.maximum(1e-10, tp),  # 1 without a TP
        }


def count_class(
    case: Case, truth: Sequence[int], predicted: Sequence[int], *, official: bool
) -> HotaCounts:
    """Count the tracks of one class in one video.

    Args:
        case: the video.
        truth: places of the ground-truth tracks, in the order that ties are to be broken by.
        predicted: likewise.
        official: take all-zero masks as detections, compare with `>= alpha - eps` at noisy
            thresholds, and assign masks that do not touch. The corrected protocol does none.
    """
    threshold = 0 if official else 1
    shown = [row for row in truth if (case.truth_areas[row] >= threshold).any()]
    found = [column for column in predicted if (case.predicted_areas[column] >= threshold).any()]
    in_truth = case.truth_areas[shown] >= threshold  # (G, T)
    in_predicted = case.predicted_areas[found] >= threshold  # (P, T)
    counts = HotaCounts.none()
    counts.truth, counts.predicted = int(in_truth.sum()), int(in_predicted.sum())
    if not shown or not found:
        return counts
    lengths = in_truth.sum(axis=1), in_predicted.sum(axis=1)
    score = alignment(case.pairs, shown, found, *lengths, in_truth.shape[1])
    alphas = OFFICIAL_ALPHAS - EPS if official else CORRECTED_ALPHAS
    matches = np.zeros((19, len(shown) * len(found)))
    for start in range(0, in_truth.shape[1], FRAMES_AT_ONCE):
        frames = range(start, min(start + FRAMES_AT_ONCE, in_truth.shape[1]))
        iou = case.pairs.dense(frames, shown, found)
        t, rows, columns = _assign(
            iou,
            score,
            in_truth[:, start : frames.stop],
            in_predicted[:, start : frames.stop],
            touching=not official,
        )
        matched = iou[t, rows, columns]
        hit = matched >= alphas[:, None]  # (19, pairs)
        pair = np.ravel_multi_index((rows, columns), score.shape)
        for alpha in range(19):
            matches[alpha] += np.bincount(pair[hit[alpha]], minlength=score.size)
        counts.iou += np.where(hit, matched, 0).sum(axis=1)
    counts.tp = matches.sum(axis=1)
    of_truth, of_predicted = (
        np.ravel(n) for n in np.broadcast_arrays(lengths[0][:, None], lengths[1])
    )
    for column, whole in enumerate((of_truth + of_predicted - matches, of_truth, of_predicted)):
        counts.association[:, column] = (matches * (matches / np.maximum(1, whole))).sum(axis=1)
    return counts


def _assign(
    iou: NDArray[np.float64],
    score: NDArray[np.float64],
    in_truth: NDArray[np.bool_],
    in_predicted: NDArray[np.bool_],
    *,
    touching: bool,
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Match the masks of each frame, the better the tracks align the rather.

    With `touching`, rows and columns that touch nothing are left out first: whether they are
    there must not decide between equal assignments of the others.

    Returns:
        Frame, row and column of the pairs.
    """
    weight = score * iou
    if touching:
        in_truth = np.asarray((weight > 0).any(axis=2)).T
        in_predicted = np.asarray((weight > 0).any(axis=1)).T
    n_truth, n_predicted = in_truth.sum(axis=0), in_predicted.sum(axis=0)
    alone = np.flatnonzero((n_truth == 1) & (n_predicted == 1))
    pieces = [(alone, in_truth.argmax(axis=0)[alone], in_predicted.argmax(axis=0)[alone])]
    for frame in np.flatnonzero((n_truth > 0) & (n_predicted > 0) & (n_truth + n_predicted > 2)):
        rows, columns = np.flatnonzero(in_truth[:, frame]), np.flatnonzero(in_predicted[:, frame])
        left, right = linear_sum_assignment(-weight[frame][rows[:, None], columns])
        pieces.append((np.full(left.size, frame), rows[left], columns[right]))
    t, rows, columns = (np.concatenate(part) for part in zip(*pieces, strict=True))
    return t, rows, columns
