"""What a listener in time notices: identities that switch, and sound that is shown late.

Masks of one class belong together from an IoU of 0.5 on. A match of the past is kept while it
holds (as CLEAR MOT does), also across silence: what sounds again should be the same as before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from streamavis.metrics.data import Case

__all__ = ["SAME", "EventCounts", "count_events", "event_scores"]

SAME = 0.5  # IoU
_KEEP = 1000.0  # outweighs every sum of IoU


@dataclass(slots=True)
class EventCounts:
    """The events of one video."""

    duration_s: float = 0.0
    switches: int = 0
    fragments: int = 0
    onsets_ms: list[float] = field(default_factory=list)
    onsets_missed: int = 0
    offsets_ms: list[float] = field(default_factory=list)
    offsets_missed: int = 0
    silence_s: float = 0.0
    false_s: float = 0.0


def count_events(case: Case) -> EventCounts:
    """Count the events of a video; masks without a pixel do not count as sounding."""
    truth, predicted = case.truth_areas > 0, case.predicted_areas > 0
    period_s = float(np.median(np.diff(case.times_s))) if len(case.times_s) > 1 else 1.0
    lasting_s = np.diff(case.times_s, append=case.times_s[-1] + period_s)
    silent = ~truth.any(axis=0)
    counts = EventCounts(
        duration_s=float(lasting_s.sum()),
        silence_s=float(lasting_s[silent].sum()),
        false_s=float(lasting_s[silent & predicted.any(axis=0)].sum()),
    )
    for sounding, matched in zip(truth, _matches(case), strict=True):
        found = matched[matched >= 0]
        counts.switches += int((np.diff(found) != 0).sum())
        counts.fragments += max(0, sum(1 for _ in _runs(matched[sounding] >= 0)) - 1)
        _count_edges(counts, case.times_s * 1e3, sounding, matched, predicted)
    return counts


def event_scores(counts: Iterable[EventCounts]) -> dict[str, float]:
    """Pool videos: rates, percentiles in ms, and how many events they rest on; NaN without any."""
    of_videos = list(counts)
    hours = sum(one.duration_s for one in of_videos) / 3600
    silence_min = sum(one.silence_s for one in of_videos) / 60
    onsets = [ms for one in of_videos for ms in one.onsets_ms]
    offsets = [ms for one in of_videos for ms in one.offsets_ms]
    return {
        "hours": hours,
        "id_switches_per_hour": _rate(sum(one.switches for one in of_videos), hours),
        "fragments_per_hour": _rate(sum(one.fragments for one in of_videos), hours),
        "onset_p50_ms": _percentile(onsets, 50),
        "onset_p95_ms": _percentile(onsets, 95),
        "onsets": len(onsets),
        "onsets_missed": sum(one.onsets_missed for one in of_videos),
        "offset_p50_ms": _percentile(offsets, 50),
        "offset_p95_ms": _percentile(offsets, 95),
        "offsets": len(offsets),
        "offsets_missed": sum(one.offsets_missed for one in of_videos),
        "silence_min": silence_min,
        "false_sounding_s_per_min": _rate(sum(one.false_s for one in of_videos), silence_min),
    }


def _count_edges(
    counts: EventCounts,
    times_ms: NDArray[np.float64],
    sounding: NDArray[np.bool_],
    matched: NDArray[np.intp],
    predicted: NDArray[np.bool_],
) -> None:
    """Onsets and offsets of one object; what sounds from the first frame on has no onset."""
    spans = list(_runs(sounding))
    following = [*spans[1:], (len(sounding), len(sounding))]
    for (start, stop), (end, _) in zip(spans, following, strict=False):
        hits = np.flatnonzero(matched[start:stop] >= 0)
        if start > 0 and hits.size:
            counts.onsets_ms.append(float(times_ms[start + hits[0]] - times_ms[start]))
        elif start > 0:
            counts.onsets_missed += 1
        if stop < end and hits.size:  # what was never found cannot end late
            shown = predicted[matched[start + hits[-1]], stop:end]
            if shown.all():
                counts.offsets_missed += 1
            else:
                counts.offsets_ms.append(float(times_ms[stop + shown.argmin()] - times_ms[stop]))


def _matches(case: Case) -> NDArray[np.intp]:
    """(G, T): the predicted track that each object is matched to; -1 for none."""
    matched = np.full(case.truth_areas.shape, -1, np.intp)
    rows, columns = case.truth_order, case.predicted_order
    row_at, column_at = np.argsort(rows), np.argsort(columns)
    classes = np.array([track.category_id for track in case.truth])
    predicted_classes = np.array([track.category_id for track in case.predicted])
    pairs = case.pairs
    wanted = np.flatnonzero(
        (pairs.iou >= SAME) & (classes[pairs.truth] == predicted_classes[pairs.predicted])
        if pairs.iou.size
        else []
    ).astype(np.intp)
    last = np.full(len(rows), -1)
    cuts = np.flatnonzero(np.diff(pairs.frame[wanted])) + 1
    for piece in np.split(wanted, cuts) if wanted.size else []:
        truth, predicted = pairs.truth[piece], pairs.predicted[piece]
        weight = np.zeros((len(rows), len(columns)))
        weight[row_at[truth], column_at[predicted]] = pairs.iou[piece] + _KEEP * (
            last[truth] == predicted
        )
        for row, column in zip(*linear_sum_assignment(weight, maximize=True), strict=True):
            if weight[row, column] > 0:
                matched[rows[row], pairs.frame[piece[0]]] = last[rows[row]] = columns[column]
    return matched


def _runs(flags: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Start and end of each stretch of True."""
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0)).tolist()
    return zip(edges[::2], edges[1::2], strict=True)


def _rate(number: float, per: float) -> float:
    return number / per if per else float("nan")


def _percentile(values: list[float], q: float) -> float:
    return float(np.percentile(values, q)) if values else float("nan")
