"""How AVISM's code samples and augments AVISeg for the teacher (the paper's recipe, section 9).

A reference frame and four others within 20 of it, drawn with replacement and sorted by time; half
of the clips are cropped, by a window that drifts through the clip; then resized and mirrored.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from streamavis.errors import InputError
from streamavis_training.data.classes import ClassMap
from streamavis_training.data.videos import clip_of, labelled
from streamavis_training.data.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamavis_training.data.layout import Video
    from streamavis_training.data.sample import Sample

__all__ = ["ClipSampler", "SampledClip", "SamplingConfig", "sampled_frames", "sampled_views"]


@dataclass(frozen=True)
class SamplingConfig:
    """Numbers of the public configuration."""

    frames: int = 5
    reach: int = 20  # the other frames are at most this far from the reference frame
    cropped: float = 0.5  # share of the clips
    crop_resize: tuple[int, ...] = (400, 500, 600)  # short sides before the crop, pixels
    crop_resize_max: int = 1333
    crop_side: tuple[int, int] = (384, 600)  # least and most
    short_sides: tuple[int, ...] = tuple(range(288, 513, 32))
    long_side: int = 768  # at most
    flip: float = 0.5


@dataclass
class SampledClip:
    """A clip for the teacher."""

    sample: Sample  # H and W differ from clip to clip; times may repeat
    video: Video
    frames: NDArray[np.int64]  # (T,) of the video: rows of its cached sound features


class ClipSampler:
    """Draws clips as the public training code does."""

    def __init__(
        self,
        videos: Sequence[Video],
        labels: Sequence[str],
        classes: tuple[str, ...],
        config: SamplingConfig | None = None,
        *,
        sound: bool = True,
    ) -> None:
        """Take the videos that have annotations.

        Args:
            videos, labels: as `layout.read_place` gives them.
            classes: of the task.
            config: the public code's when None.
            sound: False leaves the sound undecoded, for those who have its features.

        Raises:
            InputError: no video has an annotation, or no label is a class of the task.
        """
        self.classes = classes
        self._config = config or SamplingConfig()
        self._map = ClassMap(labels, classes)
        self._videos = labelled(videos)
        self._sound = sound
        if not self._videos:
            raise InputError("none of the videos has an annotation; train on another split")

    def __len__(self) -> int:
        """How many videos there are: clips of an epoch."""
        return len(self._videos)

    def draw(self, rng: np.random.Generator) -> SampledClip:
        """Draw a clip of a random video.

        Raises:
            InputError: a file does not decode or an annotation is malformed.
        """
        return self.of(int(rng.integers(len(self._videos))), rng)

    def of(self, index: int, rng: np.random.Generator) -> SampledClip:
        """Draw a clip of one video, `index` from 0 to `len(self) - 1`."""
        video = self._videos[index]
        frames = sampled_frames(len(video.frames), self._config, rng)
        views = sampled_views((video.height, video.width), self._config, rng)
        times_ns = video.times_ns[frames]
        count = len(self.classes)
        sample = clip_of(video, frames, times_ns, views, self._map, count, sound=self._sound)
        return SampledClip(sample, video, frames)


def sampled_frames(
    length: int, config: SamplingConfig, rng: np.random.Generator
) -> NDArray[np.int64]:
    """(T,) sorted places in a video of `length` frames."""
    reference = int(rng.integers(length))
    near = np.arange(max(reference - config.reach, 0), min(reference + config.reach + 1, length))
    others = near[near != reference]
    if not len(others):  # a video of one frame
        others = near
    drawn = rng.choice(others, config.frames - 1, replace=True)
    return np.sort(np.append(drawn, reference))


def sampled_views(
    source: tuple[int, int], config: SamplingConfig, rng: np.random.Generator
) -> list[View]:
    """(T) the part of each frame, in pixels of the source of (height, width)."""
    windows = [(0, 0, *source)] * config.frames  # top, left, height, width
    cropped = source
    if rng.random() < config.cropped:
        scale = _scale(source, int(rng.choice(config.crop_resize)), config.crop_resize_max)
        resized = (round(source[0] * scale), round(source[1] * scale))
        least, most = config.crop_side
        cropped = (
            int(rng.integers(min(least, resized[0]), min(most, resized[0]) + 1)),
            int(rng.integers(min(least, resized[1]), min(most, resized[1]) + 1)),
        )
        room = [whole - side for whole, side in zip(resized, cropped, strict=True)]
        ends = np.array([[rng.integers(side + 1) for side in room] for _ in range(2)])
        shares = np.linspace(0, 1, config.frames)[:, None]
        corners = ends[0] * (1 - shares) + ends[1] * shares
        windows = [_unscaled((*corner, *cropped), scale, source) for corner in corners]
    scale = _scale(cropped, int(rng.choice(config.short_sides)), config.long_side)
    size = (max(round(cropped[0] * scale), 1), max(round(cropped[1] * scale), 1))
    flip = bool(rng.random() < config.flip)
    return [replace(View(x, y, width, height, size), flip=flip) for y, x, height, width in windows]


def _scale(size: tuple[int, int], short: int, long: int) -> float:
    """Makes the short side `short`, the long one at most `long`."""
    return min(short / min(size), long / max(size))


def _unscaled(
    window: tuple[float, float, int, int], scale: float, source: tuple[int, int]
) -> tuple[int, int, int, int]:
    top, left, height, width = (round(float(value) / scale) for value in window)
    top, left = min(top, source[0] - 1), min(left, source[1] - 1)
    return top, left, min(height, source[0] - top), min(width, source[1] - left)
