"""Draw a result on its frame: who is where, who is who, who sounds.

A sounding object glows in its own colour and wears a bright outline; a silent one is only
tinted. Work is done inside the objects' boxes only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamavis.viz.palette import (
    ALERT,
    BLACK,
    DIM,
    GOOD,
    INK,
    SOFT,
    WARN,
    WHITE,
    Colour,
    colour_of,
    mix,
)
from streamavis.viz.patch import Patch, patch
from streamavis.viz.sprites import Hearing, Layers, Sprite, loudspeaker, plate, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamavis.types import AudioState, FrameResult, Track

__all__ = ["draw"]

_AUDIO: dict[AudioState, tuple[str, Hearing, Colour]] = {
    "ok": ("audio", "sounding", GOOD),
    "gap": ("audio gap", "sounding", WARN),
    "lost": ("audio lost", "unknown", ALERT),
    "absent": ("no audio", "unknown", SOFT),
}
_METER_DB = (-60.0, 0.0)  # the ends of the level meter


def draw(
    image: NDArray[np.uint8], result: FrameResult, *, level_dbfs: float | None = None
) -> NDArray[np.uint8]:
    """Annotate a picture with its result.

    Args:
        image: (H, W, 3) RGB, the frame `result` was made from; not changed.
        result: masks of the same (H, W).
        level_dbfs: loudness of the sound now, for the meter; None: no meter.

    Returns:
        (H, W, 3) RGB.

    Raises:
        ValueError: `image` has another size than `result`.
    """
    if image.shape[:2] != tuple(result.size):
        raise ValueError(f"the result is of a {result.size} frame, the image is {image.shape[:2]}")
    canvas = image.copy()
    look = _Look.of(*result.size)
    # Small on large, sounding on silent.
    order = sorted(result.tracks, key=lambda track: (track.is_sounding, -track.area))
    for track in order:
        cut = patch(track.rle)
        if cut is not None:
            _draw_mask(canvas, cut, track, look)
    taken = [(0, 0, canvas.shape[1], look.header)]
    for track in reversed(order):
        taken.append(_draw_label(canvas, track, look, taken))
    _draw_header(canvas, result, level_dbfs, look)
    return canvas


@dataclass(frozen=True)
class _Look:
    """Sizes in pixels that suit a picture."""

    scale: float  # of the font
    line: int  # thickness of a sounding outline
    pad: int  # around text
    icon: int
    header: int  # height of the strip

    @classmethod
    @lru_cache(maxsize=8)
    def of(cls, height: int, width: int) -> _Look:
        side = min(height, width)
        scale = round(min(max(0.3 + side * 0.00045, 0.38), 1.2), 2)
        tall = text("A", scale).shape[0]
        pad = max(2, round(tall * 0.25))
        line = max(1, round(side / 240))
        return cls(scale, line, pad, icon=round(tall * 0.85), header=tall + pad)


def _draw_mask(canvas: NDArray[np.uint8], cut: Patch, track: Track, look: _Look) -> None:
    height, width = cut.mask.shape
    colour = colour_of(track.id)
    below = canvas[cut.y : cut.y + height, cut.x : cut.x + width]
    if track.is_sounding:
        _glow(canvas, cut, colour, track.sounding or 0.0, look)
    share = 0.42 if track.is_sounding else 0.22
    faded = cv2.convertScaleAbs(below, alpha=1 - share)
    cv2.add(faded, np.array([*mix(BLACK, colour, share), 0.0]), dst=below, mask=cut.mask)
    framed = cv2.copyMakeBorder(cut.mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    outlines, _ = cv2.findContours(
        framed, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_TC89_L1, offset=(cut.x - 1, cut.y - 1)
    )
    if track.is_sounding:
        bright = mix(colour, WHITE, 0.7)
        cv2.polylines(canvas, outlines, True, bright, look.line, cv2.LINE_AA)
    else:
        shade = mix(colour, INK, 0.2)
        cv2.polylines(canvas, outlines, True, shade, max(1, look.line - 1), cv2.LINE_AA)


def _glow(canvas: NDArray[np.uint8], cut: Patch, colour: Colour, level: float, look: _Look) -> None:
    """A rim in the object's colour and light around it, computed at a quarter of the size."""
    reach = 8 * look.line
    margin = reach + 4
    x0, y0 = max(cut.x - margin, 0), max(cut.y - margin, 0)
    x1 = min(cut.x + cut.mask.shape[1] + margin, canvas.shape[1])
    y1 = min(cut.y + cut.mask.shape[0] + margin, canvas.shape[0])
    below = canvas[y0:y1, x0:x1]
    area = np.zeros(below.shape[:2], np.uint8)
    top, left = cut.y - y0, cut.x - x0
    area[top : top + cut.mask.shape[0], left : left + cut.mask.shape[1]] = cut.mask
    quarter = (max(1, (x1 - x0) // 4), max(1, (y1 - y0) // 4))
    small = cv2.convertScaleAbs(
        cv2.resize(area, quarter, interpolation=cv2.INTER_NEAREST), alpha=255
    )
    soft = 2 * (reach // 8) + 1
    light = cv2.subtract(cv2.blur(cv2.blur(small, (soft, soft)), (soft, soft)), small)
    gain = (0.9 + 0.9 * level) / 255
    tinted = cv2.merge([cv2.convertScaleAbs(light, alpha=gain * value) for value in colour])
    cv2.add(below, cv2.resize(tinted, (x1 - x0, y1 - y0)), dst=below)
    rim = cv2.subtract(cv2.dilate(area, np.ones((3, 3), np.uint8), iterations=look.line), area)
    row = np.full((1, x1 - x0, 3), colour, np.uint8)
    cv2.copyTo(cv2.repeat(row, y1 - y0, 1), rim, below)


def _draw_label(
    canvas: NDArray[np.uint8],
    track: Track,
    look: _Look,
    taken: Sequence[tuple[int, int, int, int]],
) -> tuple[int, int, int, int]:
    """Put a track's label where it hides no other; returns the place (x0, y0, x1, y1)."""
    hearing = _hearing(track)
    words = (f"#{track.id}", track.label)
    sprite = _label(words, colour_of(track.id), hearing, look)
    height, width = sprite.size
    x, y, _, h = track.box
    x = min(max(x, 0), max(canvas.shape[1] - width, 0))
    highest, lowest = look.header + 1, canvas.shape[0] - height
    wishes = [y - height - look.pad, y + h + look.pad, y + look.pad, y + (h - height) // 2]
    wishes += [bottom + 1 for *_, bottom in taken]
    fits = (
        wish
        for wish in wishes
        if highest <= wish <= lowest
        and not any(
            x < right and left < x + width and wish < bottom and top < wish + height
            for left, top, right, bottom in taken
        )
    )
    y = next(fits, max(min(wishes[0], lowest), highest))
    sprite.lay(canvas, x, y)
    if track.sounding is not None and hearing == "sounding":
        bar = max(2, look.pad // 2)
        left, top = x + look.pad, y + height - bar - 1
        full = width - 2 * look.pad
        cv2.rectangle(canvas, (left, top), (left + full - 1, top + bar - 1), DIM, -1)
        filled = left + round(full * track.sounding) - 1
        cv2.rectangle(canvas, (left, top), (filled, top + bar - 1), colour_of(track.id), -1)
    return x, y, x + width, y + height


@lru_cache(maxsize=512)
def _label(words: tuple[str, str], colour: Colour, hearing: Hearing, look: _Look) -> Sprite:
    """`#3 dog` on a dark plate, with a loudspeaker when it sounds or nobody knows."""
    number, name = (text(word, look.scale, bold=True) for word in words)
    pad = look.pad
    icon = 0 if hearing == "silent" else look.icon + pad
    height = number.shape[0] + pad + (pad // 2 if hearing == "sounding" else 0)
    width = icon + number.shape[1] + name.shape[1] + 4 * pad
    layers = Layers(height, width)
    muted = hearing != "sounding"
    layers.add(plate(height, width, pad), INK, opacity=0.55 if muted else 0.82)
    y = max(2, round(pad * 0.75))
    if icon:
        shade = SOFT if muted else colour
        layers.add(loudspeaker(look.icon, hearing), shade, x=pad, y=pad // 2)
    tint = mix(colour, INK, 0.15) if muted else colour
    layers.add(number, tint, x=icon + pad + pad // 2, y=y)
    words_colour = SOFT if muted else WHITE
    layers.add(name, words_colour, x=icon + number.shape[1] + 2 * pad + pad // 2, y=y)
    return layers.sprite()


def _draw_header(
    canvas: NDArray[np.uint8], result: FrameResult, level_dbfs: float | None, look: _Look
) -> None:
    """The strip on top: time, how many sound, how the sound is."""
    strip = canvas[: look.header]
    strip[:] = cv2.convertScaleAbs(strip, alpha=0.3) + np.array(mix(BLACK, INK, 0.7), np.uint8)
    pad, y = 2 * look.pad, round(look.pad * 0.75)
    minutes, seconds = divmod(result.capture_time_ns / 1e9, 60)
    time = _line(f"{int(minutes)}:{seconds:05.2f}", WHITE, look)
    time.lay(canvas, pad, y)
    words, hearing, colour = _AUDIO[result.audio]
    state = _line(words, colour, look)
    right = canvas.shape[1] - pad - state.size[1]
    state.lay(canvas, right, y)
    right -= look.icon + look.pad
    _icon(hearing, colour, look).lay(canvas, right, (look.header - look.icon) // 2)
    if level_dbfs is not None:
        right = _draw_meter(canvas, level_dbfs, right - pad, look)
    known = [track for track in result.tracks if track.sounding is not None]
    sounding = sum(track.is_sounding for track in known)
    counted = f"{len(result.tracks)} in view"
    if known:
        counted += f", {sounding} sounding" if sounding else ", silent"
    left = pad + _line("00:00.00", WHITE, look).size[1] + pad
    count = _line(counted, SOFT, look)
    if left + count.size[1] < right - pad:
        count.lay(canvas, left, y)


def _draw_meter(canvas: NDArray[np.uint8], level_dbfs: float, right: int, look: _Look) -> int:
    """A row of lamps that ends at `right`; returns where it begins."""
    lamps, lamp, gap = 12, max(2, look.pad // 2 + 1), max(1, look.pad // 3)
    low, high = _METER_DB
    lit = round(lamps * min(max((level_dbfs - low) / (high - low), 0.0), 1.0))
    left = right - lamps * (lamp + gap)
    top, bottom = look.header // 4, look.header - look.header // 4 - 1
    for n in range(lamps):
        colour: Colour = DIM
        if n < lit:
            colour = GOOD if n < 8 else (255, 204, 64) if n < 11 else ALERT
        x = left + n * (lamp + gap)
        cv2.rectangle(canvas, (x, top), (x + lamp - 1, bottom), colour, -1)
    return left


@lru_cache(maxsize=256)
def _line(words: str, colour: Colour, look: _Look) -> Sprite:
    stencil = text(words, look.scale, bold=True)
    layers = Layers(*stencil.shape)
    layers.add(stencil, colour)
    return layers.sprite()


@lru_cache(maxsize=16)
def _icon(hearing: Hearing, colour: Colour, look: _Look) -> Sprite:
    layers = Layers(look.icon, look.icon)
    layers.add(loudspeaker(look.icon, hearing), colour)
    return layers.sprite()


def _hearing(track: Track) -> Hearing:
    if track.sounding is None:
        return "unknown"
    return "sounding" if track.is_sounding else "silent"
