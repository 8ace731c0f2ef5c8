"""Sound of any number of channels to mono or stereo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["mixed"]

_FRONT = frozenset({"FL", "FR", "DL", "DR"})
_DEEP = frozenset({"LFE", "LFE2"})
_AROUND = 0.5**0.5  # 3 dB less: centre, sides, back, as ITU-R BS.775 mixes them


def mixed(samples: NDArray[np.float32], names: Sequence[str], channels: int) -> NDArray[np.float32]:
    """Mix (n, any) to (n, `channels`), 1 or 2, without exceeding the loudest channel.

    Args:
        samples: of any number of channels.
        names: FFmpeg's of each channel: FL, FR, FC, LFE, BL, ...; others go to both sides.
        channels: 1 (the mean of all) or 2.
    """
    if channels == 1 or samples.shape[1] == 1:
        return np.repeat(samples.mean(axis=1, dtype=np.float32)[:, None], channels, axis=1)
    if samples.shape[1] == channels:
        return samples
    weights = np.zeros((samples.shape[1], 2), np.float32)
    for row, name in zip(weights, names, strict=True):
        if name in _DEEP:
            continue
        sides = (not name.endswith("R"), not name.endswith("L"))  # of a centre both
        row[:] = np.array(sides, np.float32) * (1 if name in _FRONT else _AROUND)
    total = weights.sum(axis=0)
    if not total.all():  # nothing on one side
        return mixed(samples.mean(axis=1, keepdims=True, dtype=np.float32), names[:1], channels)
    return np.asarray(samples @ (weights / total), np.float32)
