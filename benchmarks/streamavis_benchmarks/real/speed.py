"""How long a step takes, 640x360 in, alone on the machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from streamavis.session import Session
from streamavis.types import SAMPLE_RATE, AudioChunk, VideoFrame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamavis_benchmarks.real.measured import Setting

__all__ = ["step_ms"]

_WIDTH, _HEIGHT = 640, 360
_WARM_UP = 10
_NS = 1_000_000_000


def step_ms(
    setting: Setting, pictures: Sequence[NDArray[np.uint8]], threads: int, steps: int
) -> dict[str, float]:
    """Milliseconds of `Session.see`, resizing and tracks included.

    Args:
        setting: network and thresholds.
        pictures: shown in turn, of any size; at least one.
        threads: of torch.
        steps: measured, after a warm-up.

    Returns:
        p50, p95.
    """
    shown = [cv2.resize(picture, (_WIDTH, _HEIGHT)) for picture in pictures]
    session = Session(setting.network, stream="speed", tracks=setting.tracks)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    quiet = np.random.default_rng(0).normal(0, 0.01, SAMPLE_RATE // 10).astype(np.float32)
    taken = []
    try:
        for index in range(_WARM_UP + steps):
            time_ns = index * _NS // 10
            session.hear(AudioChunk(quiet, time_ns - _NS // 10))
            # A picture stays for a second: as tracks that hold, and that end.
            picture = np.asarray(shown[index // 10 % len(shown)], np.uint8)
            start_s = time.perf_counter()
            session.see(VideoFrame(picture, time_ns, index, "pts"))
            taken.append(1000 * (time.perf_counter() - start_s))
    finally:
        torch.set_num_threads(before)
    p50, p95 = np.percentile(taken[_WARM_UP:], (50, 95))
    return {"p50_ms": float(p50), "p95_ms": float(p95)}
