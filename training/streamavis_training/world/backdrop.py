"""What is behind the objects: eight kinds of drawn scenery, no two alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from streamavis_training.world.scene import generator

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from streamavis_training.world.scene import Scenery

    Picture = NDArray[np.uint8]

__all__ = ["KINDS", "MARGIN", "backdrop"]

MARGIN = 0.14  # of the picture height, painted beyond each edge for the camera to move over


def backdrop(scenery: Scenery, seed: int, width: int, height: int) -> Picture:
    """A scenery of (height + 2m, width + 2m, 3) with m = MARGIN * height.

    Args:
        scenery: what to draw.
        seed: of its details.
        width: of the picture, pixels.
        height: of the picture, pixels.
    """
    margin = round(MARGIN * height)
    size = (height + 2 * margin, width + 2 * margin)
    scene = KINDS[scenery.kind](size, generator(seed, 10)).astype(np.float32)
    scene = scene.mean((0, 1)) + (scene - scene.mean((0, 1))) * scenery.contrast
    # Grain depends on the size, so it has a generator of its own.
    grain = generator(seed, 11).standard_normal((*size, 1), np.float32)
    return np.clip(scene + grain * np.float32(scenery.grain), 0, 255).astype(np.uint8)


def _colour(rng: np.random.Generator, low: int = 30, high: int = 235) -> tuple[int, ...]:
    grey = rng.uniform(low, high)
    return tuple(int(v) for v in np.clip(grey + rng.uniform(-55, 55, 3), 0, 255))


def _field(size: tuple[int, int], rng: np.random.Generator, cells: int) -> NDArray[np.float32]:
    """Smooth colours that run into each other."""
    grid = rng.uniform(20, 235, (cells, int(cells * 1.7), 3)).astype(np.float32)
    return np.clip(cv2.resize(grid, size[::-1], interpolation=cv2.INTER_CUBIC), 0, 255)


def _gradient(size: tuple[int, int], top: tuple[int, ...], bottom: tuple[int, ...]) -> Picture:
    column = np.linspace(np.array(top, float), np.array(bottom, float), size[0])
    return np.repeat(column[:, None], size[1], 1).astype(np.uint8)


def _fill(canvas: Picture, corners: NDArray[np.float64], colour: tuple[int, ...]) -> None:
    """Paint a polygon whose corners are shares of the picture's width and height."""
    points = corners * (canvas.shape[1], canvas.shape[0])
    cv2.fillPoly(canvas, [np.round(points * 8).astype(np.int32)], colour, cv2.LINE_AA, 3)


def _box(canvas: Picture, x: float, y: float, w: float, h: float, colour: tuple[int, ...]) -> None:
    _fill(canvas, np.array([(x, y), (x + w, y), (x + w, y + h), (x, y + h)]), colour)


