"""Track mAP as YouTube-VIS has it: the IoU of whole tracks, four ranges of area."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from streamavis.metrics.overlap import EPS
from streamavis.metrics.runs import content_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamavis.metrics.data import Case, MaskTrack

__all__ = ["RANGES", "ClassTracks", "average_precision", "class_tracks", "track_iou"]

# Both ends belong to a range: a track of exactly 128 x 128 pixels is small and medium.
RANGES = {
    "all": (-np.inf, np.inf),
    "s": (0.0, 128.0**2),
    "m": (128.0**2, 256.0**2),
    "l": (256.0**2, 1e10),
}
_IOUS = np.arange(0.5, 0.96, 0.05)  # 10, with float noise
_RECALLS = np.linspace(0, 1, 101)
_HIT, _MISS, _IGNORED = 1, 0, -1


@dataclass(slots=True)
class ClassTracks:
    """The tracks of one class in one video, best prediction first."""

    video: str
    iou: NDArray[np.float64]  # (P, G) of whole tracks
    predicted: list[MaskTrack]  # (P) by falling score
    areas: NDArray[np.float64]  # (P)
    truth_areas: NDArray[np.float64]  # (G)
    crowd: NDArray[np.bool_]  # (G)
    first: int | None  # where the prediction stands that the file lists first for the video


def track_iou(case: Case) -> NDArray[np.float64]:
    """(P, G): intersection over union of whole tracks, exact as both are whole pixels."""
    pairs = case.pairs
    sums = case.truth_areas[pairs.truth, pairs.frame]
    sums = sums + case.predicted_areas[pairs.predicted, pairs.frame]
    shared = np.zeros((len(case.predicted), len(case.truth)))
    pixels = np.rint(sums * pairs.iou / (1 + pairs.iou))
    np.add.at(shared, (pairs.predicted, pairs.truth), pixels)
    # Not (T) but all frames: the public evaluator takes tracks that are longer than their video.
    of_truth = np.array([track.areas.clip(0).sum() for track in case.truth])
    of_predicted = np.array([track.areas.clip(0).sum() for track in case.predicted])
    union = of_predicted.reshape(-1, 1) + of_truth - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def class_tracks(
    case: Case,
    iou: NDArray[np.float64],
    truth: Sequence[int],
    predicted: Sequence[int],
    *,
    official: bool,
) -> ClassTracks:
    """What mAP needs of one class in one video.

    Args:
        case: the video.
        iou: `track_iou` of it.
        truth: places of the class's tracks, in the order that ties are to be broken by.
        predicted: likewise.
        official: take the ground truth's areas from its file, and count tracks without any mask.
            The corrected protocol measures areas, and leaves such tracks out on both sides.
    """
    if not official:
        truth = [row for row in truth if (case.truth[row].areas > 0).any()]
        predicted = [column for column in predicted if (case.predicted[column].areas > 0).any()]
    ranked = sorted(predicted, key=lambda column: -case.predicted[column].score)
    masks = [case.truth[row] for row in truth]
    tracks = [case.predicted[column] for column in ranked]
    return ClassTracks(
        video=case.name,
        iou=iou[np.ix_(ranked, truth)],
        predicted=tracks,
        areas=np.array([_mean_area(track) for track in tracks]),
        truth_areas=np.array([t.stated_area if official else _mean_area(t) for t in masks]),
        crowd=np.array([track.crowd for track in masks], bool),
        first=ranked.index(0) if 0 in ranked else None,
    )


def average_precision(
    videos: Sequence[ClassTracks], *, official: bool, first_video: str | None
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """AP and final recall of one class.

    Args:
        videos: of the class, by name.
        official: of equal scores the one listed first ranks first. In the corrected protocol
            content decides, then the video's name.
        first_video: the first one, by name, with any prediction. The public evaluator gives its
            first prediction the id 0, and takes that for "no prediction": the ground truth it
            is matched to stays free and can be matched again, so that AR may pass 100. None
            where this slip is not wanted.

    Returns:
        Range -> AP and AR, each (10); -1 without ground truth in the range.
    """
    tracks = [(track, video.video) for video in videos for track in video.predicted]
    order = sorted(range(len(tracks)), key=lambda i: -tracks[i][0].score)
    if not official:
        content = content_key([track for track, _ in tracks])
        order.sort(key=lambda i: (-tracks[i][0].score, content(i), tracks[i][1]))
    results = {}
    for name, bounds in RANGES.items():
        ignored = [video.crowd | ~_within(video.truth_areas, bounds) for video in videos]
        wanted = sum(int((~one).sum()) for one in ignored)
        if not wanted:
            results[name] = (np.full(10, -1.0), np.full(10, -1.0))
            continue
        outcomes = np.concatenate(
            [
                _outcomes(video, one, bounds, video.first if video.video == first_video else None)
                for video, one in zip(videos, ignored, strict=True)
            ],
            axis=1,
        )
        results[name] = _curve(outcomes[:, order], wanted)
    return results


def _curve(
    outcomes: NDArray[np.int8], wanted: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """AP at 101 recalls, and the recall in the end, from ranked outcomes (10, predictions)."""
    if not outcomes.shape[1]:
        return np.zeros(10), np.zeros(10)
    hits = (outcomes == _HIT).cumsum(axis=1)
    misses = (outcomes == _MISS).cumsum(axis=1)
    recall = hits / wanted
    precision = hits / (hits + misses + np.spacing(1))
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    precision = np.pad(precision, ((0, 0), (0, 1)))  # beyond the last recall: 0
    places = [np.searchsorted(row, _RECALLS) for row in recall]
    return np.take_along_axis(precision, np.array(places), axis=1).mean(axis=1), recall[:, -1]


def _outcomes(
    video: ClassTracks,
    ignored: NDArray[np.bool_],
    bounds: tuple[float, float],
    reusable: int | None,
) -> NDArray[np.int8]:
    """(10, P): what becomes of each prediction at each threshold."""
    outcomes = np.empty((len(_IOUS), len(video.predicted)), np.int8)
    unmatched = np.where(_within(video.areas, bounds), _MISS, _IGNORED)
    order = np.argsort(ignored, kind="stable").tolist()
    overlaps = video.iou.tolist()
    for row, threshold in zip(outcomes, _IOUS.tolist(), strict=True):
        free = [True] * len(order)
        for place, overlap in enumerate(overlaps):
            match = _match(overlap, order, free, ignored, threshold)
            if match is None:
                row[place] = unmatched[place]
            else:
                row[place] = _IGNORED if ignored[match] else _HIT
                free[match] = place == reusable
    return outcomes


def _match(
    overlap: list[float],
    order: list[int],
    free: list[bool],
    ignored: NDArray[np.bool_],
    threshold: float,
) -> int | None:
    """The free ground truth with the best IoU; of equal ones the last, but none to be ignored
    where another is good enough.
    """
    best, match = min(threshold, 1 - 1e-10), None
    for truth in order:
        if match is not None and ignored[truth] and not ignored[match]:
            break
        if free[truth] and overlap[truth] >= best - EPS:
            best, match = overlap[truth], truth
    return match


def _within(areas: NDArray[np.float64], bounds: tuple[float, float]) -> NDArray[np.bool_]:
    return (areas >= bounds[0] - EPS) & (areas <= bounds[1] + EPS)


def _mean_area(track: MaskTrack) -> float:
    visible = track.areas[track.areas > 0]
    return float(visible.mean()) if visible.size else 0.0
