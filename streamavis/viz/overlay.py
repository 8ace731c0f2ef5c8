"""Draw a result on its frame: who is where, who is who, who sounds.

A sounding object shines in its own colour, with rings of light that move outward, and wears a
bright outline; a silent one is only tinted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamavis.errors import ShapeError
from streamavis.palette import (
    ALERT,
    BLACK,
    DIM,
    GOOD,
    INK,
    SOFT,
    STATE_COLOURS,
    WARN,
    WHITE,
    colour_of,
    mix,
)
from streamavis.viz.labels import LabelStyle, draw_label, icon, line_of_text
from streamavis.viz.objects import ObjectSound, paint
from streamavis.viz.patch import fitted, patch
from streamavis.words import clock_time, counted, sound_state

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamavis.types import AudioState, FrameResult
    from streamavis.viz.sprites import Hearing

__all__ = ["AUDIO_ICONS", "METER_DB", "draw", "draw_tracks", "share_of"]

AUDIO_ICONS: dict[AudioState, Hearing] = {
    "ok": "sounding",
    "gap": "sounding",
    "lost": "unknown",
    "absent": "unknown",
}
METER_DB = (-60.0, 0.0)  # the ends of a level meter
_LOUD_DB = (-55.0, -15.0)  # between these, what sounds shines brighter
_RING_NS = 900_000_000  # a ring of light needs to move outward


def draw(
    image: NDArray[np.uint8], result: FrameResult, *, level_dbfs: float | None = None
) -> NDArray[np.uint8]:
    """Annotate a picture with its result, as for a recording.

    Args:
        image: (H, W, 3) RGB, the frame `result` was made from; not changed.
        result: masks of the same (H, W).
        level_dbfs: loudness of the sound now, for the meter and the light; None: no meter.

    Returns:
        (H, W, 3) RGB.

    Raises:
        ShapeError: `image` has another size than `result`.
    """
    if image.shape[:2] != tuple(result.size):
        raise ShapeError(f"the result is of a {result.size} frame, the image is {image.shape[:2]}")
    canvas = image.copy()
    look = LabelStyle.of(*result.size)
    draw_tracks(canvas, result, level_dbfs=level_dbfs, top=look.header)
    _draw_header(canvas, result, level_dbfs, look)
    return canvas


def draw_tracks(
    canvas: NDArray[np.uint8],
    result: FrameResult,
    *,
    level_dbfs: float | None = None,
    top: int = 0,
    masks: bool = True,
) -> None:
    """Draw objects and their labels into a picture, which may be scaled.

    Args:
        canvas: (H, W, 3) RGB, changed; the frame of `result` at any size.
        result: what is in it.
        level_dbfs: loudness of the sound now; None: not known.
        top: rows at the top that labels leave free.
        masks: False: labels only.
    """
    height, width = canvas.shape[:2]
    look = LabelStyle.of(height, width)
    phase = result.capture_time_ns % _RING_NS / _RING_NS
    loudness = 1.0 if level_dbfs is None else share_of(level_dbfs, _LOUD_DB)
    places: dict[int, tuple[int, int, int, int]] = {}  # track id -> where its mask is
    # Small on large, sounding on silent.
    order = sorted(result.tracks, key=lambda track: (track.is_sounding, -track.area))
    for track in order if masks else ():
        cut = patch(track.rle)
        if cut is not None:
            voice = (
                ObjectSound(track.sounding or 0.0, loudness, phase) if track.is_sounding else None
            )
            cut = fitted(cut, result.size, (height, width))
            places[track.id] = paint(canvas, cut, colour_of(track.id), voice, look.line)
    taken = [(0, 0, width, top)] if top else []
    down, right = height / result.size[0], width / result.size[1]
    for track in reversed(order):
        x, y, w, h = track.box
        box = (round(x * right), round(y * down), round((x + w) * right), round((y + h) * down))
        place = places.get(track.id, box)
        taken.append(draw_label(canvas, track, place, look, taken))


def _draw_meter(
    canvas: NDArray[np.uint8], level_dbfs: float, right: int, top: int, bottom: int, pad: int
) -> int:
    """A row of lamps between two rows that ends at `right`; returns where it begins."""
    lamps, lamp, gap = 12, max(2, pad // 2 + 1), max(1, pad // 3)
    lit = round(lamps * share_of(level_dbfs, METER_DB))
    left = right - lamps * (lamp + gap)
    for n in range(lamps):
        colour = DIM
        if n < lit:
            colour = GOOD if n < 8 else WARN if n < 11 else ALERT
        x = left + n * (lamp + gap)
        cv2.rectangle(canvas, (x, top), (x + lamp - 1, bottom), colour, -1)
    return left


def _draw_header(
    canvas: NDArray[np.uint8], result: FrameResult, level_dbfs: float | None, look: LabelStyle
) -> None:
    """The strip on top: time, how many sound, how the sound is."""
    strip = canvas[: look.header]
    strip[:] = cv2.convertScaleAbs(strip, alpha=0.3) + np.array(mix(BLACK, INK, 0.7), np.uint8)
    pad, y = 2 * look.pad, round(look.pad * 0.75)
    line_of_text(clock_time(result.capture_time_ns / 1e9), WHITE, look).lay(canvas, pad, y)
    colour = STATE_COLOURS[result.audio]
    words = sound_state(result.audio, live=result.clock != "pts")
    state = line_of_text(words, colour, look)
    right = canvas.shape[1] - pad - state.size[1]
    state.lay(canvas, right, y)
    right -= look.icon + look.pad
    icon(AUDIO_ICONS[result.audio], colour, look).lay(canvas, right, (look.header - look.icon) // 2)
    if level_dbfs is not None:
        margin = look.header // 4
        right = _draw_meter(
            canvas, level_dbfs, right - pad, margin, look.header - margin - 1, look.pad
        )
    left = pad + line_of_text("00:00.0", WHITE, look).size[1] + pad
    count = line_of_text(counted(result.tracks), SOFT, look)
    if left + count.size[1] < right - pad:
        count.lay(canvas, left, y)


def share_of(value: float, ends: tuple[float, float]) -> float:
    """Where `value` lies between two ends, 0..1."""
    low, high = ends
    return min(max((value - low) / (high - low), 0.0), 1.0)