def _colours(size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    return _field(size, rng, int(rng.integers(3, 8)))


def _cloth(size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Stripes or checks over soft colours."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32) / size[0]
    angle, rate = rng.uniform(0, np.pi), rng.uniform(18, 70)
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * rate)
    if rng.random() < 0.5:
        wave *= np.sin((y * np.cos(angle) - x * np.sin(angle)) * rate)
    edge = np.clip(wave * rng.uniform(1, 6), -1, 1)
    contrast = rng.uniform(-35, 35, 3).astype(np.float32)
    return _field(size, rng, 3) * 0.6 + 50 + edge[..., None] * contrast


def _marble(size: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Cloudy noise of several octaves between two colours."""
    noise = np.zeros(size, np.float32)
    for octave in range(5):
        cells = (3 * 2**octave, 5 * 2**octave)
        grid = rng.standard_normal(cells).astype(np.float32)
        noise += cv2.resize(grid, size[::-1], interpolation=cv2.INTER_CUBIC) * 0.62**octave
    share = 1 / (1 + np.exp(-noise * rng.uniform(0.8, 2.5)))[..., None]
    one, two = np.array([_colour(rng), _colour(rng)], np.float32)
    return one * share + two * (1 - share)


def _clutter(size: tuple[int, int], rng: np.random.Generator) -> Picture:
    """Patches of paper thrown over each other."""
    canvas = _field(size, rng, 3).astype(np.uint8)
    for _ in range(int(rng.integers(6, 22))):
        centre, spread = rng.uniform(0, 1, 2), rng.uniform(0.05, 0.22)
        corners = centre + rng.uniform(-spread, spread, (int(rng.integers(3, 7)), 2)) * (0.6, 1)
        _fill(canvas, corners, _colour(rng, 10, 245))
    return canvas


def _room(size: tuple[int, int], rng: np.random.Generator) -> Picture:
    """A wall with pictures or a window over a floor of planks."""
    canvas = _gradient(size, _colour(rng, 120, 230), _colour(rng, 100, 220))
    floor = rng.uniform(0.62, 0.82)
    if rng.random() < 0.5:  # wallpaper
        tone = _colour(rng, 100, 230)
        for x in np.arange(0, 1, rng.uniform(0.03, 0.08)):
            _box(canvas, x, 0, 0.012, floor, tone)
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.uniform(0.05, 0.8), rng.uniform(0.05, 0.3)
        w, h = rng.uniform(0.08, 0.2), rng.uniform(0.12, 0.3)
        _box(canvas, x, y, w, h, _colour(rng, 30, 120))
        _box(canvas, x + 0.012, y + 0.02, w - 0.024, h - 0.04, _colour(rng, 120, 240))
        _box(canvas, x + 0.012, y + 0.5 * h, w - 0.024, 0.5 * h - 0.02, _colour(rng, 60, 200))
    wood = np.array(_colour(rng, 60, 170))
    rows = int(rng.integers(3, 7))
    for k in range(rows):
        shade = np.clip(wood + rng.uniform(-14, 14), 0, 255).astype(int).tolist()
        top, low = (floor + (1 - floor) * (j / rows) ** 1.4 for j in (k, k + 1))
        _box(canvas, 0, top, 1, low - top, tuple(shade))
    _box(canvas, 0, floor - 0.015, 1, 0.02, _colour(rng, 40, 240))
    return canvas


def _meadow(size: tuple[int, int], rng: np.random.Generator) -> Picture:
    """Sky, sun, clouds and hills."""
    canvas = _gradient(size, _colour(rng, 80, 200), _colour(rng, 150, 240))
    sun = (int(rng.uniform(0, size[1])), int(rng.uniform(0.05, 0.4) * size[0]))
    cv2.circle(canvas, sun, int(0.07 * size[0]), (255, 240, 190), -1, cv2.LINE_AA)
    for _ in range(int(rng.integers(0, 5))):
        x, y, tone = rng.uniform(0, 1), rng.uniform(0.05, 0.4), _colour(rng, 200, 250)
        for dx in (-0.05, 0, 0.05):
            axes = (int(0.06 * size[1]), int(rng.uniform(0.03, 0.07) * size[0]))
            place = (int((x + dx) * size[1]), int(y * size[0]))
            cv2.ellipse(canvas, place, axes, 0, 0, 360, tone, -1, cv2.LINE_AA)
    along = np.linspace(0, 1, 40)
    ground = rng.uniform((20, 70, 20), (130, 170, 90))
    for k in range(int(rng.integers(2, 5))):
        waves = rng.uniform(0.02, 0.08) * np.sin(along * rng.uniform(4, 14) + 6 * rng.random())
        ridge = np.stack([along, 0.5 + 0.14 * k + waves], 1)
        colour = tuple((ground * (1 - 0.14 * k)).astype(int).tolist())
        _fill(canvas, np.concatenate([ridge, [(1, 1), (0, 1)]]), colour)
    return canvas


def _city(size: tuple[int, int], rng: np.random.Generator) -> Picture:
    """Houses with lit and dark windows along a street."""
    canvas = _gradient(size, _colour(rng, 20, 200), _colour(rng, 80, 240))
    street, x = rng.uniform(0.75, 0.9), -0.05
    while x < 1:
        w, top = rng.uniform(0.07, 0.16), rng.uniform(0.1, 0.5)
        _box(canvas, x, top, w, street - top, _colour(rng, 40, 190))
        lit, dark = _colour(rng, 150, 250), _colour(rng, 10, 90)
        for row in np.arange(top + 0.04, street - 0.06, 0.09):
            for column in np.arange(x + 0.012, x + w - 0.02, 0.03):
                _box(canvas, column, row, 0.016, 0.045, lit if rng.random() < 0.5 else dark)
        x += w + rng.uniform(0, 0.02)
    _box(canvas, 0, street, 1, 1 - street, _colour(rng, 40, 120))
    return canvas


def _bricks(size: tuple[int, int], rng: np.random.Generator) -> Picture:
    """A wall of bricks or tiles."""
    canvas = np.empty((*size, 3), np.uint8)
    canvas[:] = _colour(rng, 90, 220)
    tone, rows = np.array(_colour(rng, 60, 200)), int(rng.integers(6, 15))
    offset, ratio = rng.choice([0.0, 0.5]), rng.uniform(1.0, 2.6)
    high, wide = 1 / rows, ratio / rows * size[0] / size[1]
    for row in range(rows):
        for column in range(int(1 / wide) + 2):
            shade = np.clip(tone + rng.uniform(-18, 18), 0, 255).astype(int).tolist()
            x = (column - offset * (row % 2)) * wide
            _box(canvas, x, row * high, 0.94 * wide, 0.9 * high, tuple(shade))
    return canvas


_ALL: tuple[Callable[[tuple[int, int], np.random.Generator], NDArray[Any]], ...] = (
    _colours, _cloth, _marble, _clutter, _room, _meadow, _city, _bricks,
)  # fmt: skip
KINDS = {draw.__name__[1:]: draw for draw in _ALL}
