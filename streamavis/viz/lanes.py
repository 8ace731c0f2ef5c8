"""Who sounded when: one lane for each track that was heard in the last seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamavis.palette import BLACK, INK, colour_of, mix
from streamavis.viz.hud import fill

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamavis.types import FrameResult

__all__ = ["LANES", "Lanes"]

LANES = 5
_COLUMN_NS = 20_000_000


class Lanes:
    """Lines in the tracks' colours, as bright as the model is sure that they sound."""

    def __init__(self, seconds: float = 8.0) -> None:
        """Show the last `seconds`."""
        self._columns = round(seconds * 1e9 / _COLUMN_NS)
        self._pixels = np.full((LANES, self._columns, 3), INK, np.uint8)
        self._last: int | None = None  # the column of the newest result
        self._owners: dict[int, int] = {}  # track id -> lane, the one heard last at the end

    def see(self, result: FrameResult) -> None:
        """Take in a result: it holds from the one before up to its own time."""
        column = result.capture_time_ns // _COLUMN_NS
        if self._last is None or not 0 <= column - self._last < self._columns:
            self._pixels[:] = INK
            self._owners.clear()
            self._last = column - 1
        places = np.arange(self._last + 1, column + 1) % self._columns
        self._last = column
        self._pixels[:, places] = INK
        for track in result.tracks:
            if track.is_sounding:
                share = 1 - (track.sounding or 0.0)
                colour = mix(colour_of(track.id), BLACK, share)
                self._pixels[self._lane(track.id), places] = colour

    def draw(self, canvas: NDArray[np.uint8], time_ns: int) -> None:
        """Fill (H, W, 3) RGB: time runs to the right and ends at `time_ns`."""
        height, width = canvas.shape[:2]
        end = time_ns // _COLUMN_NS + 1
        oldest = end % self._columns
        picture = np.concatenate([self._pixels[:, oldest:], self._pixels[:, :oldest]], axis=1)
        ahead = 0 if self._last is None else end - 1 - self._last
        if ahead > 0:  # not seen yet
            picture[:, -min(ahead, self._columns) :] = INK
        elif ahead < 0:  # forgotten: what came after `time_ns` lies in their place
            picture[:, : min(-ahead, self._columns)] = INK
        fill(canvas)
        thick = max(1, height // LANES)
        gap = 1 if thick > 2 else 0  # between two lanes
        scaled = cv2.resize(picture, (width, LANES), interpolation=cv2.INTER_NEAREST)
        for lane in range(min(LANES, height // thick)):
            top = lane * thick
            canvas[top : top + thick - gap] = scaled[lane]

    def _lane(self, track_id: int) -> int:
        lane = self._owners.pop(track_id, None)
        if lane is None:
            free = set(range(LANES)) - set(self._owners.values())
            lane = min(free) if free else self._owners.pop(next(iter(self._owners)))
        self._owners[track_id] = lane
        return lane
