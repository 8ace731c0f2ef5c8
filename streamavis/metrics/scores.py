"""From counts of videos to the numbers of a table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from streamavis.metrics.hota import CORRECTED_ALPHAS, OFFICIAL_ALPHAS, HotaCounts
from streamavis.metrics.track_map import RANGES, average_precision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamavis.metrics.data import Category
    from streamavis.metrics.measure import VideoMeasures

__all__ = ["SUMMARY", "FileScores", "Protocol", "pool"]

Protocol = Literal["official", "corrected"]
HOTA_FAMILY = ("HOTA", "DetA", "AssA", "DetRe", "DetPr", "AssRe", "AssPr", "LocA")
SUMMARY = ("FSLA", "FSLAn", "FSLAs", "FSLAm", *HOTA_FAMILY, "mAP", "AP_s", "AP_m", "AP_l", "AR")


@dataclass(frozen=True, slots=True)
class FileScores:
    """A file of predictions under one protocol, in percent; NaN where there is nothing to score.

    The official protocol says -100 where mAP has nothing to score, as the public evaluator does.
    """

    protocol: Protocol
    summary: dict[str, float]  # the names of SUMMARY, in that order
    thresholds: NDArray[np.float64]  # (19)
    curves: dict[str, NDArray[np.float64]]  # FSLA, FSLAn, FSLAs, FSLAm -> (19)
    classes: dict[str, dict[str, float]]  # name -> HOTA family, AP, AR; classes with any mask
    videos: dict[str, float]  # name -> FSLA
    frames: dict[str, NDArray[np.float64]]  # name -> (T) FSLA of each frame


def pool(
    measured: Sequence[VideoMeasures], categories: Sequence[Category], protocol: Protocol
) -> FileScores:
    """Add up videos, which are in order of their names."""
    official = protocol == "official"
    if not official:  # the order in the file must not even show in the rounding
        categories = sorted(categories, key=lambda category: category.id)
    thresholds = OFFICIAL_ALPHAS if official else CORRECTED_ALPHAS
    curves, frames = _fsla(measured, thresholds)
    hota = {category.id: _pooled_hota(measured, category.id) for category in categories}
    values = {id_: counts.values() for id_, counts in hota.items()}
    shown = {id_ for id_, counts in hota.items() if counts.truth or counts.predicted}
    precision = {
        category.id: _precision(measured, category.id, official) for category in categories
    }
    # The public evaluator takes every class of the list, with 0 (LocA: 1) for those that nothing
    # shows. The corrected protocol takes those that ground truth or predictions show.
    counted = [values[id_] for id_ in values if official or id_ in shown]
    summary = {name: _mean([curve]) for name, curve in curves.items()}
    for name in HOTA_FAMILY:
        summary[name] = _mean([one[name] for one in counted])
    for name, key in zip(RANGES, ("mAP", "AP_s", "AP_m", "AP_l"), strict=True):
        summary[key] = _over_classes([one[name][0] for one in precision.values()], official)
    summary["AR"] = _over_classes([one["all"][1] for one in precision.values()], official)
    classes = {
        category.name: {name: _mean([values[category.id][name]]) for name in HOTA_FAMILY}
        | {"AP": _over_classes([precision[category.id]["all"][0]], official=False)}
        for category in categories
        if category.id in shown
    }
    return FileScores(
        protocol,
        summary,
        thresholds,
        curves,
        classes,
        {name: _mean([one]) for name, one in frames.items()},
        frames,
    )


def _fsla(
    measured: Sequence[VideoMeasures], thresholds: NDArray[np.float64]
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    """Curves over the thresholds, and the share of thresholds at which each frame is correct."""
    nothing = np.empty(0)
    limits = np.concatenate([nothing, *(one.limits for one in measured)])
    sources = np.concatenate([nothing, *(one.sources for one in measured)])
    correct = limits > thresholds[:, None]  # (19, frames): strictly better than the threshold
    of_kind = {
        "FSLA": sources >= 0,
        "FSLAn": sources == 0,
        "FSLAs": sources == 1,
        "FSLAm": sources > 1,
    }
    curves = {
        name: correct[:, kind].sum(axis=1) / kind.sum() if kind.any() else np.full(19, np.nan)
        for name, kind in of_kind.items()
    }
    frames = {one.name: (one.limits > thresholds[:, None]).mean(axis=0) for one in measured}
    return curves, frames


def _pooled_hota(measured: Sequence[VideoMeasures], category: int) -> HotaCounts:
    found = (one.hota[category] for one in measured if category in one.hota)
    return sum(found, start=HotaCounts.none())


def _precision(
    measured: Sequence[VideoMeasures], category: int, official: bool
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    tracks = [one.tracks[category] for one in measured if category in one.tracks]
    first = next((one.name for one in measured if one.any_predicted), None)
    return average_precision(tracks, official=official, first_video=first if official else None)


def _mean(curves: Sequence[NDArray[np.float64]]) -> float:
    """Over classes, then over thresholds; in percent."""
    return 100 * float(np.mean(np.mean(curves, axis=0))) if curves else math.nan


def _over_classes(curves: Sequence[NDArray[np.float64]], official: bool) -> float:
    """The mean of classes that have ground truth; without any, -100 or NaN."""
    scored = [curve for curve in curves if curve[0] > -1]
    return _mean(scored) if scored else -100.0 if official else math.nan
