"""Evaluation while a stream runs: fed frame by frame, the same numbers as its file would give."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from streamavis.errors import InputError
from streamavis.metrics.data import Case, Category, MaskTrack
from streamavis.metrics.evaluation import PROTOCOLS, Evaluation, VideoOutcome, conclude, examine
from streamavis.metrics.overlap import PairList
from streamavis.metrics.runs import MaskError, areas

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamavis.metrics.scores import Protocol
    from streamavis.types import Rle

__all__ = ["Sight", "StreamingEvaluator"]


@dataclass(frozen=True, slots=True)
class Sight:
    """One object in one frame."""

    track: int  # the same in every frame of a video; in ground truth not negative
    category_id: int  # the same in every frame
    rle: Rle
    score: float = 1.0  # predictions; the last one given is the track's
    crowd: bool = False  # ground truth


class StreamingEvaluator:
    """Evaluates frames as they come.

    Of a closed video counts are kept, and the predicted run lengths, which rank equal scores. The
    numbers are those of `evaluate` on the file in which tracks stand in the order of their first
    appearance and ground truth states the areas of its masks.
    """

    def __init__(
        self, categories: Sequence[Category], *, protocols: Sequence[Protocol] = PROTOCOLS
    ) -> None:
        """Start with nothing seen.

        Args:
            categories: the classes that count.
            protocols: which numbers to compute.
        """
        self._categories = list(categories)
        self._protocols = tuple(protocols)
        self._open: dict[str, _OpenVideo] = {}
        self._closed: dict[str, VideoOutcome] = {}

    def add(
        self, video: str, time_s: float, truth: Sequence[Sight], predicted: Sequence[Sight]
    ) -> None:
        """Take the next frame of a video; videos may take turns.

        Args:
            video: its name.
            time_s: of the frame, rising within the video.
            truth: what sounds.
            predicted: what is said to sound.

        Raises:
            InputError: the frame does not fit those before it, or a mask is malformed; nothing
                of it was taken.
        """
        if video in self._closed:
            raise InputError(f"video {video!r} was closed and takes no more frames")
        known = {category.id for category in self._categories}
        for sight in truth:
            if sight.category_id not in known or sight.track < 0:
                raise InputError(
                    f"video {video!r}, track {sight.track}: ground truth needs an id from 0 on "
                    f"and a known category_id, not {sight.category_id}"
                )
        growing = self._open.get(video) or _OpenVideo(video)
        growing.add(time_s, truth, predicted)
        self._open[video] = growing

    def close(self, video: str) -> None:
        """Count a video that is over; it takes no more frames.

        Raises:
            InputError: the video is not open.
        """
        if video not in self._open:
            raise InputError(f"video {video!r} is not open: it was closed, or never seen")
        growing = self._open.pop(video)
        self._closed[video] = examine(growing.case(), self._categories, self._protocols)

    def result(self, source: str = "stream") -> Evaluation:
        """The numbers of everything seen so far; open videos stay open."""
        outcomes = dict(self._closed)
        for name, growing in self._open.items():
            outcomes[name] = examine(growing.case(), self._categories, self._protocols)
        ordered = [outcomes[name] for name in sorted(outcomes)]
        return conclude(source, ordered, self._categories, self._protocols)


@dataclass(slots=True)
class _OpenTrack:
    category_id: int
    place: int
    score: float
    crowd: bool
    masks: list[bytes | None]
    areas: list[int]

    def track(self, id_: int, length: int) -> MaskTrack:
        missing = length - len(self.masks)
        sizes = np.array(self.areas + [-1] * missing, np.int64)
        visible = sizes[sizes > 0]
        return MaskTrack(
            id=id_,
            category_id=self.category_id,
            masks=self.masks + [None] * missing,
            areas=sizes,
            score=self.score,
            crowd=self.crowd,
            stated_area=float(visible.mean()) if visible.size else 0.0,
        )


@dataclass(slots=True)
class _OpenVideo:
    """A video that may still grow."""

    name: str
    times_s: list[float] = field(default_factory=list)
    size: tuple[int, int] | None = None
    pairs: PairList | None = None
    truth: dict[int, _OpenTrack] = field(default_factory=dict)
    predicted: dict[int, _OpenTrack] = field(default_factory=dict)

    def add(self, time_s: float, truth: Sequence[Sight], predicted: Sequence[Sight]) -> None:
        frame = len(self.times_s)
        if self.times_s and time_s <= self.times_s[-1]:
            raise InputError(
                f"video {self.name!r}, frame {frame}: time {time_s} s does not come after "
                f"{self.times_s[-1]} s"
            )
        sights = (*truth, *predicted)
        size = self.size or (sights[0].rle.size if sights else None)
        found = self._areas(frame, sights, size)
        self._check(frame, truth, self.truth)
        self._check(frame, predicted, self.predicted)
        self.times_s.append(time_s)
        self.size = size
        visible = (
            _extend(self.truth, frame, truth, found[: len(truth)]),
            _extend(self.predicted, frame, predicted, found[len(truth) :]),
        )
        if size is not None:
            self.pairs = self.pairs or PairList(size)
            self.pairs.add(frame, *visible)

    def case(self) -> Case:
        length = len(self.times_s)
        return Case(
            self.name,
            np.array(self.times_s),
            [track.track(id_, length) for id_, track in self.truth.items()],
            [track.track(track.place, length) for track in self.predicted.values()],
            (self.pairs or PairList((0, 0))).pairs(),
        )

    def _areas(
        self, frame: int, sights: Sequence[Sight], size: tuple[int, int] | None
    ) -> list[int]:
        if size is None:
            return []
        for sight in sights:
            if tuple(sight.rle.size) != tuple(size):
                raise InputError(
                    f"video {self.name!r}, track {sight.track}, frame {frame}: size "
                    f"{sight.rle.size}, expected {size}"
                )
        try:
            counts = [sight.rle.counts.encode() for sight in sights]
            return [int(area) for area in areas(counts, size[0] * size[1])]
        except MaskError as error:
            raise InputError(
                f"video {self.name!r}, track {sights[error.index].track}, frame {frame}: "
                f"{error.what}"
            ) from error

    def _check(self, frame: int, sights: Sequence[Sight], tracks: dict[int, _OpenTrack]) -> None:
        seen: set[int] = set()
        for sight in sights:
            track = tracks.get(sight.track)
            changed = track is not None and track.category_id != sight.category_id
            if sight.track in seen or changed:
                what = "changes its category" if changed else "occurs more than once"
                raise InputError(f"video {self.name!r}, track {sight.track}, frame {frame}: {what}")
            seen.add(sight.track)


def _extend(
    tracks: dict[int, _OpenTrack], frame: int, sights: Sequence[Sight], found: Sequence[int]
) -> list[tuple[int, bytes]]:
    """Add a frame to its tracks; returns place and counts of masks with a pixel."""
    visible = []
    for sight, area in zip(sights, found, strict=True):
        track = tracks.get(sight.track)
        if track is None:
            track = _OpenTrack(sight.category_id, len(tracks), sight.score, sight.crowd, [], [])
            tracks[sight.track] = track
        silent = frame - len(track.masks)
        counts = sight.rle.counts.encode()
        track.masks += [*[None] * silent, counts]
        track.areas += [*[-1] * silent, area]
        track.score = sight.score
        if area:
            visible.append((track.place, counts))
    return visible
