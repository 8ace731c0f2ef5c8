"""Whole files of predictions, video by video, on one or several processes."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from streamavis.metrics.confusion import Confusion, confuse
from streamavis.metrics.data import Case, Category, GroundTruth, MaskTrack, Predictions, TruthVideo
from streamavis.metrics.events import EventCounts, count_events, event_scores
from streamavis.metrics.fsla import EvaluatorAbortError, corrected_limits, official_limits
from streamavis.metrics.measure import VideoMeasures, measure
from streamavis.metrics.overlap import find_pairs
from streamavis.metrics.reader import Map, read_predictions, read_truth
from streamavis.metrics.scores import FileScores, Protocol, pool

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "PROTOCOLS",
    "Evaluation",
    "VideoOutcome",
    "conclude",
    "evaluate",
    "evaluate_files",
    "examine",
    "workers",
]

PROTOCOLS: tuple[Protocol, ...] = ("official", "corrected")
Progress = Callable[[int, int], None]  # videos done, of how many


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is to be said of one file of predictions; None for a protocol not asked for."""

    source: str
    official: FileScores | None
    official_error: str | None  # why the public evaluator would give no numbers
    corrected: FileScores | None
    streaming: dict[str, float]  # see `events.event_scores`
    confusion: Confusion


@dataclass(slots=True)
class VideoOutcome:
    """What one video contributes."""

    official: VideoMeasures | str | None  # a sentence where the public evaluator would abort
    corrected: VideoMeasures | None
    events: EventCounts
    confusion: Confusion


def evaluate_files(
    truth: Path | str,
    predictions: Sequence[Path | str],
    *,
    protocols: Sequence[Protocol] = PROTOCOLS,
    jobs: int = 1,
    progress: Progress | None = None,
) -> list[Evaluation]:
    """Evaluate files of predictions against one ground truth.

    Args:
        truth: file.
        predictions: files; all are read before the first is evaluated.
        protocols: which numbers to compute. `official` alone takes tracks that are longer than
            their video, as the public evaluator does.
        jobs: processes.
        progress: told after each video; over all files.

    Raises:
        InputError: a file is not well-formed; names file, video, track and frame.
    """
    with workers(jobs) as apply:
        ground_truth = read_truth(truth, apply=apply)
        exact = "corrected" in protocols
        read = [read_predictions(path, ground_truth, exact_length=exact) for path in predictions]
        total = len(ground_truth.videos)

        def shifted(before: int) -> Progress | None:
            if progress is None:
                return None
            return lambda done, _: progress(before + done, total * len(read))

        return [
            evaluate(
                ground_truth, one, protocols=protocols, apply=apply, progress=shifted(i * total)
            )
            for i, one in enumerate(read)
        ]


def evaluate(
    truth: GroundTruth,
    predictions: Predictions,
    *,
    protocols: Sequence[Protocol] = PROTOCOLS,
    apply: Map = map,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate predictions against a ground truth.

    Args:
        truth: what is right.
        predictions: read for it.
        protocols: which numbers to compute.
        apply: `map`, or one that works in several processes and keeps the order.
        progress: told after each video.
    """
    tasks = [
        (video, predictions.tracks.get(video.id, []), truth.categories, protocols)
        for video in truth.videos
    ]
    outcomes = []
    for outcome in apply(_examine_video, tasks):
        outcomes.append(outcome)
        if progress is not None:
            progress(len(outcomes), len(tasks))
    return conclude(predictions.source, outcomes, truth.categories, protocols, truth.unreadable)


def examine(
    case: Case, categories: Sequence[Category], protocols: Sequence[Protocol]
) -> VideoOutcome:
    """Count everything there is to count in one video."""
    official: VideoMeasures | str | None = None
    if "official" in protocols:
        try:
            official = measure(case, categories, official_limits(case), official=True)
        except EvaluatorAbortError as error:
            official = str(error)
    corrected = None
    if "corrected" in protocols:
        corrected = measure(case, categories, corrected_limits(case), official=False)
    return VideoOutcome(official, corrected, count_events(case), confuse(case))


def conclude(
    source: str,
    outcomes: Sequence[VideoOutcome],
    categories: Sequence[Category],
    protocols: Sequence[Protocol],
    unreadable: str | None = None,
) -> Evaluation:
    """Pool videos, which are in order of their names."""
    official, reason = None, None
    if "official" in protocols:
        counted = [one.official for one in outcomes if isinstance(one.official, VideoMeasures)]
        aborts = (one.official for one in outcomes if isinstance(one.official, str))
        empty = "no video" if not outcomes else "no category" if not categories else None
        reason = unreadable or (empty and f"it fails on a ground truth with {empty}")
        reason = reason or next(aborts, None)
        official = None if reason else pool(counted, categories, "official")
    corrected = None
    if "corrected" in protocols:
        of_videos = [one.corrected for one in outcomes if one.corrected is not None]
        corrected = pool(of_videos, categories, "corrected")
    return Evaluation(
        source=source,
        official=official,
        official_error=reason and f"the public evaluator would abort: {reason}",
        corrected=corrected,
        streaming=event_scores(one.events for one in outcomes),
        confusion=sum((one.confusion for one in outcomes), start=Counter()),
    )


def _examine_video(
    task: tuple[TruthVideo, list[MaskTrack], list[Category], Sequence[Protocol]],
) -> VideoOutcome:
    video, predicted, categories, protocols = task
    pairs = find_pairs(video.tracks, predicted, len(video.frames), video.size or (0, 0))
    case = Case(video.name, video.times_s, video.tracks, predicted, pairs)
    return examine(case, categories, protocols)


@contextmanager
def workers(jobs: int) -> Iterator[Map]:
    """A `map` over `jobs` processes that keeps the order, for `read_truth` and `evaluate`."""
    if jobs == 1:
        yield map
        return
    # A fork has nothing to load, but would copy the locks that other threads hold.
    alone = threading.active_count() == 1
    with get_context("fork" if alone else "spawn").Pool(jobs) as pool:

        def apply(work: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterable[Any]:
            listed = list(tasks)
            return pool.imap(work, listed, chunksize=1 + len(listed) // (8 * jobs))

        yield apply
