"""A source of your own: a simulator's pictures and sound.

python examples/own_source.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import streamavis as sa
from streamavis.io.media import MediaInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

RATE = 16_000  # Hz, mono: what `AudioChunk` holds
FPS = 10
NS = 1_000_000_000


class Simulator:
    """A red box that moves and hums in every second second."""

    def __init__(self, seconds: float) -> None:
        self.info = MediaInfo("simulator", 160, 90, fps=FPS, has_audio=True, duration_s=seconds)
        self._frames = round(seconds * FPS)

    def __iter__(self) -> Iterator[sa.AudioChunk | sa.VideoFrame]:
        """Yield sound before the picture that hears it; times are ns from the start."""
        block = RATE // FPS
        for n in range(self._frames):
            times_s = (n * block + np.arange(block)) / RATE
            loud = 0.3 if int(n / FPS) % 2 else 0.0
            hum = loud * np.sin(2 * np.pi * 220 * times_s)
            yield sa.AudioChunk(hum.astype(np.float32), n * NS // FPS)
            yield sa.VideoFrame(self.draw(n), (n + 1) * NS // FPS, index=n, clock="pts")

    def draw(self, n: int) -> np.ndarray:
        """(90, 160, 3) uint8 RGB."""
        image = np.full((90, 160, 3), 20, np.uint8)
        left = 10 + n % 90
        image[30:60, left : left + 40] = (230, 20, 20)
        return image


def main(seconds: float, model: sa.StreamAVIS) -> list[sa.FrameResult]:
    return list(sa.open(Simulator(seconds), model))


if __name__ == "__main__":
    for result in main(4.0, sa.load("nano-drawn")):
        print(result.seq, [(track.label, track.sounding) for track in result])
