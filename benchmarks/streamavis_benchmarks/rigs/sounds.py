"""What a rig's speaker plays: sounds as functions of the time at which they are heard."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

import av
import numpy as np
from numpy.typing import NDArray

from streamavis.errors import InputError
from streamavis.io.container import open_media
from streamavis.io.resample import MonoResampler
from streamavis.types import SAMPLE_RATE

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Sound", "beeps", "looped", "noisy_beeps"]

Sound: TypeAlias = Callable[[NDArray[np.float64]], NDArray[np.float32]]  # times in s -> samples

_BEEP_S = 0.05
_LOUD = 0.6
_NOISE = 0.01
_LONGEST_S = 120


def beeps(times_s: NDArray[np.float64]) -> NDArray[np.float32]:
    """50 ms of 1 kHz at each whole second, else silence."""
    phase = times_s % 1.0
    return (_LOUD * (phase < _BEEP_S) * np.sin(2 * np.pi * 1000 * phase)).astype(np.float32)


def noisy_beeps(times_s: NDArray[np.float64]) -> NDArray[np.float32]:
    """`beeps` in a room that is never quite silent."""
    noise = np.random.default_rng(0).normal(0, _NOISE, SAMPLE_RATE).astype(np.float32)
    place = np.round(times_s * SAMPLE_RATE).astype(np.int64) % len(noise)
    return beeps(times_s) + noise[place]


def looped(path: Path) -> Sound:
    """The sound of a recording, over and over; of a long one its first two minutes.

    Raises:
        InputError: it cannot be read, or has no sound.
    """
    media = open_media(path)
    pieces: list[NDArray[np.float32]] = []
    resampler = MonoResampler()
    with media.container as container, suppress(av.error.FFmpegError):  # what there is will do
        for frame in container.decode(media.audio) if media.audio else ():
            pieces += [chunk.samples for chunk in resampler.feed(frame, None)]
            if sum(map(len, pieces)) > _LONGEST_S * SAMPLE_RATE:
                break
    samples = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    if not len(samples):
        raise InputError(f"{path}: has no sound to play")

    def play(times_s: NDArray[np.float64]) -> NDArray[np.float32]:
        place = np.round(times_s * SAMPLE_RATE).astype(np.int64) % len(samples)
        return samples[place]

    return play
