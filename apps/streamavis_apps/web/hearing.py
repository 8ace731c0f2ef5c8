"""The sound for the page: level, spectrum and detected audio classes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from streamavis.audio.log_mel import BANDS, HOP, SPECTRUM_SAMPLES, log_mel
from streamavis.types import SAMPLE_RATE, AudioChunk

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FLOOR_DBFS", "Glimpse", "Hearing", "level_dbfs"]

FLOOR_DBFS: Final = -90.0  # what digital silence is shown as
_WAITING = 100  # chunks; a viewer that is not looking costs no more than these
_MOST = SAMPLE_RATE  # samples a glimpse covers: a replay at full speed brings minutes at once
# Ends of the colour scale of log(mel + 0.01): silence, and a loud voice close to the microphone.
_DARK, _BRIGHT = -4.6, 3.0


def level_dbfs(samples: NDArray[np.float32]) -> float:
    """Root mean square in dB of full scale; at least `FLOOR_DBFS`."""
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return max(FLOOR_DBFS, 10 * float(np.log10(power))) if power > 0 else FLOOR_DBFS


@dataclass(frozen=True)
class Glimpse:
    """The sound since the glimpse before."""

    level_dbfs: float
    peak_dbfs: float
    spectra: NDArray[np.uint8]  # (hops of 10 ms, 64 mel bands from low to high), 0 dark .. 255


class Hearing:
    """Collects sound on one thread and sums it up on another."""

    def __init__(self) -> None:
        self._chunks: deque[AudioChunk] = deque(maxlen=_WAITING)
        self._rest = np.zeros(SPECTRUM_SAMPLES - HOP, np.float32)  # what the next spectrum overlaps

        self.level_dbfs: float | None = None  # of the newest chunk; None: no sound arrived

    def hear(self, chunk: AudioChunk) -> None:
        """Take sound in; never waits."""
        self._chunks.append(chunk)
        self.level_dbfs = level_dbfs(np.nan_to_num(chunk.samples))

    def forget(self) -> None:
        """Delete everything."""
        self._chunks.clear()
        self._rest = np.zeros_like(self._rest)
        self.level_dbfs = None

    def glimpse(self) -> Glimpse | None:
        """Sum up what came since the last call; None when nothing did."""
        parts = []
        while self._chunks:
            parts.append(self._chunks.popleft().samples)
        if not parts:
            return None
        new = np.nan_to_num(np.concatenate(parts)[-_MOST:])
        sound = np.concatenate([self._rest, new])
        spectra = np.zeros((0, BANDS), np.uint8)
        if len(sound) >= SPECTRUM_SAMPLES:
            hops = 1 + (len(sound) - SPECTRUM_SAMPLES) // HOP
            shade = (log_mel(torch.from_numpy(sound)).numpy() - _DARK) / (_BRIGHT - _DARK)
            spectra = (shade.clip(0, 1) * 255).astype(np.uint8)
            sound = sound[hops * HOP :]
        self._rest = sound
        peak = float(np.abs(new).max(initial=0.0))
        return Glimpse(
            level_dbfs=level_dbfs(new),
            peak_dbfs=max(FLOOR_DBFS, 20 * float(np.log10(peak))) if peak > 0 else FLOOR_DBFS,
            spectra=spectra,
        )
