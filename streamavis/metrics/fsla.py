"""FSLA: in how many frames everything that sounds is found, and nothing else.

Both protocols say for each frame below which IoU threshold it is correct: its limit. It is
-inf for a frame that is wrong at any threshold, +inf for a silent one that is right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

from streamavis.metrics.overlap import FRAMES_AT_ONCE, alignment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from streamavis.metrics.data import Case, MaskTrack

__all__ = [
    "BLANK",
    "EvaluatorAbortError",
    "assign_video",
    "corrected_limits",
    "official_limit",
    "official_limits",
]

BLANK = b"PPTl0"  # an all-zero mask of 720 x 1280 pixels


class EvaluatorAbortError(Exception):
    """The public evaluator would end here with an error of its own; the message says why."""


def corrected_limits(case: Case) -> NDArray[np.float64]:
    """The paper's rule: right classes, right number, and every mask of a class matched.

    Returns:
        (T) limits.
    """
    truth, predicted = case.truth_areas > 0, case.predicted_areas > 0
    same = np.ones(truth.shape[1], bool)
    for category in _categories(case):
        rows, columns = _of(case.truth, category), _of(case.predicted, category)
        same &= truth[rows].sum(axis=0) == predicted[columns].sum(axis=0)
    limits = np.where(same, np.inf, -np.inf)
    for t, iou in _frames(case, np.flatnonzero(same & truth.any(axis=0))):
        for category in {case.truth[row].category_id for row in np.flatnonzero(truth[:, t])}:
            rows = [row for row in _of(case.truth, category) if truth[row, t]]
            columns = [column for column in _of(case.predicted, category) if predicted[column, t]]
            limits[t] = min(limits[t], _bottleneck(iou[np.ix_(rows, columns)]))
    return limits


def official_limits(case: Case) -> NDArray[np.float64]:
    """The public evaluator's rule, with what it does otherwise than the paper:

    * masks are matched once for the whole video, not per frame;
    * classes are compared as sets, all-zero masks included;
    * only a mask written as an empty 720p frame counts as none;
    * indices are mixed up: see `_single` and `_several`.

    Returns:
        (T) limits.

    Raises:
        EvaluatorAbortError: an index leads out of a list.
    """
    truth, predicted = case.truth_areas >= 0, case.predicted_areas >= 0
    blank = np.array(
        [[mask == BLANK for mask in track.masks[: truth.shape[1]]] for track in case.predicted],
        bool,
    ).reshape(predicted.shape)
    same = truth.sum(axis=0) == (predicted & ~blank).sum(axis=0)
    for category in _categories(case):
        rows, columns = _of(case.truth, category), _of(case.predicted, category)
        same &= truth[rows].any(axis=0) == predicted[columns].any(axis=0)
    limits = np.where(same, np.inf, -np.inf)
    assigned = assign_video(case)
    for t, iou in _frames(case, np.flatnonzero(same & truth.any(axis=0))):
        listed = np.flatnonzero(predicted[:, t]).tolist()
        try:
            limits[t] = official_limit(case, assigned, truth[:, t], listed, blank[:, t], iou)
        except IndexError as error:
            raise EvaluatorAbortError(
                f"video {case.name!r}, frame {t}: IndexError, it looks beyond the "
                f"{len(listed)} predictions that are not null in this frame"
            ) from error
    return limits


def official_limit(
    case: Case,
    assigned: tuple[list[int], list[int]],
    truth: NDArray[np.bool_],
    listed: list[int],
    blank: NDArray[np.bool_],
    iou: NDArray[np.float64],
) -> float:
    """The limit of a frame with sources whose classes and number are right.

    Args:
        case: its video.
        assigned: `assign_video` of it.
        truth: (G) who sounds.
        listed: places of the predictions that are not null here.
        blank: (P) which of all predictions are an empty 720p frame here.
        iou: (G, P).

    Raises:
        IndexError: the public evaluator raises it, too.
    """
    rows, columns = assigned
    if truth.sum() == 1:
        return _single(int(truth.argmax()), columns, listed, iou)
    return _several(case, rows, columns, listed, truth, blank, iou)


def assign_video(case: Case) -> tuple[list[int], list[int]]:
    """The public evaluator's one assignment: pairs of rank by id and rank in the file."""
    truth, predicted = case.truth_areas >= 0, case.predicted_areas >= 0
    ranks = [row for row in range(len(case.truth)) if truth[row].any()]
    ranks.sort(key=lambda row: case.truth[row].id)
    places = np.flatnonzero(predicted.any(axis=1)).tolist()
    score = alignment(
        case.pairs,
        ranks,
        places,
        truth[ranks].sum(axis=1),
        predicted[places].sum(axis=1),
        truth.shape[1],
    )
    rows, columns = linear_sum_assignment(-score)
    return rows.tolist(), columns.tolist()


def _single(row: int, columns: list[int], listed: list[int], iou: NDArray[np.float64]) -> float:
    """One source. The evaluator reads its assignment backwards: it looks up at which place of
    the columns the source's number stands, and takes the prediction present at that place.
    """
    if row not in columns:
        return -np.inf
    return float(iou[row, listed[columns.index(row)]])


def _several(
    case: Case,
    rows: list[int],
    columns: list[int],
    listed: list[int],
    truth: NDArray[np.bool_],
    blank: NDArray[np.bool_],
    iou: NDArray[np.float64],
) -> float:
    """Two or more sources. Rank by id is taken for the place among the annotations, and rank in
    the video for the place among the predictions of the frame. Pairs of the silent must be
    right as well, in class and in being an empty 720p frame; who is not in a pair is not looked at.
    """
    limit = np.inf
    for row, place in zip(rows, columns, strict=True):
        column = listed[place]
        if case.truth[row].category_id != case.predicted[column].category_id:
            limit = -np.inf
        elif truth[row]:
            limit = min(limit, float(iou[row, column]))
        elif not blank[column]:
            limit = -np.inf
    return limit


def _bottleneck(iou: NDArray[np.float64]) -> float:
    """The best worst IoU of a one-to-one assignment in a square matrix."""
    if len(iou) == 1:
        return float(iou[0, 0])
    values = np.unique(iou)
    low, high = 0, len(values) - 1  # the smallest value is always reached
    while low < high:
        middle = (low + high + 1) // 2
        allowed = iou >= values[middle]
        rows, columns = linear_sum_assignment(allowed, maximize=True)
        if allowed[rows, columns].all():
            low = middle
        else:
            high = middle - 1
    return float(values[low])


def _categories(case: Case) -> set[int]:
    return {track.category_id for track in (*case.truth, *case.predicted)}


def _of(tracks: list[MaskTrack], category: int) -> list[int]:
    return [place for place, track in enumerate(tracks) if track.category_id == category]


def _frames(case: Case, wanted: NDArray[np.intp]) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Frame and IoU (G, P) of the frames that are wanted."""
    for start in range(0, len(case.times_s), FRAMES_AT_ONCE):
        frames = range(start, min(start + FRAMES_AT_ONCE, len(case.times_s)))
        inside = wanted[(wanted >= frames.start) & (wanted < frames.stop)]
        if inside.size:
            iou = case.pairs.dense(frames, range(len(case.truth)), range(len(case.predicted)))
            for t in inside.tolist():
                yield t, iou[t - start]
