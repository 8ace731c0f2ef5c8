"""Which class is taken for which: masks matched by shape alone, frame by frame."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from scipy.optimize import linear_sum_assignment

from streamavis.metrics.events import SAME
from streamavis.metrics.overlap import FRAMES_AT_ONCE

if TYPE_CHECKING:
    from streamavis.metrics.data import Case

__all__ = ["Confusion", "confuse"]

# (category id in ground truth, as predicted) -> frames; None: nothing there.
Confusion = Counter[tuple[int | None, int | None]]


def confuse(case: Case) -> Confusion:
    """Count the masks of a video whose IoU is at least 0.5, and those left over on each side."""
    counts: Confusion = Counter()
    for track, areas in zip(case.truth, case.truth_areas, strict=True):
        counts[track.category_id, None] += int((areas > 0).sum())
    for track, areas in zip(case.predicted, case.predicted_areas, strict=True):
        counts[None, track.category_id] += int((areas > 0).sum())
    places = range(len(case.truth)), range(len(case.predicted))
    for start in range(0, len(case.times_s), FRAMES_AT_ONCE):
        iou = case.pairs.dense(range(start, start + FRAMES_AT_ONCE), *places)
        iou[iou < SAME] = 0
        for frame in iou[iou.any(axis=(1, 2))]:
            for row, column in zip(*linear_sum_assignment(frame, maximize=True), strict=True):
                if frame[row, column]:
                    truth = case.truth[row].category_id
                    predicted = case.predicted[column].category_id
                    counts[truth, predicted] += 1
                    counts[truth, None] -= 1
                    counts[None, predicted] -= 1
    return +counts
