"""Where cut-outs are put: anywhere, in a row, before a webcam, in the panels of a call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from streamavis_training.data.compose.camera import Rectangle
    from streamavis_training.data.compose.store import CutoutEntry

__all__ = ["Placement", "anywhere", "panels", "row", "webcam"]

_MOVING = 0.6  # share of cut-outs that drift


@dataclass
class Placement:
    """One cut-out through a clip. Pixels of the frame, seconds from the first frame."""

    entry: CutoutEntry
    x: float  # centre
    y: float
    height: float  # of the cut-out
    stretch: float  # width over what the height gives
    mirrored: bool
    angle: float = 0.0  # radians
    speed: tuple[float, float] = (0.0, 0.0)  # pixels a second
    grow: float = 0.0  # a second
    turn: float = 0.0  # radians a second
    sway: tuple[float, float, float] = (0.0, 0.0, 0.0)  # pixels, cycles a second, phase
    clip: Rectangle | None = None  # it is not drawn outside
    pulse: tuple[float, float] = (0.0, 0.0)  # growth and lean at full loudness
    cells: float = field(default=0.0)  # share of the frame, about

    @property
    def width(self) -> float:
        """Of the cut-out, pixels."""
        _, h, w = self.entry.levels[0]
        return self.height * w / h * self.stretch


def _edges(place: Placement) -> tuple[bool, bool, bool, bool]:
    """Which of its edges the source picture cut, as it is drawn."""
    left, top, right, bottom = place.entry.truncated
    return (right, top, left, bottom) if place.mirrored else (left, top, right, bottom)


def _snap(place: Placement, area: Rectangle, rng: np.random.Generator) -> None:
    """Hide edges that are cut in the source behind the edges of `area`."""
    left, _, right, bottom = _edges(place)
    if bottom:
        place.y = area[3] - place.height / 2 + rng.uniform(0, 0.08) * place.height
    if left and not right:
        place.x = area[0] + place.width / 2 - rng.uniform(0, 0.08) * place.width
    elif right and not left:
        place.x = area[2] - place.width / 2 + rng.uniform(0, 0.08) * place.width


def _motion(place: Placement, height: int, rng: np.random.Generator) -> None:
    if rng.random() < _MOVING:
        speed = rng.normal(0, 0.1, 2) * height
        place.speed = (float(speed[0]), float(speed[1]) * 0.5)
        place.grow, place.turn = rng.normal(0, 0.06), rng.normal(0, 0.06)
    place.sway = (rng.uniform(0, 0.012) * height, rng.uniform(0.3, 2.0), rng.uniform(0, 6.28))


def anywhere(
    entry: CutoutEntry, size: tuple[int, int], rng: np.random.Generator, *, largest: float = 0.95
) -> Placement:
    """One object of any size, small ones as often as large ones.

    Args:
        size: height and width of the frame.
        largest: of its height, in frame heights.
    """
    height, width = size
    _, h, w = entry.levels[0]
    tall = np.exp(rng.uniform(np.log(0.14), np.log(largest))) * height
    tall = min(tall, 0.95 * width * h / w)
    place = Placement(
        entry,
        rng.uniform(0.05, 0.95) * width,
        rng.uniform(0.2, 0.95) * height,
        tall,
        float(np.exp(rng.uniform(-0.12, 0.12))),
        bool(rng.random() < 0.5),
        angle=np.deg2rad(rng.normal(0, 4)),
    )
    if rng.random() < 0.7:  # most stand within the frame
        place.y = min(place.y, height - tall * rng.uniform(0.35, 0.55))
    if rng.random() < 0.8:
        _snap(place, (0, 0, width, height), rng)
    _motion(place, height, rng)
    return place


def row(
    entries: list[CutoutEntry], size: tuple[int, int], rng: np.random.Generator
) -> list[Placement]:
    """Objects of similar size side by side, apart or overlapping."""
    height, width = size
    base = np.exp(rng.uniform(np.log(0.3), np.log(0.95))) * height
    foot = rng.uniform(0.75, 1.05) * height
    # Standing persons are often seen from the hips up.
    deep = base * rng.uniform(1.2, 2.2) if rng.random() < 0.4 else base
    places = []
    for entry in entries:
        standing = entry.levels[0][1] > 1.7 * entry.levels[0][2]
        tall = (deep if standing else base) * np.exp(rng.uniform(-0.15, 0.15))
        place = Placement(
            entry,
            0.0,
            0.0,
            tall,
            float(np.exp(rng.uniform(-0.08, 0.08))),
            bool(rng.random() < 0.5),
            angle=np.deg2rad(rng.normal(0, 2)),
        )
        hidden = tall - base if standing else 0.0
        place.y = foot + hidden - tall / 2 + rng.uniform(-0.04, 0.04) * height
        if place.entry.truncated[3]:
            place.y = max(place.y, height - tall * 0.48)
        places.append(place)
    spacing = rng.uniform(0.5, 1.25)
    widths = np.array([min(place.width, 0.8 * width) for place in places])
    # Centres: half of each neighbour's width apart, times the spacing.
    centres = np.concatenate([[0], np.cumsum((widths[1:] + widths[:-1]) / 2 * spacing)])
    if centres[-1] > width * 0.85:
        centres *= width * 0.85 / centres[-1]
    start = rng.uniform(0.08 * width, max(0.92 * width - centres[-1], 0.1 * width))
    for place, centre in zip(places, centres, strict=True):
        place.x = start + float(centre)
        _motion(place, height, rng)
        place.speed = (place.speed[0] * 0.5, place.speed[1] * 0.5)
    return [places[i] for i in rng.permutation(len(places))]


def webcam(
    entries: list[CutoutEntry],
    area: Rectangle,
    rng: np.random.Generator,
) -> list[Placement]:
    """One or two large persons, head and shoulders, cut by the lower edge of `area`."""
    left, top, right, bottom = area
    height, width = bottom - top, right - left
    places = []
    shown = rng.uniform(0.55, 1.0) * height  # from the top of the head to the lower edge
    for i, entry in enumerate(entries):
        _, h, w = entry.levels[0]
        mine = shown * rng.uniform(0.88, 1.1)
        aspect = h / w
        # Of a standing person the upper part, of one that its picture cut, all.
        part = rng.uniform(0.25, 0.5) if aspect > 2 else rng.uniform(0.45, 0.85)
        if entry.truncated[3]:
            part = rng.uniform(0.8, 0.98)
        tall = mine / part
        place = Placement(
            entry,
            0.0,
            bottom - mine + tall / 2,
            tall,
            float(np.exp(rng.uniform(-0.08, 0.08))),
            bool(rng.random() < 0.5),
            angle=np.deg2rad(rng.normal(0, 2)),
        )
        if place.width > 0.95 * width and len(entries) > 1:
            place.height *= 0.95 * width / place.width
            place.y = bottom - min(mine, 0.9 * place.height) + place.height / 2
        centre = (i + 0.5) / len(entries)
        place.x = left + (centre + rng.normal(0, 0.1 / len(entries))) * width
        place.sway = (rng.uniform(0, 0.01) * height, rng.uniform(0.2, 1.0), rng.uniform(0, 6.28))
        place.clip = area
        places.append(place)
    return places


def panels(size: tuple[int, int], rng: np.random.Generator) -> list[Rectangle]:
    """Two panels side by side, three, or four in a square, with a gap between."""
    height, width = size
    columns, rows = [(2, 1), (3, 1), (2, 2)][int(rng.integers(3))]
    gap = int(rng.integers(0, 5))
    wide, tall = (width - gap * (columns - 1)) // columns, (height - gap * (rows - 1)) // rows
    if rows == 1:  # panels are rarely taller than 4:3
        tall = min(tall, int(wide * rng.uniform(0.75, 1.35)))
    top = (height - tall * rows - gap * (rows - 1)) // 2
    return [
        (x, y, x + wide, y + tall)
        for r in range(rows)
        for c in range(columns)
        for x, y in [(c * (wide + gap), top + r * (tall + gap))]
    ]
