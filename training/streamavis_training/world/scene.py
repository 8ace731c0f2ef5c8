"""The description of a clip: its objects, their look, motion and sound, and the camera.

All for a 16:9 picture of height 1, whatever the size and the frame rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamavis_training.world.rhythm import Performance
    from streamavis_training.world.shapes import Look

__all__ = ["ASPECT", "Actor", "Camera", "Lens", "Scene", "Scenery", "Sway", "Voice", "generator"]

ASPECT = 16 / 9


@dataclass(frozen=True)
class Sway:
    """A smooth wobble in time: a sum of sines."""

    size: NDArray[np.float64]  # (n,)
    rate_hz: NDArray[np.float64]
    phase: NDArray[np.float64]

    def at(self, time_s: float) -> float:
        """Value at a time, within the sum of `size`."""
        return float(self.size @ np.sin(2 * np.pi * self.rate_hz * time_s + self.phase))


@dataclass(frozen=True)
class Actor:
    """One object that comes into view."""

    class_id: int
    look: Look
    scale: float  # picture heights per sprite unit
    flip: int  # -1 or 1
    tilt_deg: float
    keys: NDArray[np.float64]  # (k, 3): share of the clip, x, y (shares of the picture)
    sway: tuple[Sway, Sway, Sway]  # of x, y and tilt

    def place(self, share: float) -> tuple[float, float]:
        """Where it is at a share of the clip, without its sway."""
        when, x, y = self.keys.T
        return float(np.interp(share, when, x)), float(np.interp(share, when, y))


@dataclass(frozen=True)
class Voice:
    """One source of sound, in view or not."""

    class_id: int
    part: Performance
    gain_db: float


@dataclass(frozen=True)
class Camera:
    """Where the camera points: offsets in picture heights, zoom around the centre."""

    pan: tuple[float, float]  # moved by this much over the clip
    zoom: tuple[float, float]  # at the start and the end
    shake: tuple[Sway, Sway]  # of x and y


@dataclass(frozen=True)
class Lens:
    """How the camera turns light into pixels."""

    tint: tuple[float, float, float]  # gain of red, green and blue
    lift: float  # added to every pixel, 0..255
    flicker: Sway  # of the gain
    blur: float  # sigma in picture heights
    noise: float  # sigma in grey levels


@dataclass(frozen=True)
class Scenery:
    """What is behind the objects."""

    kind: str  # a name in `backdrop.KINDS`
    contrast: float  # 1 is as drawn
    grain: float  # sigma in grey levels


@dataclass(frozen=True)
class Scene:
    """Everything a clip is rendered from, but its size and rate."""

    seed: int  # draws the scenery's details, the room and the noise
    actors: list[Actor]  # back to front
    voices: list[Voice]  # of the actors, in their order, then those off screen
    camera: Camera
    lens: Lens
    scenery: Scenery
    reverb: bool


def generator(seed: int, purpose: int) -> np.random.Generator:
    """A stream of random numbers of its own for each purpose of a clip."""
    return np.random.default_rng([seed, purpose])
