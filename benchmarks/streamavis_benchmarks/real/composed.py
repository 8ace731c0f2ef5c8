"""Composed clips with ground truth, in our layout: under their own sound and under others."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from streamavis.masks import encode
from streamavis_benchmarks.real.labels import class_of
from streamavis_benchmarks.real.measured import Measured
from streamavis_benchmarks.real.sheet import tile_of
from streamavis_benchmarks.real.streams import noise

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from streamavis_training.data.layout import Video
    from streamavis_training.evaluate import FrameTruth, Scores
    from streamavis_training.split import ClassMap, Clip

    from streamavis.types import FrameResult
    from streamavis_benchmarks.real.measured import Setting, Tile

__all__ = [
    "SOUNDS",
    "ComposedClip",
    "ComposedUnit",
    "NoAudioUnit",
    "add_scores",
    "frame_truth",
    "read_composed",
]

# What a clip is heard with; "own" first, the others take its place.
SOUNDS = ("own", "swapped", "silence", "noise", "narrator", "music")


@dataclass(frozen=True)
class ComposedClip:
    """A clip, its truth, and where the sounds that take its own's place come from."""

    clip: Clip
    truth: Video
    neighbour: Clip  # another clip, whose sound it is given
    off_screen: dict[str, Path]  # "narrator" or "music" -> a recording of a class not in view
    classes: ClassMap
    number: int

    def waveform(self, sound: str) -> NDArray[np.float32]:
        """(samples,) of one of `SOUNDS`, as long as the clip's own."""
        from streamavis_training.split import read_waveform

        own = self.clip.waveform()
        if sound == "own":
            return own
        if sound == "silence":
            return np.zeros_like(own)
        if sound == "noise":
            return noise(len(own), self.number)
        if sound == "swapped":
            other = self.neighbour.waveform()
        else:
            other = read_waveform(self.off_screen[sound])
        if not len(other):
            return np.zeros_like(own)
        return np.resize(other, len(own)).astype(np.float32)  # repeated where it is shorter


def frame_truth(video: Video, index: int, classes: tuple[str, ...]) -> FrameTruth:
    """What is in view in one frame."""
    from streamavis_training.evaluate import FrameTruth

    seen = []
    for instance in video.instances:
        sounding = instance.sounding
        visible = sounding if instance.visible is None else instance.visible
        if visible is not None and visible[index] and (mask := instance.mask(index)).any():
            sounds = sounding is not None and bool(sounding[index])
            seen.append((mask, class_of(instance.label, classes), sounds))
    return FrameTruth(
        [encode(mask) for mask, _, _ in seen],
        np.array([class_id for _, class_id, _ in seen], np.int64),
        np.array([sounds for _, _, sounds in seen], bool),
    )


@dataclass(frozen=True)
class ComposedUnit:
    """A clip under one sound."""

    composed: ComposedClip
    sound: str
    drawn: bool = False

    @property
    def weight(self) -> float:
        return float(len(self.composed.clip.frames))

    def measure(self, setting: Setting) -> Measured:
        from streamavis_training.evaluate import pair_of, score_frame
        from streamavis_training.prediction import entries_of

        found = Measured()
        results: list[FrameResult] = []
        classes = tuple(setting.network.config.classes)
        for index, result in enumerate(self._watch(setting)):
            results.append(result)
            truth = frame_truth(self.composed.truth, index, classes)
            scores = score_frame(result.tracks, truth)
            row = f"composed, {self.sound}"
            add_scores(found, row, scores)
            if pair_of(truth) is None:
                add_scores(found, f"{row}, no pairs", scores)
            if self.sound == "own":
                self._count_off_screen(found, index, truth, scores)
        if self.sound == "own":
            clip, ids = self.composed.clip, self.composed.classes
            found.predictions["own"] = entries_of(clip, results, ids)
        if self.drawn:
            found.tiles += self._draw(results)
        return found

    def _watch(self, setting: Setting) -> Iterator[FrameResult]:
        from streamavis_training.prediction import watch_clip

        waveform = self.composed.waveform(self.sound)
        yield from watch_clip(
            setting.network, self.composed.clip, waveform=waveform, tracks=setting.tracks
        )

    def _count_off_screen(
        self, found: Measured, index: int, truth: FrameTruth, scores: Scores
    ) -> None:
        """Frames in which something off screen is heard and nothing in view sounds."""
        heard = self.composed.truth.off_screen
        if heard is not None and heard[index].any() and not truth.sounding.any():
            found.counts["composed, off screen/frames"] += 1
            found.counts["composed, off screen/alarm_frames"] += scores.alarm_frames

    def _draw(self, results: list[FrameResult]) -> list[Tile]:
        middle = len(results) // 2
        for index, picture in enumerate(self.composed.clip.pictures()):
            if index == middle:
                title = f"{self.composed.clip.name}, {self.sound} sound"
                return [tile_of(title, picture, results[index])]
        return []


@dataclass(frozen=True)
class NoAudioUnit:
    """Predictions of a clip without sound.

    The model itself, without a microphone, reports "unknown": every object in view is then taken
    to sound. A model that was trained without sound reports `sounding` itself.
    """

    composed: ComposedClip
    own: bool  # the model itself; False: one that was trained without sound

    @property
    def weight(self) -> float:
        return float(len(self.composed.clip.frames))

    def measure(self, setting: Setting) -> Measured:
        from streamavis_training.prediction import Settings, predict_video

        settings = Settings(
            objects="visible" if self.own else "sounding", no_audio=self.own, tracks=setting.tracks
        )
        found = predict_video(
            setting.network, self.composed.clip, self.composed.classes, settings=settings
        )
        return Measured(predictions={"no_audio": found})


def add_scores(found: Measured, row: str, scores: Scores) -> None:
    """Count a frame's scores under `row`."""
    for one in fields(scores):
        found.counts[f"{row}/{one.name}"] += getattr(scores, one.name)


def read_composed(
    folder: Path,
    network_classes: tuple[str, ...],
    sounds: dict[str, list[tuple[str, Path]]],
    limit: int | None = None,
) -> tuple[Any, list[ComposedClip]]:
    """The split, and its clips with everything they are heard with.

    Args:
        folder: in our layout.
        network_classes: what the model knows.
        sounds: label and file of narrators and music.
        limit: of clips; None: all.

    Raises:
        InputError: the folder is not as the layout says, or lacks sound.
    """
    from streamavis_training.data.layout import read
    from streamavis_training.split import match_classes, read_split

    split = read_split(folder)
    truth = {video.name: video for video in read(folder)}
    classes = match_classes(network_classes, split.categories)
    clips = split.clips[:limit]
    composed = []
    for number, clip in enumerate(clips):
        video = truth[clip.name]
        labels = {instance.label for instance in video.instances}
        chosen = {}
        for kind, recordings in sounds.items():
            # A class that is in view might sound: that would be another question.
            other = [path for label, path in recordings if label not in labels]
            if other:
                chosen[kind] = other[number % len(other)]
        neighbour = clips[(number + 1) % len(clips)]
        composed.append(ComposedClip(clip, video, neighbour, chosen, classes, number))
    return split, composed
