"""Synthetic sounds: a voice, a cat and a guitar, from sources and resonances (Klatt, 1980)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import lfilter

from streamavis.types import SAMPLE_RATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[np.float64]

__all__ = ["guitar", "meow", "speech"]

# First three formants of vowels, Hz (Peterson and Barney, 1952, adult voices).
_VOWELS = {
    "a": (730, 1090, 2440),
    "e": (530, 1840, 2480),
    "i": (270, 2290, 3010),
    "o": (570, 840, 2410),
    "u": (300, 870, 2240),
}
_SLICES = 8  # of a sound, each with formants of its own
_OPEN_MORE = 1.1  # a woman's formants against the table's


def speech(seconds: float, pitch_hz: float, rng: np.random.Generator) -> Samples:
    """Syllables of made-up words, (n,) with a peak of 1."""
    count = int(seconds * SAMPLE_RATE)
    out = np.zeros(count)
    at = 0
    while at < count - SAMPLE_RATE // 8:
        syllable = _syllable(pitch_hz, rng)[: count - at]
        out[at : at + len(syllable)] += syllable
        at += len(syllable)
        if rng.random() < 0.18:  # between words
            at += int(rng.uniform(0.08, 0.2) * SAMPLE_RATE)
    return _normalised(out)


def meow(seconds: float, rng: np.random.Generator) -> Samples:
    """One call of a cat: harmonics under formants that open and close; (n,) with a peak of 1."""
    count = int(seconds * SAMPLE_RATE)
    share = np.linspace(0, 1, count)
    pitch = np.interp(share, (0, 0.3, 0.6, 1), (370, 620, 590, 380))
    pitch *= 1 + 0.008 * np.sin(2 * np.pi * 6 * np.arange(count) / SAMPLE_RATE)
    opened = np.interp(share, (0, 0.35, 0.7, 1), (0.15, 1, 0.8, 0.2))
    formants = ((500 + 700 * opened, 250, 1.0), (1200 + 900 * opened, 300, 0.8), (3200, 500, 0.35))
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    out = np.zeros(count)
    for k in range(1, 11):
        gain = sum(g / (1 + ((k * pitch - centre) / width) ** 2) for centre, width, g in formants)
        out += gain * k**-0.4 * np.sin(k * phase)
    out = _normalised(out) + 0.02 * rng.standard_normal(count)
    return _normalised(out * opened**0.7 * np.interp(share, (0, 0.12, 0.85, 1), (0, 1, 0.7, 0)))


def guitar(seconds: float, rng: np.random.Generator) -> Samples:
    """Plucked strings (Karplus and Strong, 1983), (n,) with a peak of 1."""
    out = np.zeros(int(seconds * SAMPLE_RATE))
    notes_hz = 110 * 2 ** (np.array([0, 7, 12, 16, 19, 16, 12, 7]) / 12)
    step = SAMPLE_RATE // 4
    for n, at in enumerate(range(0, len(out), step)):
        period = int(SAMPLE_RATE / notes_hz[n % len(notes_hz)])
        pluck = np.zeros(len(out) - at)
        pluck[:period] = rng.standard_normal(period)[: len(pluck)]
        feedback = np.zeros(period + 2)
        feedback[0], feedback[period], feedback[period + 1] = 1, -0.498, -0.498
        out[at:] += lfilter([1.0], feedback, pluck)
    return _normalised(out)


def _syllable(pitch_hz: float, rng: np.random.Generator) -> Samples:
    """A consonant, often voiceless, and a vowel that turns into another."""
    length = int(rng.uniform(0.12, 0.26) * SAMPLE_RATE)
    share = np.linspace(0, 1, length)
    lilt = 1 + 0.12 * rng.uniform(-1, 1) * np.sin(np.pi * share)
    jitter = 1 + 0.01 * rng.standard_normal(length).cumsum() / np.sqrt(length)
    source = lfilter(
        [1], [1, -1.6, 0.65], _pulses(pitch_hz * rng.uniform(0.9, 1.12) * lilt * jitter)
    )
    first, last = (_VOWELS[str(v)] for v in rng.choice(list(_VOWELS), 2))
    formants = [_OPEN_MORE * (a + (b - a) * share) for a, b in zip(first, last, strict=True)]
    vowel = _normalised(_voiced(source + 0.01 * rng.standard_normal(length), formants))
    vowel *= np.hanning(length) ** 0.5 * rng.uniform(0.6, 1)
    consonant = int(rng.uniform(0.03, 0.08) * SAMPLE_RATE)
    whole = np.zeros(consonant // 2 + length)
    whole[consonant // 2 :] = vowel
    if rng.random() < 0.5:
        hiss = _resonance(rng.standard_normal(consonant), rng.uniform(2500, 5500), 1200)
        whole[:consonant] += hiss * np.hanning(consonant) * rng.uniform(0.3, 0.8)
    return whole


def _pulses(pitch_hz: Samples) -> Samples:
    """A pulse at the start of every period."""
    return np.diff(np.floor(np.cumsum(pitch_hz) / SAMPLE_RATE), prepend=0)


def _voiced(source: Samples, formants: list[Samples]) -> Samples:
    """The source through resonances that move."""
    out = np.zeros(len(source))
    for piece in np.array_split(np.arange(len(source)), _SLICES):
        middle = piece[len(piece) // 2]
        for n, (path, gain) in enumerate(zip(formants, (1, 0.6, 0.35), strict=True)):
            out[piece] += gain * _resonance(source, float(path[middle]), 60 + 40 * n)[piece]
    return out


def _resonance(source: Samples, frequency_hz: float, width_hz: float) -> Samples:
    radius = np.exp(-np.pi * width_hz / SAMPLE_RATE)
    poles = [1, -2 * radius * np.cos(2 * np.pi * frequency_hz / SAMPLE_RATE), radius**2]
    return lfilter([sum(poles)], poles, source)


def _normalised(samples: Samples) -> Samples:
    return samples / max(float(np.abs(samples).max(initial=0)), 1e-9)
