"""What stands around a picture: a bar of words above, plates of text on it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamavis.palette import BLACK, INK, SOFT, WHITE
from streamavis.viz.labels import LabelStyle, line_on_ink, put
from streamavis.viz.sprites import Layers, Sprite, plate, text
from streamavis.words import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamavis.palette import Colour
    from streamavis.types import Candidate

__all__ = ["Item", "draw_bar", "draw_candidates", "fill", "plate_of_text"]


@dataclass(frozen=True)
class Item:
    """Words in a bar."""

    words: str
    colour: Colour = SOFT
    right: bool = False  # from the right end inward
    rank: int = 1  # the highest ranks are left out first where there is no room
    dot: bool = False  # a lamp of the same colour in front


def fill(canvas: NDArray[np.uint8]) -> None:
    """Paint all of a (H, W, 3) picture in ink; ten times faster than assigning a colour."""
    cv2.rectangle(canvas, (0, 0), (canvas.shape[1] - 1, canvas.shape[0] - 1), INK, -1)


def draw_bar(canvas: NDArray[np.uint8], items: Sequence[Item], look: LabelStyle) -> list[str]:
    """Fill a (height, W, 3) strip with as many items as fit; returns the words that did."""
    fill(canvas)
    height, width = canvas.shape[:2]
    pad, lamp = 2 * look.pad, max(3, look.icon // 3)

    def wide(item: Item) -> int:
        lead = 2 * lamp + look.pad if item.dot else 0
        return lead + line_on_ink(item.words, item.colour, look).shape[1] + 2 * pad

    room, chosen = width - pad, set()
    for item in sorted(items, key=lambda one: one.rank):
        if wide(item) <= room:
            chosen.add(item)
            room -= wide(item)
    left, right = pad, width - pad
    for item in items:
        if item not in chosen:
            continue
        span = wide(item)
        x = right - span + 2 * pad if item.right else left
        if item.dot:
            centre = (x + lamp, height // 2)
            cv2.circle(canvas, centre, lamp, item.colour, -1, cv2.LINE_AA)
            x += 2 * lamp + look.pad
        put(canvas, line_on_ink(item.words, item.colour, look), x, round(look.pad * 0.75))
        left, right = (left, right - span) if item.right else (left + span, right)
    return [item.words for item in items if item in chosen]


@lru_cache(maxsize=32)
def plate_of_text(
    lines: tuple[tuple[str, str], ...], look: LabelStyle, accent: Colour = WHITE
) -> Sprite:
    """A dark plate with lines of (head, rest), heads in one column in the accent's colour."""
    heads, rests = zip(*lines, strict=True)
    head_wide = max(
        (text(head, look.scale, bold=True).shape[1] for head in heads if head), default=0
    )
    rest_wide = max(
        (text(rest, look.scale, bold=True).shape[1] for rest in rests if rest), default=0
    )
    pad = 3 * look.pad
    gap = 2 * pad if head_wide and rest_wide else 0
    step = look.header + look.pad
    height = (len(lines) - 1) * step + look.header + 2 * pad - look.pad
    width = head_wide + gap + rest_wide + 2 * pad
    layers = Layers(height, width)
    layers.add(plate(height, width, 2 * look.pad), INK, opacity=0.88)
    for n, (head, rest) in enumerate(lines):
        y = pad + n * step
        if head:
            layers.add(text(head, look.scale, bold=True), accent, x=pad, y=y)
        if rest:
            layers.add(text(rest, look.scale, bold=True), WHITE, x=pad + head_wide + gap, y=y)
    return layers.sprite()


def draw_candidates(
    canvas: NDArray[np.uint8],
    candidates: Sequence[Candidate],
    size: tuple[int, int],
    look: LabelStyle,
) -> None:
    """Corners around what the frame queries proposed, brighter where they are surer.

    Args:
        canvas: (H, W, 3) RGB, changed; the picture at any size.
        candidates: boxes in pixels of the source.
        size: (height, width) of the source.
        look: of the canvas.
    """
    down, right = canvas.shape[0] / size[0], canvas.shape[1] / size[1]
    taken: list[tuple[int, int, int, int]] = []  # x0, y0, x1, y1 of tags
    for candidate in sorted(candidates, key=lambda one: one.score):
        x, y, w, h = candidate.box
        x0, y0 = round(x * right), round(y * down)
        x1, y1 = round((x + w) * right) - 1, round((y + h) * down) - 1
        arm = max(3, min(x1 - x0, y1 - y0) // 5)
        shade = round(110 + 145 * candidate.score)
        for colour, thick in ((BLACK, look.line + 2), ((shade, shade, shade), look.line)):
            for cx, dx in ((x0, arm), (x1, -arm)):
                for cy, dy in ((y0, arm), (y1, -arm)):
                    cv2.line(canvas, (cx, cy), (cx + dx, cy), colour, thick, cv2.LINE_AA)
                    cv2.line(canvas, (cx, cy), (cx, cy + dy), colour, thick, cv2.LINE_AA)
    # The surest first: a tag that finds no room is left out.
    for candidate in sorted(candidates, key=lambda one: -one.score):
        x, y, w, h = candidate.box
        tag = _tag(f"{candidate.label} {percent(candidate.score)}", look)
        tall, wide = tag.size
        left = min(max(0, round((x + w) * right) - wide - 1), max(0, canvas.shape[1] - wide))
        lowest = min(round((y + h) * down), canvas.shape[0]) - tall - 1
        for top in range(lowest, max(-1, round(y * down) - tall), -tall):
            place = (left, top, left + wide, top + tall)
            if top >= 0 and not any(_meet(place, other) for other in taken):
                taken.append(place)
                tag.lay(canvas, left, top)
                break


def _meet(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@lru_cache(maxsize=256)
def _tag(words: str, look: LabelStyle) -> Sprite:
    stencil = text(words, look.scale)
    layers = Layers(stencil.shape[0] + look.pad, stencil.shape[1] + 2 * look.pad)
    layers.add(np.full(layers.size, 255, np.uint8), INK, opacity=0.85)
    layers.add(stencil, WHITE, x=look.pad, y=max(1, look.pad // 2))
    return layers.sprite()
