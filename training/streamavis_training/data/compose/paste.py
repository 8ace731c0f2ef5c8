"""Draw a cut-out into the frames of a clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamavis_training.data.compose.camera import Camera
    from streamavis_training.data.compose.library import Library
    from streamavis_training.data.compose.placement import Placement

__all__ = ["paste"]


@dataclass(frozen=True)
class _Finish:
    """How one cut-out differs from its picture."""

    gain: NDArray[np.float32]  # (3,)
    bias: float
    inwards: float  # pixels that its edge fades inwards
    soft: float  # pixels of blur
    sharp_alpha: float  # alpha below this becomes 0: thin rests of its old background

    @staticmethod
    def draw(rng: np.random.Generator) -> _Finish:
        gain = rng.uniform(0.75, 1.15) * rng.uniform(0.94, 1.06, 3)
        return _Finish(
            gain.astype(np.float32),
            rng.uniform(-12, 12),
            rng.uniform(0.3, 1.0) if rng.random() < 0.6 else 0.0,
            rng.uniform(0.3, 1.0) if rng.random() < 0.2 else 0.0,
            rng.uniform(0.1, 0.5),
        )

    def apply(self, patch: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(h, w, 4) premultiplied -> (h, w, 3) premultiplied colour and (h, w, 1) alpha 0..1."""
        alpha = patch[..., 3:] * np.float32(1 / 255)
        kept = np.clip((alpha - self.sharp_alpha) * np.float32(1 / (1 - self.sharp_alpha)), 0, 1)
        if self.inwards:
            blurred = cv2.GaussianBlur(kept, (0, 0), self.inwards)[..., None]
            # Half of the blurred edge lies outside: only its inner half is kept.
            kept = np.minimum(np.clip(blurred * 2 - 1, 0, 1), kept)
        colour = patch[..., :3] * (kept / np.maximum(alpha, 1e-3))
        colour = np.clip(colour * self.gain + np.float32(self.bias) * kept, 0, 255 * kept)
        if self.soft:
            colour = cv2.GaussianBlur(colour, (0, 0), self.soft)
            kept = cv2.GaussianBlur(kept, (0, 0), self.soft)[..., None]
        return colour, kept


def paste(
    library: Library,
    place: Placement,
    frames: NDArray[np.float32],
    times_s: NDArray[np.float64],
    camera: Camera,
    level: NDArray[np.float32] | None,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Draw over all frames, in place.

    Args:
        frames: (T, H, W, 3) RGB 0..255.
        times_s: (T,).
        level: (T,) 0..1 that its motion follows, or None.

    Returns:
        (T, H, W) what it covers, 0..255, not regarding what is drawn over it later.
    """
    finish = _Finish.draw(rng)
    size, h0 = place.height, place.entry.levels[0][1]
    depth = 0
    while depth + 1 < len(place.entry.levels) and size * 2 ** (depth + 1) <= h0:
        depth += 1
    source = library.cutout(place.entry, depth)
    covered = np.zeros(frames.shape[:3], np.uint8)
    still = camera.still and not any((*place.speed, place.grow, place.turn, place.sway[0]))
    drawn: tuple[slice, slice, NDArray[np.float32], NDArray[np.float32]] | None = None
    for t in range(len(frames)):
        if not (still and level is None and t):
            loud = 0.0 if level is None else float(level[t])
            affine = _affine(place, source.shape[:2], float(times_s[t] - times_s[0]), loud)
            motion = np.vstack([camera.motion[t], [0, 0, 1]])
            affine = (motion @ np.vstack([affine, [0, 0, 1]]))[:2]
            drawn = _patch(source, affine, frames.shape[1:3], place.clip, finish)
        if drawn is None:
            continue
        rows, columns, colour, alpha = drawn
        view = frames[t, rows, columns]
        view *= 1 - alpha
        view += colour
        covered[t, rows, columns] = np.round(alpha[..., 0] * 255)
    return covered


def _affine(
    place: Placement, source: tuple[int, ...], seconds: float, loud: float
) -> NDArray[np.float64]:
    """(2, 3) from pixels of the cut-out to the still frame's."""
    h, w = source
    scale = place.height / h * max(1 + place.grow * seconds, 0.2)
    angle = place.angle + place.turn * seconds
    pixels, rate, phase = place.sway
    x = place.x + place.speed[0] * seconds
    y = place.y + place.speed[1] * seconds + pixels * np.sin(2 * np.pi * rate * seconds + phase)
    growth, lean = place.pulse
    flip = -1.0 if place.mirrored else 1.0
    # It grows from its foot, so that the upper part moves most.
    own = np.array([[scale * place.stretch * flip, 0.0], [0.0, scale * (1 + growth * loud)]])
    own[0, 1] = -lean * loud * scale
    cosine, sine = np.cos(angle), np.sin(angle)
    linear = np.array([[cosine, -sine], [sine, cosine]]) @ own
    foot = np.array([x, y + place.height / 2])
    return np.hstack([linear, (foot - linear @ np.array([w / 2, h]))[:, None]])


def _patch(
    source: NDArray[np.uint8],
    affine: NDArray[np.float64],
    size: tuple[int, ...],
    clip: tuple[int, int, int, int] | None,
    finish: _Finish,
) -> tuple[slice, slice, NDArray[np.float32], NDArray[np.float32]] | None:
    """The part of the frame it covers: rows, columns, premultiplied colour, alpha."""
    h, w = source.shape[:2]
    corners = affine @ np.array([[0, w, 0, w], [0, 0, h, h], [1, 1, 1, 1]])
    left, top, right, bottom = clip or (0, 0, size[1], size[0])
    x0, y0 = np.floor(corners.min(1)).astype(int) - 2
    x1, y1 = np.ceil(corners.max(1)).astype(int) + 2
    x0, y0, x1, y1 = max(left, x0), max(top, y0), min(right, x1), min(bottom, y1)
    if x1 <= x0 or y1 <= y0:
        return None
    moved = affine - np.array([[0, 0, x0], [0, 0, y0]])
    patch = cv2.warpAffine(source, moved, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
    colour, alpha = finish.apply(patch.astype(np.float32))
    return slice(y0, y1), slice(x0, x1), colour, alpha
