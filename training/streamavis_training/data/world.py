"""Clips of the procedural world, drawn on the spot or cut from a rendered pool."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from streamavis.errors import InputError
from streamavis_training.data.sample import ClipShape, Sample
from streamavis_training.world import CLASSES, WorldConfig, clip

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["PoolSource", "WorldSource", "masks_of"]

_LEAD_S = 1.0  # of sound before the first frame
_SEEDS = 2**62
_ARRAYS = (
    *("frames", "ids", "waveform", "times_ns", "class_ids"),
    *("visible", "sounding", "level", "heard"),
)


class WorldSource:
    """Renders a new clip on every draw, with complete ground truth."""

    @property
    def classes(self) -> tuple[str, ...]:
        return CLASSES

    def draw(self, shape: ClipShape, rng: np.random.Generator) -> Sample:
        """Render a clip at one of the shape's rates, each within 5..30."""
        fps = float(rng.choice(shape.rates))
        config = WorldConfig(
            width=shape.width,
            height=shape.height,
            fps=fps,
            duration_s=shape.frames / fps,
            lead_s=_LEAD_S,
        )
        seed = int(rng.integers(_SEEDS))
        made = clip(seed, config)
        return Sample(
            name=f"procedural clip {seed}",
            frames=made.frames,
            times_ns=made.times_ns,
            waveform=made.waveform,
            waveform_start_ns=0,
            masks=masks_of(made.ids, len(made.class_ids)),
            class_ids=made.class_ids,
            visible=made.visible.astype(np.float32),
            sounding=made.sounding.astype(np.float32),
            level=made.level,
            heard=made.heard.astype(np.float32),
            ignore=None,
        )


class PoolSource:
    """Cuts clips from a pool that `pool.render` made; its frames have times of their own."""

    def __init__(self, folder: Path) -> None:
        """Take a rendered pool.

        Raises:
            InputError: `folder` holds none, or one of another version of the world.
        """
        stamp = folder / "pool.json"
        try:
            about = json.loads(stamp.read_text())
        except (OSError, ValueError) as error:
            raise InputError(f"{stamp}: no rendered pool ({error}); render it anew") from error
        if tuple(about["classes"]) != CLASSES:
            raise InputError(f"{stamp}: has the classes {about['classes']}; render it anew")
        self._folder = folder
        self._files: dict[str, NDArray[Any]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": {}}  # each process maps the files itself

    @property
    def classes(self) -> tuple[str, ...]:
        return CLASSES

    def draw(self, shape: ClipShape, rng: np.random.Generator) -> Sample:
        """Cut consecutive frames of a random clip, resized to the shape.

        Raises:
            InputError: the pool's clips have fewer than `shape.frames` frames.
        """
        if not self._files:
            self._files = {name: np.load(self._folder / f"{name}.npy", "r") for name in _ARRAYS}
        clips, length = self._files["times_ns"].shape
        if shape.frames > length:
            raise InputError(
                f"{self._folder}: its clips have {length} frames, {shape.frames} are wanted; use"
                " shorter clips or render longer ones"
            )
        row = int(rng.integers(clips))
        first = int(rng.integers(length - shape.frames + 1))
        at = slice(first, first + shape.frames)
        files = {name: file[row] for name, file in self._files.items()}
        kept = np.flatnonzero(files["class_ids"] >= 0)
        size = (shape.height, shape.width)
        masks = masks_of(files["ids"][at], len(files["class_ids"]))[:, kept]
        return Sample(
            name=f"clip {row} of {self._folder.name}",
            frames=np.stack([_resized(frame, size) for frame in files["frames"][at]]),
            times_ns=np.array(files["times_ns"][at]),
            waveform=files["waveform"].astype(np.float32) / 32767,
            waveform_start_ns=0,
            masks=np.array([[_resized(m, size) for m in frame] for frame in masks], np.uint8),
            class_ids=files["class_ids"][kept],
            visible=files["visible"][at][:, kept].astype(np.float32),
            sounding=files["sounding"][at][:, kept].astype(np.float32),
            level=np.array(files["level"][at][:, kept]),
            heard=files["heard"][at].astype(np.float32),
            ignore=None,
        )


def _resized(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    if picture.shape[:2] == size:
        return np.array(picture)
    return np.asarray(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def masks_of(ids: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """(T, H, W) ids, i + 1 where object i is -> (T, N, H, W) coverage 0 or 255."""
    objects = np.arange(1, count + 1, dtype=np.uint8)[:, None, None]
    return (ids[:, None] == objects) * np.uint8(255)
