"""One clip as every source of training data gives it, and what a source is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["ClipShape", "Sample", "Source"]


@dataclass(frozen=True)
class ClipShape:
    """What a clip is drawn as."""

    frames: int  # T
    height: int  # pixels of every frame (network size)
    width: int
    # Frames per second to draw from (sources with own times ignore it).
    rates: tuple[float, ...] = (5.0, 6.0, 8.0, 10.0, 12.0, 15.0)


@dataclass
class Sample:
    """One clip of T frames, N objects, K classes."""

    name: str  # where it is from, for messages
    frames: NDArray[np.uint8]  # (T, H, W, 3) RGB
    times_ns: NDArray[np.int64]  # (T,) stream time, rising
    waveform: NDArray[np.float32] | None  # (n,) 16 kHz mono -1..1; None: the source has no sound
    waveform_start_ns: int  # time of waveform[0]
    masks: NDArray[np.uint8]  # (T, N, H, W) coverage 0..255
    class_ids: NDArray[np.int64]  # (N,) in `classes` of the source
    visible: NDArray[np.float32]  # (T, N) 1 yes, 0 no, NaN unknown; where 1, the mask is given
    sounding: NDArray[np.float32]  # (T, N) the same
    level: NDArray[np.float32]  # (T, N) 0..1 or NaN
    heard: NDArray[np.float32]  # (T, K)
    ignore: NDArray[np.bool_] | None  # (T, H, W) may show unlabelled objects; None: all labelled


class Source(Protocol):
    """Draws clips; the same `rng` state gives the same clip."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that `class_ids` and `heard` count."""
        ...

    def draw(self, shape: ClipShape, rng: np.random.Generator) -> Sample:
        """Draw one clip."""
        ...
