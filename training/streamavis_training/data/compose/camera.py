"""The picture that the objects stand on, seen by a moving camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamavis_training.data.compose.store import IGNORED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamavis_training.data.compose.library import Library
    from streamavis_training.data.compose.look import Look

__all__ = ["BORDER", "Camera", "Ground", "Rectangle", "background", "panel_background", "scene"]

BORDER = IGNORED - 1  # id of borders around a whole picture: surely no object
Rectangle = tuple[int, int, int, int]  # left, top, right, bottom in pixels
_CLOSE = 0.3  # share of the picture
_FOCUSED = 0.75  # share of parts of scenes that show a chosen object
_ROOMS = 0.75  # share of rooms where a room is preferred
_MARGIN = 1.6  # source pixels per pixel above which a picture is shrunk before it is warped


@dataclass(frozen=True)
class Ground:
    """T frames without pasted objects."""

    frames: NDArray[np.float32]  # (T, H, W, 3) RGB 0..255
    ids: NDArray[np.uint8] | None  # (T, H, W) of a scene: 0, objects from 1, `BORDER`, `IGNORED`
    class_ids: list[int]
    complete: bool


@dataclass(frozen=True)
class Camera:
    """Where the camera moves what it sees, per frame."""

    motion: NDArray[np.float64]  # (T, 2, 3) affine, from pixels of the still picture to the frame's

    @property
    def still(self) -> bool:
        """Whether all frames are alike."""
        return bool((self.motion == self.motion[:1]).all())

    @staticmethod
    def draw(
        times_s: NDArray[np.float64], height: int, width: int, look: Look, rng: np.random.Generator
    ) -> Camera:
        """A tripod, a hand, or a slow pan and zoom."""
        frames = len(times_s)
        motion = np.tile(np.eye(2, 3), (frames, 1, 1))
        if frames == 1 or rng.random() < look.still:
            return Camera(motion)
        seconds = times_s - times_s[0]
        size = np.exp(rng.uniform(np.log(0.002), np.log(0.02))) * height
        shift = np.stack([_sway(seconds, rng) for _ in range(2)], -1) * size  # (T, 2)
        roll = _sway(seconds, rng) * rng.uniform(0, 0.015)
        zoom = 1 + _sway(seconds, rng) * rng.uniform(0, 0.008)
        if rng.random() < 0.5:
            shift = shift + seconds[:, None] * rng.normal(0, 0.06, 2) * height
            zoom = zoom * np.exp(seconds * rng.normal(0, 0.03))
        centre = np.array([width / 2, height / 2])
        cosine, sine = np.cos(roll) * zoom, np.sin(roll) * zoom
        linear = np.stack([cosine, -sine, sine, cosine], -1).reshape(frames, 2, 2)
        motion[:, :, :2] = linear
        motion[:, :, 2] = centre + shift - linear @ centre
        return Camera(motion)


def _sway(seconds: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """(T,) smooth motion around 0, 0 at first, as of a hand."""
    rates, phases = rng.uniform(0.3, 4, 4), rng.uniform(0, 2 * np.pi, 4)
    waves = np.sin(2 * np.pi * rates * seconds[:, None] + phases) / rates**0.5
    swayed = waves.sum(1)
    return swayed - swayed[0]


@dataclass(frozen=True)
class _Window:
    """Which part of a picture fills the frame, in source pixels."""

    x: float
    y: float
    across: float  # source pixels per pixel
    down: float
    mirrored: bool

    def matrix(self, width: int) -> NDArray[np.float64]:
        """(2, 3) from pixels of the frame to the picture's."""
        if self.mirrored:
            return np.array(
                [[-self.across, 0, self.x + self.across * (width - 1)], [0, self.down, self.y]]
            )
        return np.array([[self.across, 0, self.x], [0, self.down, self.y]])


def _warp(
    picture: NDArray[np.uint8],
    window: _Window,
    camera: Camera,
    size: tuple[int, int],
    flags: int,
    border: tuple[int, int | list[int]],
) -> NDArray[np.uint8]:
    """(T, H, W[, 3]) of what the camera sees; `border` is mode and value."""
    height, width = size
    frames = np.empty((len(camera.motion), height, width, *picture.shape[2:]), np.uint8)
    base = np.vstack([window.matrix(width), [0, 0, 1]])
    for t, motion in enumerate(camera.motion):
        if t and (motion == camera.motion[0]).all():
            frames[t] = frames[0]
            continue
        back = cv2.invertAffineTransform(motion)
        whole = (base @ np.vstack([back, [0, 0, 1]]))[:2]
        frames[t] = cv2.warpAffine(
            picture,
            whole,
            (width, height),
            flags=flags | cv2.WARP_INVERSE_MAP,
            borderMode=border[0],
            borderValue=border[1],
        )
    return frames


