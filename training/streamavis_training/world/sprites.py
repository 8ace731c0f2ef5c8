"""The picture of each class at a level of its sound: every level change changes the silhouette.

A sprite is a function of the level (0 at rest .. 1 loudest), a side (-1 or 1, the way it swings
in this syllable) and the object's look. It returns shapes, back to front.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamavis_training.world.config import CLASSES
from streamavis_training.world.shapes import (
    Look,
    Shape,
    arc,
    blend,
    box,
    detail,
    moved,
    oval,
    poly,
    rotated,
    solid,
)  # fmt: skip

if TYPE_CHECKING:
    from streamavis_training.world.shapes import Colour

__all__ = [
    "REACH",
    "SPRITES",
    "areas",
    "bell",
    "bird",
    "car",
    "drum",
    "frog",
    "kettle",
    "person",
    "radio",
]

REACH = 1.75  # no sprite extends farther from its centre, in sprite units

Sprite = Callable[[float, float, Look], list[Shape]]

_DARK: Colour = (28, 24, 32)
_WHITE: Colour = (246, 246, 242)
_GLOW: Colour = (255, 236, 120)
_MOUTH: Colour = (120, 20, 34)
_TONGUE: Colour = (232, 96, 104)


def _eye(x: float, y: float, size: float) -> list[Shape]:
    return [
        detail(oval(x, y, size, size), _WHITE),
        detail(oval(x + 0.15 * size, y + 0.1 * size, 0.55 * size, 0.55 * size), _DARK),
    ]


def person(level: float, side: float, look: Look) -> list[Shape]:
    """A mouth opens, the jaw drops, the brows rise."""
    wide, style, _ = look.build
    w = 0.66 + 0.12 * wide
    jaw = 0.2 * level
    hair, y = look.accent, 0.42 + 0.5 * jaw
    shirt = poly((-0.95, 1.4), (-0.85, 1.12), (-0.4, 0.9), (0.4, 0.9), (0.85, 1.12), (0.95, 1.4))
    out = [solid(shirt, look.trim)]
    if style > 0.5:  # long hair
        out.append(solid(oval(0, 0.05, w + 0.2, 1.0), hair))
    out += [
        solid(oval(-w, 0.05, 0.13, 0.19), look.body),
        solid(oval(w, 0.05, 0.13, 0.19), look.body),
        solid(oval(0, 0.05 + jaw / 2, w, 0.88 + jaw / 2), look.body),
        solid(arc(0, -0.12, w + 0.08, 0.92, 190, 350), hair),
    ]
    lift = 0.12 * level
    for x in (-0.29, 0.29):
        out += _eye(x, -0.08, 0.13 + 0.03 * level)
        out.append(
            detail(box(x - 0.16, -0.34 - lift, x + 0.16, -0.27 - lift), blend(hair, _DARK, 0.4))
        )
    out.append(detail(oval(0, 0.17, 0.09, 0.11), blend(look.body, _DARK, 0.18)))
    rx, ry = 0.3 - 0.04 * level, 0.035 + 0.3 * level
    out.append(detail(oval(0, y, rx, ry), _MOUTH))
    if level > 0.15:
        out.append(detail(oval(0, y + 0.55 * ry, 0.6 * rx, 0.4 * ry), _TONGUE))
        out.append(detail(box(-0.6 * rx, y - 0.85 * ry, 0.6 * rx, y - 0.55 * ry), _WHITE))
    return out


def bird(level: float, side: float, look: Look) -> list[Shape]:
    """The beak opens wide, the wing and the tail go up, the throat swells."""
    fat, tail, _ = look.build
    open_ = 36 * level
    beak = blend((250, 170, 40), look.trim, 0.25)
    hinge = (0.66, -0.42)
    upper = poly((0.56, -0.66), (1.28, -0.42), (0.56, -0.38))
    lower = poly((0.56, -0.46), (1.16, -0.4), (0.56, -0.22))
    tips = [rotated(poly((1.0, -0.42)), sign * open_, hinge)[0] for sign in (-1, 1)]
    gape = poly((0.5, -0.42), (tips[0][0], tips[0][1]), (tips[1][0], tips[1][1]))
    wing = poly((0.2, -0.02), (-0.1, 0.34), (-0.55, 0.46), (-1.0, 0.34), (-0.4, -0.1))
    end = poly((-0.5, 0.05), (-1.3, -0.18 - 0.2 * tail), (-1.36, 0.14), (-0.55, 0.4))
    out = [
        solid(box(-0.16, 0.6, -0.07, 1.12), beak),
        solid(box(0.12, 0.6, 0.21, 1.12), beak),
        solid(rotated(end, 24 * level, (-0.5, 0.2)), blend(look.body, _DARK, 0.3)),
        solid(oval(-0.05, 0.2, 0.78, 0.5 + 0.1 * fat), look.body),
        solid(oval(0.3, 0.02, 0.42 + 0.12 * level, 0.42 + 0.1 * level), look.body),
        detail(oval(0.2, 0.34, 0.38 + 0.08 * level, 0.28), look.accent),
        solid(gape, _MOUTH),
        solid(rotated(lower, open_, hinge), blend(beak, _DARK, 0.2)),
        solid(rotated(upper, -open_, hinge), beak),
        solid(oval(0.4, -0.5, 0.4, 0.38), look.body),
        *_eye(0.5, -0.58, 0.12),
    ]
    if tail > 0.5:  # a crest
        crest = poly((0.2, -0.75), (0.0, -1.15), (0.34, -0.98), (0.42, -1.2), (0.52, -0.8))
        out.insert(0, solid(rotated(crest, -20 * level, (0.35, -0.7)), look.trim))
    out.append(solid(rotated(wing, 75 * level, (0.15, 0.05)), look.trim))
    return out


def frog(level: float, side: float, look: Look) -> list[Shape]:
    """The throat inflates like a balloon."""
    wide, spots, _ = look.build
    sac = 0.2 + 0.46 * level
    skin, pale = look.body, blend(look.body, (255, 250, 205), 0.7)
    dark = blend(skin, _DARK, 0.35)
    w = 0.95 + 0.1 * wide
    out = [
        solid(oval(-0.9, 0.62, 0.42, 0.24), dark),
        solid(oval(0.9, 0.62, 0.42, 0.24), dark),
        solid(oval(0, 0.3 - 0.04 * level, w, 0.56), skin),
        solid(oval(0, -0.12 - 0.06 * level, 0.86, 0.46), skin),
    ]
    for x in (-0.46, 0.46):
        out.append(solid(oval(x, -0.58 - 0.06 * level, 0.27, 0.27), skin))
        out += _eye(x, -0.6 - 0.06 * level, 0.18)
    if spots > 0.4:
        out += [detail(oval(x, 0.08, 0.1, 0.07), look.trim) for x in (-0.66, -0.3, 0.4, 0.7)]
    out.append(detail(oval(0, -0.02, 0.66, 0.05 + 0.04 * level), _MOUTH))
    out.append(solid(oval(0, 0.34 + 0.2 * level, 1.15 * sac, sac), pale))
    out.append(detail(oval(-0.35 * sac, 0.25 + 0.1 * level, 0.22 * sac, 0.28 * sac), _WHITE))
    for x in (-0.5, 0.5):
        out.append(solid(oval(x * (1 + 0.5 * level), 0.86, 0.24, 0.11), dark))
    return out


def drum(level: float, side: float, look: Look) -> list[Shape]:
    """A stick strikes, the head flashes and the shell is squeezed wide."""
    tall, lace, _ = look.build
    squash = 0.16 * level
    top, bottom = -0.12 + squash, 0.72 + 0.12 * tall
    w = 0.82 + 0.16 * level
    skin = blend((238, 226, 200), _GLOW, level)
    out = [
        solid(oval(0, bottom, w, 0.26), blend(look.body, _DARK, 0.35)),
        solid(poly((-w, top), (w, top), (w, bottom), (-w, bottom)), look.body),
    ]
    if lace > 0.35:
        for k in range(5):
            x = -w + (2 * k + 1) * w / 5
            band = poly(
                (x - 0.17, top + 0.2), (x - 0.08, top + 0.2), (x + 0.15, bottom), (x + 0.06, bottom)
            )
            out.append(detail(band, look.accent))
    out += [
        solid(oval(0, bottom + 0.02, w, 0.12), look.trim),
        solid(oval(0, top, w + 0.06, 0.3), look.trim),
        detail(oval(0, top, w - 0.05, 0.23), skin),
        detail(oval(side * 0.3, top, 0.34 * level, 0.14 * level), (255, 255, 235)),
    ]
    for hand in (-1, 1):
        raised = 62 * (1 - level) if hand == side else 52
        stick = poly((0.02, -0.05), (0.94, -0.045), (0.94, 0.045), (0.02, 0.05))
        for part, colour in ((stick, (190, 130, 70)), (oval(0, 0, 0.13, 0.12), (225, 175, 110))):
            turned = rotated(part, raised - 12, (0.92, 0))  # lies outwards, pivots at the hand
            out.append(solid(moved(turned * (hand, 1), 0.26 * hand, top - 0.22), colour))
    return out


def bell(level: float, side: float, look: Look) -> list[Shape]:
    """The bell swings to one side and its clapper to the other."""
    flare, bands, _ = look.build
    swing = 34 * level * side
    pivot = (0.0, -0.95)
    lip = 0.84 + 0.1 * flare
    metal = blend(look.body, (255, 250, 210), 0.35 * level)
    cup = poly(
        (-0.16, -0.82), (0.16, -0.82), (0.4, -0.62), (0.5, -0.1), (0.62, 0.32), (lip, 0.62),
        (-lip, 0.62), (-0.62, 0.32), (-0.5, -0.1), (-0.4, -0.62),
    )  # fmt: skip
    clapper = oval(0, 0.82 + 0.1 * level, 0.21, 0.21)
    rod = box(-0.06, 0.4, 0.06, 0.8)
    parts = [
        solid(rotated(rod, -1.2 * swing, (0, -0.2)), _DARK),
        solid(rotated(clapper, -1.2 * swing, (0, -0.2)), look.accent),
        solid(cup, metal),
        solid(oval(0, 0.62, lip, 0.13), blend(look.body, _DARK, 0.3)),
        detail(poly((-0.3, -0.55), (-0.16, -0.6), (-0.3, 0.4), (-0.48, 0.35)), _WHITE),
    ]
    if bands > 0.4:
        parts.append(detail(box(-0.5, -0.16, 0.5, -0.03), look.trim))
    out = [solid(box(-0.55, -1.12, 0.55, -0.94, round_=0.06), look.trim)]
    return out + [Shape(rotated(p.points, swing, pivot), p.colour, p.solid) for p in parts]


def car(level: float, side: float, look: Look) -> list[Shape]:
    """The body rears and bounces, the headlight beams, the exhaust puffs."""
    roof, stripe, _ = look.build
    hop = -0.16 * level
    glass = (176, 214, 232)
    body = poly(
        (-1.12, 0.0), (-1.05, -0.12), (-0.66, -0.14), (-0.42, -0.58 - 0.1 * roof),
        (0.28, -0.58 - 0.1 * roof), (0.62, -0.12), (1.04, -0.04), (1.12, 0.1), (1.12, 0.4),
        (-1.12, 0.4),
    )  # fmt: skip
    pane = poly((-0.52, -0.14), (-0.36, -0.48), (-0.06, -0.48), (-0.06, -0.14))
    front = poly((0.02, -0.14), (0.02, -0.48), (0.24, -0.48), (0.48, -0.14))
    parts = [
        solid(body, look.body),
        detail(pane, glass),
        detail(front, glass),
        detail(box(-1.1, 0.2, 1.1, 0.27 + 0.06 * stripe), look.trim),
        detail(oval(1.03, 0.08, 0.1, 0.1), blend((230, 226, 200), _GLOW, level)),
        detail(box(-1.12, 0.0, -1.0, 0.16), blend((120, 20, 20), (255, 70, 50), level)),
    ]
    out: list[Shape] = []
    smoke = blend((120, 118, 124), (232, 230, 232), level)
    for k, size in enumerate((0.24, 0.3, 0.34)):
        reach = level * (0.55 + 0.5 * k)
        if reach > 0.08:
            x, y = -1.06 - 0.22 * reach, 0.34 - 0.42 * reach
            out.append(solid(oval(x, y, size * level, size * level), smoke))
    if level > 0.06:
        far = 1.06 + 0.36 * level
        beam = poly(
            (1.06, 0.02), (far, -0.28 * level), (far, 0.42 * level + 0.08), (1.06, 0.14)
        )  # fmt: skip
        parts.append(solid(beam, _GLOW))
    out += [Shape(moved(rotated(p.points, -9 * level), 0, hop), p.colour, p.solid) for p in parts]
    for x in (-0.66, 0.66):
        out += [
            solid(oval(x, 0.42, 0.28, 0.28), _DARK),
            detail(oval(x, 0.42, 0.14, 0.14), look.accent),
        ]
    return out


def radio(level: float, side: float, look: Look) -> list[Shape]:
    """The cones pump, the meter climbs, the box stretches and the aerial sways."""
    wide, _, meter = look.build
    w, top = 1.0 + 0.08 * wide, -0.52 - 0.2 * level
    aerial = poly((0.62, -0.5), (0.7, -0.5), (0.74, -1.2), (0.66, -1.2))
    tip = oval(0.7, -1.2, 0.1, 0.1)
    sway = 26 * level * side
    pivot = (0.66, -0.5)
    out = [
        solid(rotated(aerial, sway, pivot), (150, 154, 160)),
        solid(rotated(tip, sway, pivot), blend((160, 40, 40), (255, 90, 60), level)),
        solid(box(-0.5, top - 0.22, 0.4, top + 0.1, round_=0.1), blend(look.trim, _DARK, 0.3)),
        detail(box(-0.4, top - 0.12, 0.3, top + 0.1), blend(look.trim, _DARK, 0.75)),
        solid(box(-w - 0.06 * level, top, w + 0.06 * level, 0.7, round_=0.1), look.body),
        detail(box(-w + 0.08, top + 0.08, w - 0.08, top + 0.18), look.trim),
    ]
    for x in (-0.58, 0.58):
        out += [
            detail(oval(x, 0.2 - 0.04 * level, 0.38, 0.38 + 0.03 * level), _DARK),
            detail(
                oval(x, 0.2 - 0.04 * level, 0.14 + 0.22 * level, 0.14 + 0.22 * level), look.accent
            ),
            detail(oval(x, 0.2 - 0.04 * level, 0.06 + 0.06 * level, 0.06 + 0.06 * level), _WHITE),
        ]
    lit = round(5 * level)
    for k in range(5):
        colour = ((90, 230, 90), (250, 220, 70))[meter > 0.5] if k < lit else (50, 54, 58)
        y = 0.52 - 0.17 * k
        out.append(detail(box(-0.13, y - 0.1, 0.13, y), colour))
    return out


def kettle(level: float, side: float, look: Look) -> list[Shape]:
    """Steam shoots from the spout, the lid jumps, the base glows."""
    round_, knob, _ = look.build
    lid = -0.36 - 0.26 * level
    w = 0.76 + 0.08 * round_
    hot = blend(look.body, (255, 90, 40), 0.75 * level)
    steam: Colour = (236, 240, 244)
    out: list[Shape] = []
    if level > 0.05:
        for k, size in enumerate((0.14, 0.24, 0.3)):
            reach = level * (0.1 + 0.3 * k)
            puff = oval(
                1.02 + 0.35 * reach, -0.42 - reach, size * (0.4 + 0.6 * level), size * level
            )
            out.append(solid(puff, steam))
    handle = arc(-0.7, 0.12, 0.6, 0.5, 100, 260)
    out += [
        solid(handle, look.trim),
        detail(arc(-0.72, 0.12, 0.42, 0.32, 100, 260), blend(look.trim, _DARK, 0.7)),
        solid(
            poly((0.4, 0.42), (0.84, -0.36), (1.08, -0.36), (0.7, 0.5)),
            blend(look.body, _DARK, 0.2),
        ),
        solid(oval(0, 0.22, w, 0.6), look.body),
        solid(oval(0, 0.66, w - 0.1, 0.2), hot),
        detail(oval(-0.3, 0.04, 0.1, 0.22), _WHITE),
        detail(box(-w + 0.1, 0.3, w - 0.1, 0.4), look.accent),
        solid(arc(0, -0.3, 0.46, 0.14, 0, 360), _DARK if level > 0.08 else look.trim),
        solid(rotated(arc(0, lid + 0.06, 0.5, 0.3, 180, 360), 10 * level * side), look.trim),
        solid(oval(0, lid - 0.3, 0.1 + 0.04 * knob, 0.11), look.accent),
    ]
    return out


_ALL: tuple[Sprite, ...] = (person, bird, frog, drum, bell, car, radio, kettle)
SPRITES: dict[str, Sprite] = {sprite.__name__: sprite for sprite in _ALL}
assert tuple(SPRITES) == CLASSES, "one sprite per class, in the order of CLASSES"


@cache
def areas(class_id: int) -> tuple[float, float]:
    """Smallest and largest silhouette over the levels, in square sprite units."""
    unit = 64
    plain = Look((200, 200, 200), (200, 200, 200), (200, 200, 200), (0.6, 0.6, 0.6))
    found = []
    for level in np.linspace(0, 1, 5):
        canvas = np.zeros((4 * unit, 4 * unit), np.uint8)
        for shape in SPRITES[CLASSES[class_id]](float(level), 1.0, plain):
            if shape.solid:
                cv2.fillPoly(canvas, [((shape.points + 2) * unit).astype(np.int32)], 1)
        found.append(int(canvas.sum()) / unit**2)
    return min(found), max(found)
