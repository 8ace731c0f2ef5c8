"""Clips of coloured squares for the tests of the teacher and of distillation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from streamavis_training.data.sample import ClipShape, Sample

from streamavis.model.avism import AVISMConfig
from streamavis.model.light_backbone import NanoConfig

CLASSES = ("red", "green")
TEACHER = AVISMConfig(
    classes=CLASSES,
    backbone=NanoConfig((8, 16, 16, 16)),
    short_side=64,
    channels=32,
    audio_channels=16,
    heads=4,
    hidden=32,
    pixel_layers=1,
    pixel_hidden=32,
    points=2,
    frame_queries=4,
    frame_layers=3,
    object_layers=2,
    window=6,
    video_queries=4,
    video_layers=1,
    audio="causal",
)


@dataclass(frozen=True)
class Squares:
    """A red and a green square; one of them sounds, or each in turn."""

    turns: bool = False
    sound: bool = True

    @property
    def classes(self) -> tuple[str, ...]:
        return CLASSES

    def draw(self, shape: ClipShape, rng: np.random.Generator) -> Sample:
        steps, height, width = shape.frames, shape.height, shape.width
        frames = np.full((steps, height, width, 3), 90, np.uint8)
        masks = np.zeros((steps, 2, height, width), np.uint8)
        side = height // 3
        for n in range(2):
            x, y = n * width // 2 + int(rng.integers(width // 4)), int(rng.integers(height // 2))
            for t in range(steps):
                box = (slice(y, y + side), slice(x + t, x + t + side))
                masks[t, n][box] = 255
                frames[t][box] = (220, 30, 30) if n == 0 else (30, 200, 40)
        times_ns = np.arange(1, steps + 1) * 250_000_000
        loud = np.zeros((steps, 2), np.float32)
        first = int(rng.integers(2))
        for t in range(steps):
            loud[t, (first + (t // 3 if self.turns else 0)) % 2] = 1
        seconds = np.arange(int(16_000 * (steps + 1) / 4)) / 16_000
        tone = np.where(loud[np.minimum((seconds * 4).astype(int), steps - 1), 0] == 1, 300, 1500)
        waveform = (0.4 * np.sin(2 * np.pi * tone * seconds)).astype(np.float32)
        unknown = np.full((steps, 2), np.nan, np.float32)
        return Sample(
            name="squares",
            frames=frames,
            times_ns=times_ns,
            waveform=waveform if self.sound else None,
            waveform_start_ns=0,
            masks=masks,
            class_ids=np.arange(2),
            visible=np.ones((steps, 2), np.float32),
            sounding=loud if self.sound else unknown,
            level=unknown,
            heard=loud if self.sound else unknown,
            ignore=None,
        )
