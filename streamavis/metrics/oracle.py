"""How far a perfect prediction can come under the official protocol."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from pycocotools import mask as coco

from streamavis.errors import InputError
from streamavis.metrics.data import Case
from streamavis.metrics.fsla import (
    BLANK,
    EvaluatorAbortError,
    assign_video,
    official_limit,
    official_limits,
)
from streamavis.metrics.hota import OFFICIAL_ALPHAS
from streamavis.metrics.measure import measure
from streamavis.metrics.overlap import find_pairs
from streamavis.metrics.scores import FileScores, pool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from streamavis.metrics.data import GroundTruth, MaskTrack, TruthVideo

__all__ = ["oracle"]

_TRIED = 10  # silent tracks of a frame whose subsets are gone through


def oracle(truth: GroundTruth) -> FileScores:
    """The best official values of predictions that hold every mask of the ground truth exactly.

    Such a prediction is written in many ways: a silent frame of a track as null or as an all-zero
    mask, the tracks in any order. HOTA and mAP are best with null throughout. For FSLA the best
    writing of each video is looked for, frame by frame, in the order of the annotations and in
    each order that swaps the first with another; the numbers are those of a prediction one can
    write. Not tried are predictions with more tracks than there are objects.

    Raises:
        InputError: the public evaluator cannot evaluate this ground truth at all.
    """
    reason = truth.unreadable or (None if truth.categories and truth.videos else "it is empty")
    if reason:
        raise InputError(f"{truth.source}: the public evaluator cannot read it: {reason}")
    measured = []
    for video in truth.videos:
        tracks = [_without_blanks(track) for track in video.tracks if (track.areas > 0).any()]
        case = _case(video, tracks)
        measured.append(measure(case, truth.categories, _best_limits(video, tracks), official=True))
    return pool(measured, truth.categories, "official")


def _best_limits(video: TruthVideo, tracks: list[MaskTrack]) -> NDArray[np.float64]:
    best = np.full(len(video.frames), -np.inf)
    for first in range(max(1, len(tracks))):
        order = list(range(len(tracks)))
        if tracks:
            order[0], order[first] = order[first], order[0]
        limits = _limits_of(video, [tracks[place] for place in order])
        if limits is not None and _worth(limits) > _worth(best):
            best = limits
    return best


def _limits_of(video: TruthVideo, tracks: list[MaskTrack]) -> NDArray[np.float64] | None:
    """What the evaluator gives for the best writing in this order; None where it aborts."""
    case = _case(video, tracks)
    assigned = assign_video(case)
    written = [
        replace(track, masks=list(track.masks), areas=track.areas.copy()) for track in tracks
    ]
    for t in np.flatnonzero((case.truth_areas >= 0).any(axis=0)).tolist():
        for place in _best_blanks(case, assigned, t, video.size or (0, 0)):
            written[place].masks[t], written[place].areas[t] = _blank(video.size or (0, 0)), 0
    try:
        return official_limits(_case(video, written))
    except EvaluatorAbortError:
        return None


def _best_blanks(
    case: Case, assigned: tuple[list[int], list[int]], t: int, size: tuple[int, int]
) -> tuple[int, ...]:
    """Which silent tracks to write as all-zero masks in frame `t`: all where nothing helps, for
    then no index can go astray.
    """
    iou = case.pairs.dense(range(t, t + 1), range(len(case.truth)), range(len(case.predicted)))[0]
    present = (case.predicted_areas[:, t] > 0).nonzero()[0].tolist()
    silent = (case.predicted_areas[:, t] <= 0).nonzero()[0].tolist()
    heard = {case.predicted[place].category_id for place in present}
    best, chosen = -np.inf, tuple(silent)
    for blanks in _subsets(
        [place for place in silent if case.predicted[place].category_id in heard]
        if _blank(size) == BLANK
        else []
    ):
        blank = np.isin(np.arange(len(case.predicted)), blanks)
        listed = sorted((*present, *blanks))
        try:
            limit = official_limit(case, assigned, case.truth_areas[:, t] >= 0, listed, blank, iou)
        except IndexError:
            continue
        if limit > best:
            best, chosen = limit, blanks
    return chosen


def _subsets(places: list[int]) -> Iterator[tuple[int, ...]]:
    places = places[:_TRIED]
    for number in range(len(places) + 1):
        yield from combinations(places, number)


def _without_blanks(track: MaskTrack) -> MaskTrack:
    visible = track.areas > 0
    masks = [mask if shown else None for mask, shown in zip(track.masks, visible, strict=True)]
    return replace(track, masks=masks, areas=np.where(visible, track.areas, -1))


def _case(video: TruthVideo, predicted: list[MaskTrack]) -> Case:
    pairs = find_pairs(video.tracks, predicted, len(video.frames), video.size or (0, 0))
    return Case(video.name, video.times_s, video.tracks, predicted, pairs)


def _blank(size: tuple[int, int]) -> bytes:
    empty = {"size": list(size), "counts": [size[0] * size[1]]}
    return coco.frPyObjects(empty, *size)["counts"]


def _worth(limits: NDArray[np.float64]) -> int:
    return int((limits > OFFICIAL_ALPHAS[:, None]).sum())
