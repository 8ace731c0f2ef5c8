"""What one video contributes under one protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamavis.metrics.hota import HotaCounts, count_class
from streamavis.metrics.track_map import ClassTracks, class_tracks, track_iou

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from streamavis.metrics.data import Case, Category

__all__ = ["VideoMeasures", "measure"]


@dataclass(slots=True)
class VideoMeasures:
    """One video under one protocol, small enough to keep and to send between processes."""

    name: str
    sources: NDArray[np.int64]  # (T) ground-truth masks in each frame
    limits: NDArray[np.float64]  # (T) the frame is correct at IoU thresholds below
    hota: dict[int, HotaCounts]  # category id -> counts; classes without a mask are left out
    tracks: dict[int, ClassTracks]  # category id -> tracks
    any_predicted: bool


def measure(
    case: Case, categories: Sequence[Category], limits: NDArray[np.float64], *, official: bool
) -> VideoMeasures:
    """Count everything that pools over videos.

    Args:
        case: the video.
        categories: as the ground truth lists them.
        limits: (T) of its frames, by the FSLA of the protocol.
        official: the protocol; else corrected.
    """
    iou = track_iou(case)
    rows = range(len(case.truth)) if official else case.truth_order
    columns = range(len(case.predicted)) if official else case.predicted_order
    hota, tracks = {}, {}
    for category in categories:
        truth = [row for row in rows if case.truth[row].category_id == category.id]
        predicted = [at for at in columns if case.predicted[at].category_id == category.id]
        if not truth and not predicted:
            continue
        tracks[category.id] = class_tracks(case, iou, truth, predicted, official=official)
        counts = count_class(case, truth, predicted, official=official)
        if counts.truth or counts.predicted:
            hota[category.id] = counts
    return VideoMeasures(
        name=case.name,
        sources=(case.truth_areas >= (0 if official else 1)).sum(axis=0),
        limits=limits,
        hota=hota,
        tracks=tracks,
        any_predicted=bool(case.predicted),
    )