def background(
    library: Library,
    camera: Camera,
    size: tuple[int, int],
    rng: np.random.Generator,
    *,
    room: bool = False,
) -> Ground:
    """A picture without objects of the classes, filling the frame; mirrored beyond its edges.

    Args:
        room: rather the inside of a building, where there are such pictures.
    """
    height, width = size
    rooms = library.rooms if room and rng.random() < _ROOMS else []
    choice = rooms or library.backgrounds
    entry = choice[int(rng.integers(len(choice)))]
    fit = min(entry.height / height, entry.width / width)
    scale = fit * rng.uniform(0.4, 1.0)
    half = scale >= 2
    picture = library.picture(entry, half=half)
    if half:
        scale, fit = scale / 2, fit / 2
    h, w = picture.shape[:2]
    stretch = float(np.exp(rng.uniform(-0.1, 0.1)))
    across, down = scale * min(stretch, 1), scale * min(1 / stretch, 1)
    x = rng.uniform(0, max(w - across * width, 0))
    y = rng.uniform(0, max(h - down * height, 0))
    window = _Window(x, y, across, down, bool(rng.random() < 0.5))
    picture, window = _shrink(picture, window)
    border: tuple[int, int | list[int]] = (cv2.BORDER_REFLECT_101, 0)
    frames = _warp(picture, window, camera, size, cv2.INTER_LINEAR, border)
    return Ground(frames.astype(np.float32), None, [], True)


def panel_background(
    library: Library, panels: list[Rectangle], size: tuple[int, int], rng: np.random.Generator
) -> Ground:
    """One frame of a video call: a background of its own in each panel, one colour between."""
    frames = np.empty((1, *size, 3), np.float32)
    frames[:] = rng.choice([0, 20, 255]) if rng.random() < 0.7 else rng.uniform(0, 255, 3)
    still = Camera(np.eye(2, 3)[None])
    for left, top, right, bottom in panels:
        one = background(library, still, (bottom - top, right - left), rng, room=True)
        frames[0, top:bottom, left:right] = one.frames[0]
    return Ground(frames, None, [], True)


def scene(
    library: Library,
    place: int,
    camera: Camera,
    size: tuple[int, int],
    look: Look,
    rng: np.random.Generator,
) -> Ground:
    """A whole picture with its objects: a part of it, or all of it with borders."""
    height, width = size
    view = library.scene(place)
    h, w = view.ids.shape
    fit = min(h / height, w / width)
    stretch = float(np.exp(rng.uniform(-0.12, 0.12)))
    across = down = fit
    # The frame is wide: of a tall picture only a strip would fill it.
    tall = h > 1.1 * w
    # Nearer to an object that fills the picture, only its skin would be seen.
    close = max(library.scenes[place].areas, default=0.0) > _CLOSE
    if rng.random() < look.letterbox * (1 + 1.5 * tall + 1.5 * (tall and close)):
        across = down = max(h / height, w / width) * rng.uniform(1.0, 1.05)
        if rng.random() < 0.3:  # squeezed a little towards the frame's shape
            ratio = float(np.clip((w / width) / (h / height), 0.75, 1.33))
            across, down = (across, across / ratio) if ratio > 1 else (down * ratio, down)
    else:
        scale = fit * rng.uniform(0.85 if close else 0.6, 1.0) * (0.94 if not camera.still else 1.0)
        across, down = scale * min(stretch, 1), scale * min(1 / stretch, 1)
    spare_x, spare_y = w - across * width, h - down * height
    x, y = _between(spare_x, rng), _between(spare_y, rng)
    if view.class_ids and rng.random() < _FOCUSED:
        at_x, at_y = _focus(view.ids, len(view.class_ids), rng)
        x = float(np.clip(at_x - rng.uniform(0.2, 0.8) * across * width, *_span(spare_x)))
        y = float(np.clip(at_y - rng.uniform(0.2, 0.8) * down * height, *_span(spare_y)))
    window = _Window(x, y, across, down, bool(rng.random() < 0.5))
    picture, small = _shrink(view.picture, window)
    colour = [0, 0, 0] if rng.random() < 0.5 else [int(v) for v in rng.integers(0, 256, 3)]
    constant = cv2.BORDER_CONSTANT
    frames = _warp(picture, small, camera, size, cv2.INTER_LINEAR, (constant, colour))
    # Small ids first shrunk with the picture would lose thin objects: sampled as they are.
    ids = _warp(view.ids, window, camera, size, cv2.INTER_NEAREST, (constant, BORDER))
    return Ground(frames.astype(np.float32), ids, view.class_ids, view.complete)


def _between(spare: float, rng: np.random.Generator) -> float:
    return rng.uniform(*_span(spare))


def _span(spare: float) -> tuple[float, float]:
    """Where a window may begin: inside the picture, or so that the picture is inside it."""
    return min(0.0, spare), max(0.0, spare)


def _focus(ids: NDArray[np.uint8], count: int, rng: np.random.Generator) -> tuple[float, float]:
    """A point in the upper half of one object: heads are there."""
    mask = (ids == 1 + int(rng.integers(count))).astype(np.uint8)
    x, y, w, h = cv2.boundingRect(mask)
    return x + rng.uniform(0.3, 0.7) * w, y + rng.uniform(0.05, 0.5) * h


def _shrink(picture: NDArray[np.uint8], window: _Window) -> tuple[NDArray[np.uint8], _Window]:
    """Make a picture smaller where warping alone would alias."""
    scale = 1.25 / min(window.across, window.down)
    if scale > 1.25 / _MARGIN:
        return picture, window
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    moved = _Window(
        window.x * scale,
        window.y * scale,
        window.across * scale,
        window.down * scale,
        window.mirrored,
    )
    return small.astype(np.uint8, copy=False), moved
