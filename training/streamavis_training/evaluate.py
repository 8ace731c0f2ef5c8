"""How good a causal network is on clips with ground truth, run as a user would: frame by frame.

A sounding detection is a reported track that is heard. Per frame, sounding detections are matched
to the objects that are visible and sound, by mask IoU; the class is not asked for there and
reported apart. Frames with two visible objects of one class of which exactly one sounds
("pair frames") can only be told by motion, and are reported apart.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

import numpy as np
from pycocotools import mask as coco
from scipy.optimize import linear_sum_assignment

from streamavis.masks import encode
from streamavis.session import Session
from streamavis.types import SAMPLE_RATE, AudioChunk, FrameResult, Rle, Track, VideoFrame
from streamavis_training.synth import clip_seed
from streamavis_training.world import WorldClip, WorldConfig, clip

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from streamavis.runtime.step import StepModel

__all__ = [
    "FrameTruth",
    "Scores",
    "Sound",
    "evaluate",
    "pair_of",
    "score_frame",
    "unseen",
    "watch",
]

Sound = Literal["own", "swapped", "silence"]
_HIT = 0.5  # IoU at which a detection counts


@dataclass
class FrameTruth:
    """The N objects in view in one frame."""

    masks: list[Rle]  # N
    class_ids: NDArray[np.integer]  # (N,), of the network; -1: a class it does not know
    sounding: NDArray[np.bool_]  # (N,)


@dataclass
class Scores:
    """Counts over frames; add them up, then ask for the ratios."""

    frames: int = 0
    sounding_objects: int = 0  # object-frames that are visible and sound
    sounding_iou: float = 0.0  # summed over them; 0 where missed
    detections: int = 0  # sounding tracks reported
    hits: int = 0  # of these, on a sounding object at IoU >= 0.5
    right_class: int = 0  # of the hits
    visible_objects: int = 0
    visible_iou: float = 0.0  # best one-to-one match of any track, summed
    visible_hits: int = 0  # of the visible objects, matched at IoU >= 0.5
    visible_right: int = 0  # of these, under the right class
    quiet_frames: int = 0  # frames in which no object in view sounds
    quiet_right: int = 0  # of these, without a sounding track
    alarm_frames: int = 0  # frames with a sounding track, of all
    pairs: int = 0  # pair frames in which both objects are found
    pairs_right: float = 0.0  # of these, the one that sounds is rated higher (ties count half)

    def __add__(self, other: Scores) -> Scores:
        return Scores(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def mean_iou(self) -> float:
        """Over all object-frames that sound, a miss counting 0."""
        return self.sounding_iou / max(self.sounding_objects, 1)

    @property
    def precision(self) -> float:
        return self.hits / max(self.detections, 1)

    @property
    def recall(self) -> float:
        return self.hits / max(self.sounding_objects, 1)

    def ratios(self) -> dict[str, float]:
        """Every figure by name; NaN where nothing was counted."""

        def share(part: float, whole: int) -> float:
            return part / whole if whole else float("nan")

        return {
            "mean_iou": share(self.sounding_iou, self.sounding_objects),
            "precision": share(self.hits, self.detections),
            "recall": share(self.hits, self.sounding_objects),
            "class_accuracy": share(self.right_class, self.hits),
            "visible_iou": share(self.visible_iou, self.visible_objects),
            "quiet_frames_right": share(self.quiet_right, self.quiet_frames),
            "frames_without_sounding_track": 1 - share(self.alarm_frames, self.frames),
            "pair_ranking": share(self.pairs_right, self.pairs),
        }


def unseen(count: int, seed: int, config: WorldConfig | None = None) -> Iterator[WorldClip]:
    """The clips that `streamavis synth --clips COUNT --seed SEED` draws, without files."""
    for index in range(count):
        yield clip(clip_seed(seed, index), config or WorldConfig())


def watch(
    model: StepModel, scene: WorldClip, waveform: NDArray[np.float32]
) -> Iterator[FrameResult]:
    """Run one clip through a session of its own, with the given sound."""
    session = Session(model, stream="evaluation")
    heard = 0
    for index, (picture, time_ns) in enumerate(zip(scene.frames, scene.times_ns, strict=True)):
        until = int(time_ns) * SAMPLE_RATE // 1_000_000_000
        if until > heard:
            start_ns = heard * 1_000_000_000 // SAMPLE_RATE
            session.hear(AudioChunk(waveform[heard:until], start_ns))
            heard = until
        yield session.see(VideoFrame(picture, int(time_ns), index, "pts"))


def evaluate(
    model: StepModel, scenes: Iterable[WorldClip], sound: Sound = "own"
) -> tuple[Scores, Scores]:
    """Score a network.

    Args:
        model: in evaluation mode.
        scenes: clips with truth. With `sound="swapped"` each is given the sound of the clip
            before it (the first that of the last), with "silence" digital silence; the truth
            stays that of the picture.

    Returns:
        Scores of the frames that are not pair frames, and of those that are.
    """
    plain, paired = Scores(), Scores()
    for scene, waveform in _with_sound(scenes, sound):
        for index, result in enumerate(watch(model, scene, waveform)):
            truth = _truth(scene, index)
            score = score_frame(result.tracks, truth)
            if pair_of(truth) is None:
                plain += score
            else:
                paired += score
    return plain, paired


def _with_sound(
    scenes: Iterable[WorldClip], sound: Sound
) -> Iterator[tuple[WorldClip, NDArray[np.float32]]]:
    if sound != "swapped":
        for scene in scenes:
            own = scene.waveform
            yield scene, own if sound == "own" else np.zeros_like(own)
        return
    iterator = iter(scenes)
    first = previous = next(iterator)
    for scene in iterator:
        yield scene, previous.waveform
        previous = scene
    yield first, previous.waveform


def _truth(scene: WorldClip, index: int) -> FrameTruth:
    visible = np.flatnonzero(scene.visible[index])
    masks = [encode(scene.ids[index] == i + 1) for i in visible]
    return FrameTruth(masks, scene.class_ids[visible], scene.sounding[index][visible])


def pair_of(truth: FrameTruth) -> tuple[int, int] | None:
    """Two visible objects of one class, the first of which sounds and the second does not."""
    for a in np.flatnonzero(truth.sounding):
        for b in np.flatnonzero(~truth.sounding):
            if truth.class_ids[a] == truth.class_ids[b]:
                return int(a), int(b)
    return None


def score_frame(tracks: list[Track], truth: FrameTruth) -> Scores:
    """Count one frame: what was reported against what is in view."""
    sounds = truth.sounding
    iou = _iou(tracks, truth.masks)  # (tracks, objects)
    heard = np.array([t.is_sounding for t in tracks], bool)
    score = Scores(
        frames=1,
        sounding_objects=int(sounds.sum()),
        detections=int(heard.sum()),
        visible_objects=len(sounds),
        quiet_frames=int(not sounds.any()),
        quiet_right=int(not sounds.any() and not heard.any()),
        alarm_frames=int(heard.any()),
    )
    for t, o in _assign(iou):
        score.visible_iou += float(iou[t, o])
        if iou[t, o] >= _HIT:
            score.visible_hits += 1
            score.visible_right += int(tracks[t].class_id == truth.class_ids[o])
    loud = iou[heard][:, sounds]
    for t, o in _assign(loud):
        score.sounding_iou += float(loud[t, o])
        if loud[t, o] >= _HIT:
            score.hits += 1
            track = tracks[np.flatnonzero(heard)[t]]
            score.right_class += int(track.class_id == truth.class_ids[sounds][o])
    pair = pair_of(truth)
    if pair is not None:
        _score_pair(score, iou, pair, tracks)
    return score


def _score_pair(
    score: Scores, iou: NDArray[np.float64], pair: tuple[int, int], tracks: list[Track]
) -> None:
    found = {o: t for t, o in _assign(iou) if iou[t, o] >= _HIT}
    if not all(o in found for o in pair):
        return
    right, wrong = (tracks[found[o]].sounding or 0.0 for o in pair)
    score.pairs += 1
    score.pairs_right += 1.0 if right > wrong else 0.5 if right == wrong else 0.0


def _iou(tracks: list[Track], truth: list[Rle]) -> NDArray[np.float64]:
    if not tracks or not truth:
        return np.zeros((len(tracks), len(truth)))
    sides = [
        [{"size": list(r.size), "counts": r.counts.encode("ascii")} for r in side]
        for side in ([t.rle for t in tracks], truth)
    ]
    return np.asarray(coco.iou(*sides, [0] * len(truth)))


def _assign(iou: NDArray[np.float64]) -> list[tuple[int, int]]:
    return list(zip(*linear_sum_assignment(-iou), strict=True)) if iou.size else []
