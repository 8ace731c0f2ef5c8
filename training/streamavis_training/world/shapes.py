"""Polygons a sprite is made of, in sprite units: about 1 from the centre to the rim, y down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Points = NDArray[np.float64]  # (n, 2) x, y
    Colour = tuple[int, int, int]  # RGB

__all__ = [
    "Look",
    "Shape",
    "arc",
    "blend",
    "box",
    "detail",
    "moved",
    "oval",
    "poly",
    "rotated",
    "solid",
]  # fmt: skip

_ANGLES = np.linspace(0, 2 * np.pi, 28, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], 1)


class Shape(NamedTuple):
    """One filled polygon of a sprite, painted over those before it."""

    points: Points
    colour: Colour
    solid: bool  # False: lies within the silhouette that others make


@dataclass(frozen=True)
class Look:
    """The differences between objects of one class."""

    body: Colour
    trim: Colour
    accent: Colour
    build: tuple[float, float, float]  # each 0..1, proportions and details


def solid(points: Points, colour: Colour) -> Shape:
    """A shape that counts to the silhouette."""
    return Shape(points, colour, True)


def detail(points: Points, colour: Colour) -> Shape:
    """A shape that lies within the silhouette."""
    return Shape(points, colour, False)


def oval(x: float, y: float, rx: float, ry: float) -> Points:
    """An ellipse around (x, y)."""
    return _CIRCLE * (rx, ry) + (x, y)


def arc(x: float, y: float, rx: float, ry: float, start_deg: float, end_deg: float) -> Points:
    """A segment of an ellipse, clockwise from 3 o'clock, closed by its chord."""
    angles = np.radians(np.linspace(start_deg, end_deg, 16))
    return np.stack([x + rx * np.cos(angles), y + ry * np.sin(angles)], 1)


def box(left: float, top: float, right: float, bottom: float, *, round_: float = 0.0) -> Points:
    """A rectangle with corners cut by `round_`."""
    r = round_
    if r == 0:
        return poly((left, top), (right, top), (right, bottom), (left, bottom))
    return poly(
        (left + r, top), (right - r, top), (right - 0.3 * r, top + 0.3 * r), (right, top + r),
        (right, bottom - r), (right - 0.3 * r, bottom - 0.3 * r), (right - r, bottom),
        (left + r, bottom), (left + 0.3 * r, bottom - 0.3 * r), (left, bottom - r),
        (left, top + r), (left + 0.3 * r, top + 0.3 * r),
    )  # fmt: skip


def poly(*corners: tuple[float, float]) -> Points:
    """A polygon through the corners."""
    return np.array(corners, float)


def moved(points: Points, x: float, y: float) -> Points:
    """The points shifted by (x, y)."""
    return points + np.array([x, y])


def rotated(points: Points, degrees: float, about: tuple[float, float] = (0, 0)) -> Points:
    """The points turned clockwise (y is down)."""
    turn = np.radians(degrees)
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return (points - about) @ matrix + about


def blend(a: Sequence[int], b: Sequence[int], share: float) -> Colour:
    """Colour `a` with `share` (0..1) of colour `b`."""
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue
