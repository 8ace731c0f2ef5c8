"""Noise, rooms and microphones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import fft

from streamavis.types import SAMPLE_RATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["NOISES", "Noises", "draw_band", "impulse_response", "microphone", "spectrum_filter"]

NOISES = ("white", "pink", "brown", "blue", "hum", "handling", "wind", "clicks", "tone")
_COLOURS = {"white": 0.0, "pink": -0.5, "brown": -1.0, "blue": 0.5}  # power of the frequency
_STORED = 1 << 17  # samples of each colour


class Noises:
    """Noise of many kinds, root mean square 1, cut from stored stretches."""

    def __init__(self) -> None:
        rng = np.random.default_rng(20261)
        spectrum = fft.rfft(rng.standard_normal(_STORED, dtype=np.float32))
        frequency = np.maximum(fft.rfftfreq(_STORED, 1 / SAMPLE_RATE), 20.0)
        self._stored: dict[str, NDArray[np.float32]] = {}
        for name, power in _COLOURS.items():
            wave = fft.irfft(spectrum * frequency**power, _STORED).astype(np.float32)
            self._stored[name] = np.tile(wave / np.sqrt((wave**2).mean()), 2)

    def draw(self, kind: str, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """(count,) samples of one of `NOISES`, with a root mean square of about 1."""
        if kind in self._stored:
            start = int(rng.integers(_STORED))
            if count <= _STORED:
                return self._stored[kind][start : start + count].copy()
            return np.take(self._stored[kind], np.arange(start, start + count), mode="wrap")
        seconds = np.arange(count, dtype=np.float32) / np.float32(SAMPLE_RATE)
        if kind == "hum":
            return _hum(seconds, rng)
        if kind == "tone":
            pitch = np.exp(rng.uniform(np.log(150), np.log(5000)))
            vibrato = rng.uniform(0, 0.02) * np.sin(2 * np.pi * rng.uniform(2, 8) * seconds)
            return (1.4 * np.sin(2 * np.pi * pitch * seconds * (1 + vibrato))).astype(np.float32)
        if kind == "wind":
            slow = 1 + 0.9 * np.sin(2 * np.pi * rng.uniform(0.2, 2) * seconds + rng.uniform(0, 6))
            return (self.draw("brown", count, rng) * slow).astype(np.float32)
        colour = "brown" if kind == "handling" else "white"
        decay = rng.uniform(0.02, 0.15) if kind == "handling" else rng.uniform(0.0005, 0.004)
        return self._bumps(colour, decay, count, rng)

    def _bumps(
        self, colour: str, decay_s: float, count: int, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        envelope = np.zeros(count, np.float32)
        length = int(decay_s * 6 * SAMPLE_RATE)
        shape = np.exp(-np.arange(length, dtype=np.float32) / (decay_s * SAMPLE_RATE))
        for start in rng.integers(count, size=rng.poisson(count / SAMPLE_RATE * 4) + 1):
            piece = shape[: count - start]
            envelope[start : start + len(piece)] += piece * rng.uniform(0.3, 1.0)
        wave = self.draw(colour, count, rng) * envelope
        return (wave / (np.sqrt((wave**2).mean()) + 1e-6)).astype(np.float32)


def _hum(seconds: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    wave = np.zeros_like(seconds)
    base = float(rng.choice([50.0, 60.0]))
    for harmonic in rng.choice(np.arange(1, 9), 4, replace=False):
        phase = 2 * np.pi * base * harmonic * seconds + rng.uniform(0, 2 * np.pi)
        wave += np.sin(phase) * rng.uniform(0.2, 1.0)
    return wave


def impulse_response(rng: np.random.Generator) -> NDArray[np.float32]:
    """A made-up room, 0.05..0.5 s long: direct sound, some reflections, a decaying tail."""
    length = int(rng.uniform(0.05, 0.5) * SAMPLE_RATE)
    decay = np.exp(-np.arange(length, dtype=np.float32) * (6.9 / length))
    response = rng.standard_normal(length, dtype=np.float32) * decay
    response *= np.float32(rng.uniform(0.02, 0.12))
    for place in rng.integers(30, 600, size=4):
        response[place] += np.float32(rng.uniform(-0.4, 0.4))
    response[0] = 1
    return response


def spectrum_filter(
    wave: NDArray[np.float32],
    response: NDArray[np.float32] | None,
    band: tuple[float, float] | None,
) -> NDArray[np.float32]:
    """Room and band limits in one pass.

    Args:
        wave: (n,) or (m, n).
        response: of the room, or None.
        band: lowest and highest frequency that passes, Hz, or None.
    """
    count = wave.shape[-1]
    size = fft.next_fast_len(count + (0 if response is None else len(response)), real=True)
    spectrum = fft.rfft(wave, size)
    if response is not None:
        spectrum *= fft.rfft(response, size)
    if band is not None:
        frequency = fft.rfftfreq(size, 1 / SAMPLE_RATE).astype(np.float32)
        low, high = band
        gain = 1 / (1 + (low / np.maximum(frequency, 1)) ** 4) / (1 + (frequency / high) ** 8)
        spectrum *= gain.astype(np.float32)
    return fft.irfft(spectrum, size)[..., :count].astype(np.float32, copy=False)


def draw_band(rng: np.random.Generator) -> tuple[float, float]:
    """Band of a microphone or a telephone, Hz."""
    if rng.random() < 0.25:
        return 300.0, 3400.0
    return rng.uniform(20, 250), rng.uniform(3000, 7800)


def microphone(
    wave: NDArray[np.float32], noises: Noises, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Gain, hiss, hum and clipping; what comes out is a multiple of 1/32768 in -1..1."""
    wave = wave * np.float32(10 ** (rng.uniform(-14, 4) / 20))
    kind = "white" if rng.random() < 0.5 else "pink" if rng.random() < 0.5 else "brown"
    wave += noises.draw(kind, len(wave), rng) * np.float32(10 ** rng.uniform(-4.5, -2.2))
    if rng.random() < 0.08:
        wave += noises.draw("hum", len(wave), rng) * np.float32(10 ** rng.uniform(-4, -2.2))
    if rng.random() < 0.06:
        wave = np.tanh(wave * rng.uniform(1.5, 6))
    return (np.round(np.clip(wave, -1, 1) * 32767) / 32768).astype(np.float32)
