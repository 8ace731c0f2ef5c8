"""The sounds of the classes, and the acoustics of room and microphone."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.signal import butter, oaconvolve, sosfilt

from streamavis.types import SAMPLE_RATE
from streamavis_training.world.config import CLASSES
from streamavis_training.world.rhythm import HOPS_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from streamavis_training.world.rhythm import Performance

    Samples = NDArray[np.float32]

__all__ = ["HOP_SAMPLES", "Score", "mix", "voice"]

HOP_SAMPLES = SAMPLE_RATE // HOPS_PER_S
_TABLE = 4096  # samples of one period in a wavetable
_FORMANTS = ((730, 1090, 2440), (530, 1840, 2480), (400, 2000, 2550), (570, 840, 2410))  # a e i o


class Score(NamedTuple):
    """What a timbre plays from, sample by sample."""

    level: Samples  # 0..1
    age_s: Samples  # since the syllable began
    syllable: NDArray[np.int64]  # counted from 0


def voice(class_id: int, part: Performance, rng: np.random.Generator) -> Samples:
    """The dry sound of one object, (J * HOP_SAMPLES,), RMS 1 at amplitude 1, about."""
    samples = len(part.amplitude) * HOP_SAMPLES
    starts = part.onsets * HOP_SAMPLES
    begun = np.zeros(samples, np.int64)
    begun[starts[1:]] = 1
    syllable = np.cumsum(begun)
    age_s = ((np.arange(samples) - starts[syllable]) / SAMPLE_RATE).astype(np.float32)
    dry = _TIMBRES[CLASSES[class_id]](Score(_upsample(part.level), age_s, syllable), rng)
    dry /= np.sqrt(np.mean(dry**2)) + 1e-6
    return dry * _upsample(part.amplitude)


def mix(
    dry: list[Samples],
    gains_db: list[float],
    *,
    samples: int,
    reverb: bool,
    rng: np.random.Generator,
) -> Samples:
    """Play the sources in one room and record them: (samples,) in [-1, 1].

    Args:
        dry: what each source emits.
        gains_db: level of each at the microphone.
        samples: length of the recording.
        reverb: whether the room has reverberation.
        rng: draws room, noise and recording level.
    """
    wet = np.zeros(samples, np.float32)
    for source, gain in zip(dry, gains_db, strict=True):
        wet += source[:samples] * np.float32(10 ** (gain / 20))
    room = _room(rng)
    if reverb:
        wet = oaconvolve(wet, room)[:samples].astype(np.float32)
    loud = wet[np.abs(wet) > 1e-3]
    target = 10 ** (rng.uniform(-30, -17) / 20)
    if loud.size:
        wet *= target / np.sqrt(np.mean(loud**2))
    noise = _noise(samples, rng)
    if rng.random() < 0.85:  # otherwise silence is digital silence
        wet += noise * np.float32(target * 10 ** (rng.uniform(-45, -18) / 20))
    peak = float(np.abs(wet).max(initial=0))
    return wet * np.float32(min(1.0, 0.97 / max(peak, 1e-9)))


def _upsample(hops: NDArray[np.float32]) -> Samples:
    """Hop values, which belong to the ends of the hops, as samples."""
    ends = np.concatenate([[0], hops])
    steps = np.arange(1, HOP_SAMPLES + 1, dtype=np.float32) / HOP_SAMPLES
    return (ends[:-1, None] + np.diff(ends)[:, None] * steps).astype(np.float32).ravel()


def _play(table: Samples, frequency: NDArray[np.floating] | float, samples: int) -> Samples:
    """One period read at a frequency in Hz that may change from sample to sample."""
    phase = np.cumsum(np.broadcast_to(frequency, samples) * (_TABLE / SAMPLE_RATE))
    return table[phase.astype(np.int64) % _TABLE]


def _harmonics(*amplitudes: float) -> Samples:
    """One period of a tone with these partials, their phases spread against sharp peaks."""
    order = np.arange(len(amplitudes))
    spectrum = np.zeros(_TABLE // 2 + 1, complex)
    spectrum[1 : 1 + len(order)] = np.array(amplitudes) * np.exp(1j * order**2)
    return (np.fft.irfft(spectrum) * (_TABLE / 2)).astype(np.float32)


@cache
def _band(low_hz: float, high_hz: float) -> NDArray[np.float64]:
    return butter(2, (low_hz, high_hz), "bandpass", fs=SAMPLE_RATE, output="sos")


def _hiss(samples: int, low_hz: float, high_hz: float, rng: np.random.Generator) -> Samples:
    white = rng.standard_normal(samples, np.float32)
    return sosfilt(_band(low_hz, high_hz), white).astype(np.float32)


def _person(score: Score, rng: np.random.Generator) -> Samples:
    f0 = rng.uniform(105, 250)
    time = np.arange(len(score.level)) / SAMPLE_RATE
    lilt = rng.uniform(-0.12, 0.12, 64)[score.syllable % 64]
    pitch = f0 * (1 + lilt + 0.1 * score.level + 0.015 * np.sin(2 * np.pi * 5.5 * time))
    place = np.arange(1, 30) * f0
    tract = rng.uniform(0.92, 1.12)
    vowels = []
    for formants in _FORMANTS:
        gain = sum(
            np.exp(-(((place - f * tract) / 130) ** 2)) / (i + 1) for i, f in enumerate(formants)
        )
        vowels.append(_harmonics(*((gain + 0.03) / np.arange(1, 30) ** 0.3)))
    phase = np.cumsum(pitch * (_TABLE / SAMPLE_RATE)).astype(np.int64) % _TABLE
    choice = rng.integers(0, len(vowels), 64)[score.syllable % 64]
    return np.stack(vowels)[choice, phase]


def _bird(score: Score, rng: np.random.Generator) -> Samples:
    base = rng.uniform(2900, 4200)
    sweep = rng.uniform(-0.9, 0.9, 64)[score.syllable % 64]
    trill = 0.06 * np.sin(2 * np.pi * rng.uniform(22, 38) * score.age_s)
    pitch = base * (1 + sweep * (score.age_s - 0.08) * 2.2 + trill)
    return _play(_harmonics(1.0, 0.12), np.clip(pitch, 2200, 6200), len(score.level))


def _frog(score: Score, rng: np.random.Generator) -> Samples:
    rate, tone = rng.uniform(26, 42), rng.uniform(480, 760)
    pulse = (score.age_s * rate) % 1
    rasp = _play(_harmonics(1.0, 0.7, 0.25), tone * (1 + 0.25 * score.level), len(score.level))
    return rasp * np.exp(-4.5 * pulse) * np.minimum(pulse * 12, 1)


def _drum(score: Score, rng: np.random.Generator) -> Samples:
    base = rng.uniform(62, 95)
    pitch = base * (1 + 1.3 * np.exp(-score.age_s / 0.03))
    thump = _play(_harmonics(1.0, 0.25), pitch, len(score.level))
    snap = _hiss(len(score.level), 900, 3200, rng) * np.exp(-score.age_s / 0.018)
    return thump * np.exp(-score.age_s / 0.16) + 0.5 * snap


def _bell(score: Score, rng: np.random.Generator) -> Samples:
    base = rng.uniform(1000, 1450)
    out = np.zeros(len(score.level), np.float32)
    for ratio, gain, decay in ((1, 1, 0.5), (2.0, 0.6, 0.4), (2.76, 0.8, 0.3), (5.4, 0.45, 0.15)):
        tone = _play(_harmonics(1.0), base * ratio, len(score.level))
        out += gain * tone * np.exp(-score.age_s / decay)
    return out


def _car(score: Score, rng: np.random.Generator) -> Samples:
    idle = rng.uniform(38, 58)
    engine = _harmonics(1, 0.9, 0.3, 0.7, 0.2, 0.5, 0.15, 0.3, 0.1, 0.2)
    rumble = _hiss(len(score.level), 160, 700, rng)
    return _play(engine, idle * (1 + 0.9 * score.level), len(score.level)) + 2.2 * rumble


def _radio(score: Score, rng: np.random.Generator) -> Samples:
    key = rng.uniform(470, 620)
    scale = np.array([0, 2, 4, 7, 9, 12])
    notes = scale[rng.integers(0, len(scale), 64)][score.syllable % 64]
    square = _harmonics(1, 0, 1 / 3, 0, 1 / 5, 0, 1 / 7, 0, 1 / 9)
    return _play(square, key * 2 ** (notes / 12), len(score.level))


def _kettle(score: Score, rng: np.random.Generator) -> Samples:
    whistle = rng.uniform(1750, 2250)
    time = np.arange(len(score.level)) / SAMPLE_RATE
    wobble = 1 + 0.012 * np.sin(2 * np.pi * 7 * time) + 0.06 * score.level
    steam = _hiss(len(score.level), 3200, 7600, rng)
    return 2.4 * steam + 0.55 * _play(_harmonics(1.0), whistle * wobble, len(score.level))


_TIMBRES: dict[str, Callable[[Score, np.random.Generator], Samples]] = {
    "person": _person,
    "bird": _bird,
    "frog": _frog,
    "drum": _drum,
    "bell": _bell,
    "car": _car,
    "radio": _radio,
    "kettle": _kettle,
}


def _room(rng: np.random.Generator) -> Samples:
    """Impulse response of a room: the direct sound, then decaying noise."""
    decay_s = rng.uniform(0.03, 0.13)
    time = np.arange(int(4 * decay_s * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal(len(time)) * np.exp(-time / decay_s)
    tail *= rng.uniform(0.15, 0.6) / np.sqrt(np.sum(tail**2))
    tail[: int(0.004 * SAMPLE_RATE)] = 0
    tail[0] = 1
    return tail.astype(np.float32)


def _noise(samples: int, rng: np.random.Generator) -> Samples:
    """White, pink-ish or humming noise, RMS 1."""
    white = rng.standard_normal(samples, np.float32)
    kind = rng.random()
    if kind < 0.4:
        white = np.convolve(white, np.full(12, 1.0, np.float32), "same")
    elif kind < 0.6:
        white += _play(_harmonics(1.5, 0.6, 0.8), rng.choice([50.0, 60.0]), samples)
    return white / np.float32(np.sqrt(np.mean(white**2)) + 1e-9)
