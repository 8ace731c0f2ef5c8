"""The strip of sound below a picture: level, spectrogram, who sounded when, what is heard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2

from streamavis.palette import ALERT, GOOD, SOFT, STATE_COLOURS, WARN
from streamavis.viz.hud import fill
from streamavis.viz.kinds import draw_kinds, kinds_width
from streamavis.viz.labels import icon, line_on_ink, put
from streamavis.viz.lanes import LANES, Lanes
from streamavis.viz.overlay import AUDIO_ICONS, METER_DB, share_of
from streamavis.viz.sound import SoundView
from streamavis.words import level as level_words
from streamavis.words import sound_state

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from streamavis.types import AudioChunk, FrameResult
    from streamavis.viz.kinds import Kinds
    from streamavis.viz.labels import LabelStyle

__all__ = ["Moment", "SoundStrip"]

_GROOVE = (34, 39, 48)  # of the level meter
_ROOM = 3  # panels of what is heard there must be room for: the spectrogram stays the larger


@dataclass(frozen=True)
class Moment:
    """The sound at the picture that is shown."""

    result: FrameResult
    level_dbfs: float | None  # None: it was not heard
    kinds: Kinds | None  # None: nobody can say


class SoundStrip:
    """Follows the sound and draws it; all of it ends at the time of the picture above."""

    def __init__(self) -> None:
        self._sound, self._lanes = SoundView(), Lanes()
        self._says = False  # the model has said what it hears, so there is a panel for it

    def hear(self, chunk: AudioChunk) -> None:
        """Take in sound."""
        self._sound.hear(chunk)

    def see(self, result: FrameResult, kinds: Kinds | None) -> None:
        """Take in who sounds, and what is heard if the model says so."""
        self._lanes.see(result)
        self._says |= kinds is not None

    def level_dbfs(self, time_ns: int) -> float | None:
        """Level up to `time_ns`; None: it was not heard."""
        return self._sound.level_dbfs(time_ns)

    @staticmethod
    def height(picture_height: int, look: LabelStyle) -> int:
        """Pixels it takes below a picture."""
        spectrogram = max(2 * look.header, round(picture_height * 0.085))
        return spectrogram + _lanes_height(look) + 3 * look.pad

    def draw(self, canvas: NDArray[np.uint8], moment: Moment | None, look: LabelStyle) -> None:
        """Fill a strip.

        Args:
            canvas: (`height`, W, 3) RGB, changed.
            moment: that of the picture above; None: there is none yet.
            look: of that picture.
        """
        fill(canvas)
        sizes = _Sizes.of(canvas, look)
        right = canvas.shape[1] - look.pad
        panel = kinds_width(look)
        if moment and self._says and right - sizes.left >= _ROOM * panel:
            box = canvas[look.pad : canvas.shape[0] - look.pad, right - panel : right]
            draw_kinds(box, moment.kinds, look)
            right -= panel + 3 * look.pad
        time_ns = moment.result.capture_time_ns if moment else 0
        self._draw_past(canvas, time_ns, right, sizes, look)
        _draw_level(canvas, moment, sizes, look)

    def _draw_past(
        self, canvas: NDArray[np.uint8], time_ns: int, right: int, sizes: _Sizes, look: LabelStyle
    ) -> None:
        """Spectrogram and lanes, which end at `right`."""
        left, inner = sizes.left, right - sizes.left
        top, middle = look.pad, look.pad + sizes.spectrogram
        canvas[top:middle, left:right] = self._sound.spectrogram(time_ns, inner, sizes.spectrogram)
        below = middle + look.pad
        self._lanes.draw(canvas[below : below + sizes.lanes, left:right], time_ns)


@dataclass(frozen=True)
class _Sizes:
    """Pixels."""

    spectrogram: int  # height
    lanes: int  # height
    left: int  # where the spectrogram begins

    @classmethod
    def of(cls, canvas: NDArray[np.uint8], look: LabelStyle) -> _Sizes:
        lanes = _lanes_height(look)
        widest = look.icon + line_on_ink(sound_state("lost"), SOFT, look).shape[1]
        return cls(canvas.shape[0] - lanes - 3 * look.pad, lanes, widest + 8 * look.pad)


def _lanes_height(look: LabelStyle) -> int:
    return LANES * max(3, round(look.pad * 1.2))


def _draw_level(
    canvas: NDArray[np.uint8], moment: Moment | None, sizes: _Sizes, look: LabelStyle
) -> None:
    """State and level of the sound."""
    state = moment.result.audio if moment else "absent"
    level = moment.level_dbfs if moment else None
    words = sound_state(state, live=moment.result.clock != "pts") if moment else ""
    colour = STATE_COLOURS[state]
    top, middle = look.pad, look.pad + sizes.spectrogram
    if moment is not None:
        icon(AUDIO_ICONS[state], colour, look).lay(canvas, 2 * look.pad, top + look.pad)
    y = top + look.pad // 2
    put(canvas, line_on_ink(words, colour, look), look.icon + 3 * look.pad, y)
    if level is not None:
        y += look.header
        put(canvas, line_on_ink(level_words(level), SOFT, look), 2 * look.pad, y)
    share = 0.0 if level is None else share_of(level, METER_DB)
    x, wide = sizes.left - 3 * look.pad, 2 * look.pad
    lit = middle - round(share * sizes.spectrogram)
    cv2.rectangle(canvas, (x, top), (x + wide - 1, middle - 1), _GROOVE, -1)
    if lit < middle:
        tint = GOOD if share < 0.8 else WARN if share < 0.95 else ALERT
        cv2.rectangle(canvas, (x, lit), (x + wide - 1, middle - 1), tint, -1)
