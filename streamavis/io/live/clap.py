"""How far apart picture and sound are, from claps (or flashes with a beep) seen and heard."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamavis.errors import InputError
from streamavis.types import SAMPLE_RATE, AudioChunk, VideoFrame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamavis.types import SourceItem

__all__ = ["ClapMeter", "ClapOffset"]

_NS = 1_000_000_000
_CELL = 32  # samples, 2 ms: the resolution of an onset
_QUIET_CELLS = 50  # what is compared with: the 0.1 s before
_RISE = 16.0  # in power: 12 dB
_FLOOR = 1e-5  # power, -50 dBFS: nothing quieter is a clap
_APART_S = 0.35  # an echo is no second clap
_REACH_S = 0.5  # how far from its sound the picture of a clap may be
_CHANGE = 4.0  # times the usual change from frame to frame
_LEAST_CHANGE = 0.5  # grey levels
_LARGE = 0.7  # of the largest change
_SURE = 2.6  # standard deviations
_WIDTH = 64  # pixels, at which pictures are compared
_FEWEST = 3
_LONGEST_S = 120.0


@dataclass(frozen=True, slots=True)
class ClapOffset:
    """What was measured."""

    offset_s: float  # sound less picture: positive where the sound comes late
    uncertainty_s: float  # 99 %: the true offset lies within offset +- this
    claps: int  # that were both seen and heard
    heard: int  # onsets of sound


class ClapMeter:
    """Collects pictures and sound, finds the claps in both, and compares their times.

    A clap is an onset of sound by 12 dB within 2 ms, and the largest change of the picture within
    half a second of it. The change happened between two frames, so each clap tells the offset to
    within half a frame time; several claps, whose phases differ, tell more.
    """

    def __init__(self) -> None:
        self._sound: deque[tuple[int, NDArray[np.float32]]] = deque()  # start ns, power per cell
        self._rest = np.zeros(0, np.float32)
        self._rest_ns = 0
        self._changes: deque[tuple[int, int, float]] = deque()  # frame before, frame, change
        self._before: tuple[int, NDArray[np.uint8]] | None = None

    def feed(self, item: SourceItem) -> None:
        """Take in what a source yields, in any order; the last two minutes are kept."""
        if isinstance(item, VideoFrame):
            self._see(item)
        elif isinstance(item, AudioChunk):
            self._hear(item)

    def measure(self) -> ClapOffset:
        """The offset by what was fed so far.

        Raises:
            InputError: fewer than three claps were both seen and heard.
        """
        onsets, changes = self._onsets(), list(self._changes)
        usual = float(np.median([change for _, _, change in changes])) if changes else 0.0
        least = max(_CHANGE * usual, _LEAST_CHANGE)
        offsets, periods = [], []
        for onset_ns in onsets:
            near = [c for c in changes if abs(c[1] - onset_ns) <= _REACH_S * _NS and c[2] >= least]
            if near:
                most = max(change for _, _, change in near)
                # A flash changes the picture as it goes out as well: the first of the large ones.
                before_ns, after_ns, _ = next(c for c in near if c[2] >= _LARGE * most)
                offsets.append((onset_ns - (before_ns + after_ns) / 2) / _NS)
                periods.append((after_ns - before_ns) / _NS)
        if len(offsets) < _FEWEST:
            raise InputError(
                f"{len(onsets)} claps were heard and {len(offsets)} of them seen, but it takes "
                f"{_FEWEST}; clap five times in front of the camera, a second apart, in silence"
            )
        return _robust(np.array(offsets), float(np.median(periods)), len(onsets))

    def _see(self, frame: VideoFrame) -> None:
        height = max(1, round(frame.image.shape[0] * _WIDTH / frame.image.shape[1]))
        small = cv2.resize(frame.image, (_WIDTH, height), interpolation=cv2.INTER_AREA)
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
        if self._before is not None and self._before[1].shape == grey.shape:
            change = float(cv2.absdiff(grey, self._before[1]).mean())
            self._changes.append((self._before[0], frame.capture_time_ns, change))
        self._before = (frame.capture_time_ns, grey)
        while self._changes and frame.capture_time_ns - self._changes[0][1] > _LONGEST_S * _NS:
            self._changes.popleft()

    def _hear(self, chunk: AudioChunk) -> None:
        follows = abs(chunk.start_time_ns - self._rest_ns) < _NS // 200
        samples = np.concatenate([self._rest, chunk.samples]) if follows else chunk.samples
        lead = len(self._rest) if follows else 0
        start_ns = chunk.start_time_ns - lead * _NS // SAMPLE_RATE
        cells = len(samples) // _CELL
        if cells:
            power = np.square(samples[: cells * _CELL].reshape(cells, _CELL)).mean(axis=1)
            self._sound.append((start_ns, power))
        self._rest = samples[cells * _CELL :]
        self._rest_ns = start_ns + len(samples) * _NS // SAMPLE_RATE
        while self._sound and self._sound[-1][0] - self._sound[0][0] > _LONGEST_S * _NS:
            self._sound.popleft()

    def _onsets(self) -> list[int]:
        """When sound rose out of quiet, in ns."""
        if not self._sound:
            return []
        power = np.concatenate([cells for _, cells in self._sound])
        cell_ns = _CELL * _NS // SAMPLE_RATE
        times = np.concatenate(
            [
                start + np.arange(len(cells), dtype=np.int64) * cell_ns
                for start, cells in self._sound
            ]
        )
        padded = np.concatenate([np.full(_QUIET_CELLS, power[0]), power])
        quiet = np.lib.stride_tricks.sliding_window_view(padded, _QUIET_CELLS)[:-1].mean(axis=1)
        onsets: list[int] = []
        for n in np.flatnonzero((power > _FLOOR) & (power > _RISE * quiet)):
            if not onsets or times[n] - onsets[-1] > _APART_S * _NS:
                onsets.append(int(times[n]))
        return onsets


def _robust(offsets: NDArray[np.float64], period_s: float, heard: int) -> ClapOffset:
    """Mean without outliers, and how sure that is."""
    middle = np.median(offsets)
    spread = 1.4826 * float(np.median(np.abs(offsets - middle)))
    kept = offsets[np.abs(offsets - middle) <= max(3 * spread, period_s)]
    # A clap falls anywhere between two frames: its error is even over the period at least.
    error = max(float(kept.std()), period_s / math.sqrt(12)) / math.sqrt(len(kept))
    return ClapOffset(float(kept.mean()), _SURE * error, len(kept), heard)
