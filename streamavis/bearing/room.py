"""Simulated rooms: what the microphones of an array hear, for tests and benchmarks.

Image sources of a box with equal walls (Allen and Berkley, J. Acoust. Soc. Am. 65, 1979), each
with its exact fractional delay; diffuse noise as a sum of plane waves from all over the sphere;
noise of the microphones themselves. Deterministic for a given generator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from streamavis.bearing.microphones import SPEED_OF_SOUND, unit
from streamavis.errors import ArgumentError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamavis.bearing.microphones import MicArray

__all__ = ["Room", "diffuse_noise", "scaled_to", "sensor_noise", "voice"]

_TAPS: Final = 40  # of a fractional delay's windowed sinc
_HEARD: Final = 0.75  # of the RT60: what comes later is 45 dB down
_BATCH: Final = 4096  # images at once
_BISECTIONS: Final = 16
_PITCHES_HZ: Final = (110.0, 210.0)
_FORMANTS_HZ: Final = ((280.0, 850.0), (900.0, 2400.0), (2400.0, 3600.0))
_UNVOICED: Final = 0.25  # of the syllables
_WAVES: Final = 96  # plane waves of diffuse noise


@dataclass(frozen=True)
class Room:
    """A box with an array in it.

    Attributes:
        size_m: width (x), height (y), depth (z).
        array_m: where the middle of the array is, from one lower corner.
        rt60_s: in which the sound decays by 60 dB; 0: no reflections.
    """

    size_m: tuple[float, float, float] = (6.0, 2.8, 5.0)
    array_m: tuple[float, float, float] = (2.9, 1.3, 2.3)
    rt60_s: float = 0.3

    def response(
        self,
        array: MicArray,
        azimuth_deg: float,
        distance_m: float,
        rate: int,
        elevation_deg: float = 0.0,
    ) -> NDArray[np.float64]:
        """(microphones, samples): impulse responses from a source to every microphone.

        Raises:
            ArgumentError: the source is not in the room, or the RT60 is negative.
        """
        towards = unit(np.array([azimuth_deg]), elevation_deg)[0]
        source = np.array(self.array_m) + distance_m * towards
        size = np.array(self.size_m)
        if (source <= 0.05).any() or (source >= size - 0.05).any():
            raise ArgumentError(
                f"a source {distance_m:g} m away at {azimuth_deg:g} degrees is not in the room "
                f"of {self.size_m} m; use a smaller distance"
            )
        places = np.array(self.array_m) + array.coordinates
        images, gains = self._images(source)
        length = round(max(self.rt60_s, 0.02) * rate) + 2 * _TAPS + round(0.05 * rate)
        return np.stack([_sampled(images, gains, place, rate, length) for place in places])

    def hear(
        self,
        array: MicArray,
        sound: NDArray[np.float64],
        azimuth_deg: float,
        distance_m: float,
        rate: int,
        elevation_deg: float = 0.0,
    ) -> NDArray[np.float64]:
        """(samples, microphones): `sound` (samples,) as it reaches the array, reverberated."""
        response = self.response(array, azimuth_deg, distance_m, rate, elevation_deg)
        points = len(sound) + response.shape[1]
        spectrum = np.fft.rfft(sound, points)[None] * np.fft.rfft(response, points)
        heard = np.fft.irfft(spectrum, points)[:, : len(sound)]
        return np.ascontiguousarray(heard.T)

    def _images(
        self, source: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Positions (images, 3) and gains (images,) of the mirrored sources."""
        if self.rt60_s == 0:
            return source[None], np.ones(1)
        size = np.array(self.size_m)
        reach = SPEED_OF_SOUND * _HEARD * self.rt60_s
        axes, bounces = [], []
        for side, place in zip(size, source, strict=True):
            most = math.ceil(reach / (2 * side)) + 1
            orders = np.arange(-most, most + 1)
            axes.append(np.concatenate([2 * orders * side + place, 2 * orders * side - place]))
            mirrored = np.abs(orders) + np.abs(orders - 1)
            bounces.append(np.concatenate([2 * np.abs(orders), mirrored]))
        images = np.stack([grid.ravel() for grid in np.meshgrid(*axes, indexing="ij")], axis=1)
        counts = np.stack([grid.ravel() for grid in np.meshgrid(*bounces, indexing="ij")]).sum(0)
        apart = np.linalg.norm(images - np.array(self.array_m), axis=1)
        near = apart <= reach
        reflection = _reflection(apart[near], counts[near], self.rt60_s)
        return images[near], reflection ** counts[near].astype(np.float64)


def _reflection(apart: NDArray[np.float64], counts: NDArray[np.int64], rt60_s: float) -> float:
    """How much a wall reflects, 0 to 1, so that the energy decays by 60 dB in `rt60_s`.

    Found by bisection: in a box Sabine's and Eyring's formulas are up to half off.

    Args:
        apart: (images,) metres.
        counts: (images,) reflections on the way.
        rt60_s: as the decay from -5 to -25 dB goes on.

    Raises:
        ArgumentError: `rt60_s` is negative.
    """
    if rt60_s < 0:
        raise ArgumentError(f"rt60_s is {rt60_s:g}, expected 0 or a positive number of seconds")
    order = np.argsort(apart)
    arrival_s, counts = apart[order] / SPEED_OF_SOUND, counts[order]
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        energy = middle ** (2.0 * counts) / arrival_s**2
        left = np.cumsum(energy[::-1])[::-1]
        decay = 10 * np.log10(left / left[0])
        begin, end = arrival_s[(decay < -5).argmax()], arrival_s[(decay < -25).argmax()]
        if decay[-1] >= -25 or 3 * (end - begin) > rt60_s:
            high = middle
        else:
            low = middle
    return (low + high) / 2


