"""What a procedural clip is made of: its settings and its result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamavis.errors import ArgumentError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["CLASSES", "VERSION", "OffScreen", "WorldClip", "WorldConfig"]

VERSION = 1  # rises whenever a seed no longer means the same clip
CLASSES: tuple[str, ...] = ("person", "bird", "frog", "drum", "bell", "car", "radio", "kettle")

MAX_OBJECTS = 5
MIN_FPS, MAX_FPS = 5.0, 30.0


@dataclass(frozen=True)
class WorldConfig:
    """Size and rate of a clip, and how often what happens in it.

    A seed means the same scene, schedule and sound at every size and frame rate.
    """

    width: int = 640  # pixels
    height: int = 360
    fps: float = 10.0  # 5..30 frames per second
    duration_s: float = 4.0  # of pictures
    lead_s: float = 0.0  # of sound before the first picture, for networks with a memory
    min_objects: int = 2
    max_objects: int = MAX_OBJECTS
    silent_clip: float = 0.1  # clips without any sound
    pause: float = 0.35  # other clips in which all sources pause at once
    pair: float = 0.66  # clips with two objects of one class
    pair_solo: float = 0.88  # of these, only one of the two sounds at a time
    off_screen: float = 0.5  # not silent clips with a sound whose source is never in view
    off_screen_seen: float = 0.12  # of these, a silent object of that class is in view
    unrelated_motion: float = 0.35  # objects that also move, out of time, while silent
    travel: float = 0.24  # objects that enter or leave the picture
    crossing: float = 0.22  # objects that drift over another one
    shake: float = 0.6  # clips whose camera is not on a tripod
    reverb: float = 0.6  # clips recorded in a room

    def __post_init__(self) -> None:
        if self.width < 32 or self.height < 32:
            raise ArgumentError(f"a {self.width}x{self.height} picture is too small; use >= 32x32")
        if not MIN_FPS <= self.fps <= MAX_FPS:
            raise ArgumentError(f"fps is {self.fps}; choose {MIN_FPS:g} to {MAX_FPS:g}")
        if round(self.duration_s * self.fps) < 1:
            raise ArgumentError(f"duration_s {self.duration_s} holds no frame at {self.fps} fps")
        if self.lead_s < 0:
            raise ArgumentError(f"lead_s is {self.lead_s}; it cannot be negative")
        if not 1 <= self.min_objects <= self.max_objects <= MAX_OBJECTS:
            raise ArgumentError(
                f"objects per clip are {self.min_objects}..{self.max_objects};"
                f" choose within 1..{MAX_OBJECTS}"
            )

    @property
    def sound_s(self) -> float:
        """Length of the sound, from stream time 0 to the end of the last picture."""
        return self.lead_s + self.duration_s

    @property
    def num_frames(self) -> int:
        """Pictures in a clip."""
        return round(self.duration_s * self.fps)


@dataclass
class OffScreen:
    """A source of sound that is never in view."""

    class_id: int
    sounding: NDArray[np.bool_]  # (T,)


@dataclass
class WorldClip:
    """A clip and the whole truth about it: T frames, N objects, K classes.

    Sound counts at a frame when it was emitted for at least 50 of the 200 ms before it.
    """

    frames: NDArray[np.uint8]  # (T, H, W, 3) RGB
    times_ns: NDArray[np.int64]  # (T,) when each picture was taken; the sound starts at 0
    fps: float
    ids: NDArray[np.uint8]  # (T, H, W) 0 background, i + 1 where object i is the topmost
    class_ids: NDArray[np.int64]  # (N,) into CLASSES
    visible: NDArray[np.bool_]  # (T, N) it has pixels in `ids`
    sounding: NDArray[np.bool_]  # (T, N) it is visible and its sound counts
    level: NDArray[np.float32]  # (T, N) 0..1, drives the pose; loudness wherever it sounds
    moves_silently: NDArray[np.bool_]  # (N,) it also moves, out of time, while silent
    waveform: NDArray[np.float32]  # (samples,) mono, SAMPLE_RATE, in [-1, 1]
    heard: NDArray[np.bool_]  # (T, K) classes whose sound counts, in view or not
    off_screen: list[OffScreen]