def _sampled(
    images: NDArray[np.float64],
    gains: NDArray[np.float64],
    place: NDArray[np.float64],
    rate: int,
    length: int,
) -> NDArray[np.float64]:
    """(length,) impulse response at one microphone; every image has its fractional delay."""
    apart = np.linalg.norm(images - place, axis=1)
    arrival = apart / SPEED_OF_SOUND * rate + _TAPS
    weight = gains / (4 * math.pi * apart)
    response = np.zeros(length)
    taps = np.arange(_TAPS) - _TAPS // 2 + 1
    for start in range(0, len(images), _BATCH):
        late, gain = arrival[start : start + _BATCH], weight[start : start + _BATCH]
        whole = np.floor(late).astype(np.int64)
        offset = taps[None] - (late - whole)[:, None]
        window = 0.5 + 0.5 * np.cos(np.pi * np.clip(offset / (_TAPS / 2), -1, 1))
        values = gain[:, None] * np.sinc(offset) * window
        index = whole[:, None] + taps[None]
        kept = (index >= 0) & (index < length)
        response += np.bincount(index[kept], values[kept], length)
    return response


def diffuse_noise(
    array: MicArray, samples: int, rate: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(samples, microphones): noise that comes from everywhere at once, RMS about 1.

    Every plane wave has its own noise, with a spectrum that falls by 3 dB an octave above
    100 Hz, as that of a room's air does.
    """
    number = np.arange(_WAVES) + 0.5  # even over the sphere: a Fibonacci lattice
    up = 1 - 2 * number / _WAVES
    round_deg = np.degrees(math.pi * (1 + math.sqrt(5)) * number)
    level = np.sqrt(1 - up**2)
    towards = unit(round_deg) * level[:, None]
    towards[:, 1] = up
    late = -towards @ array.coordinates.T / SPEED_OF_SOUND  # (waves, microphones)
    frequencies = np.fft.rfftfreq(samples, 1 / rate)
    shape = 1 / np.sqrt(np.maximum(frequencies, 100.0))
    total = np.zeros((len(frequencies), len(array.positions)), complex)
    for delays in late:
        wave = shape * (rng.normal(size=len(shape)) + 1j * rng.normal(size=len(shape)))
        total += wave[:, None] * np.exp(-2j * np.pi * frequencies[:, None] * delays)
    noise = np.fft.irfft(total, samples, axis=0)
    return np.asarray(noise / np.sqrt(np.mean(noise**2)))


def sensor_noise(array: MicArray, samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(samples, microphones): white noise of each microphone by itself, RMS 1."""
    return rng.normal(size=(samples, len(array.positions)))


def scaled_to(
    noise: NDArray[np.float64], sound: NDArray[np.float64], snr_db: float
) -> NDArray[np.float64]:
    """`noise` at the level that puts `sound` `snr_db` above it, by their mean powers."""
    return noise * (_rms(sound) / _rms(noise) * 10 ** (-snr_db / 20))


def voice(
    seconds: float,
    rate: int,
    rng: np.random.Generator,
    pitches: tuple[float, float] = (110.0, 210.0),
) -> NDArray[np.float64]:
    """(samples,) a sound with the structure of speech: voiced and unvoiced syllables, pauses.

    Pulses of a gliding pitch or noise through three resonances that change from syllable to
    syllable, about four syllables a second, some of them silent.
    """
    samples = round(seconds * rate)
    out = np.zeros(samples)
    place = 0
    base = rng.uniform(*_PITCHES_HZ)
    while place < samples:
        length = round(rng.uniform(0.12, 0.32) * rate)
        if rng.random() < 0.12:
            place += length
            continue
        syllable = _syllable(length, base, rate, rng)
        syllable *= 10 ** (rng.uniform(-6, 3) / 20) / _rms(syllable)
        end = min(samples, place + length)
        out[place:end] += syllable[: end - place]
        place += length
    return out * 0.1 / _rms(out)


def _syllable(
    length: int, base_hz: float, rate: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(length,) pulses of a gliding pitch, or noise, through three resonances."""
    time_s = np.arange(length) / rate
    if rng.random() < _UNVOICED:
        carrier = np.diff(rng.normal(size=length), prepend=0.0)
    else:
        pitch = base_hz * (1 + 0.15 * rng.normal()) * (1 + 0.2 * rng.normal() * time_s)
        pulses = np.diff(np.floor(np.cumsum(pitch) / rate), prepend=0.0)
        carrier = 8 * pulses + 0.05 * rng.normal(size=length)
    spectrum = np.fft.rfft(carrier, 2 * length)
    frequency = np.arange(length + 1) * (rate / (2 * length))
    gain = np.full(length + 1, 0.02)
    for band in _FORMANTS_HZ:
        centre = rng.uniform(*band)
        width = 0.09 * centre + 40
        gain += 1 / (1 + ((frequency - centre) / width) ** 2) / (1 + centre / 900)
    swell = np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 0.7
    return np.asarray(np.fft.irfft(spectrum * gain)[:length] * swell)


def _rms(sound: NDArray[np.float64]) -> float:
    return max(float(np.sqrt(np.mean(sound**2))), 1e-9)
