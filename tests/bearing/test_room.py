"""The simulator itself: delays, levels, reverberation, and noise have known properties."""

from __future__ import annotations

import numpy as np
import pytest

from streamavis.bearing import MicArray
from streamavis.bearing.room import Room, diffuse_noise, scaled_to, voice
from streamavis.errors import ArgumentError

RATE = 16_000
STEREO = MicArray.stereo(0.1)


def test_a_free_field_response_is_a_delay_of_the_exact_fraction() -> None:
    response = Room(rt60_s=0).response(STEREO, 90, 2.0, RATE)
    spectra = np.fft.rfft(response, 4096)
    phase = np.unwrap(np.angle(spectra[0] * spectra[1].conj()))
    frequencies = np.fft.rfftfreq(4096, 1 / RATE)
    kept = (frequencies > 300) & (frequencies < 6000)
    slope = np.polyfit(frequencies[kept], phase[kept], 1)[0]
    assert -slope / (2 * np.pi) == pytest.approx(0.1 / 343, rel=1e-3)


def test_reverberation_decays_by_60_db_in_its_time() -> None:
    response = Room(rt60_s=0.3).response(STEREO, 20, 1.5, RATE)[0]
    spectrum = np.fft.rfft(response)
    spectrum[np.fft.rfftfreq(len(response), 1 / RATE) < 200] = 0  # reflections add up at 0 Hz
    left = np.cumsum(np.fft.irfft(spectrum)[::-1] ** 2)[::-1]
    decay = 10 * np.log10(np.maximum(left / left[0], 1e-9))
    start, end = np.argmax(decay < -5), np.argmax(decay < -25)
    assert (end - start) / RATE * 3 == pytest.approx(0.3, rel=0.1)


def test_the_image_method_has_the_first_reflections_where_geometry_puts_them() -> None:
    room = Room(size_m=(4, 3, 5), array_m=(2, 1.5, 2), rt60_s=0.2)
    array = MicArray(((-0.01, 0.0, 0.0), (0.01, 0.0, 0.0)))
    response = room.response(array, 0, 1.0, RATE)[0]
    # The floor is as far below as the ceiling above, and no wall is nearer.
    places = 40 + np.array([1.0, np.hypot(1.0, 3.0)]) / 343 * RATE
    loudest = [np.abs(response[int(b) - 2 : int(b) + 4]).max() for b in places]
    between = np.abs(response[int(places[0]) + 25 : int(places[1]) - 25]).max()
    assert loudest[0] > 2 * loudest[1] > 20 * between


def test_diffuse_noise_has_the_coherence_of_theory() -> None:
    noise = diffuse_noise(STEREO, 5 * RATE, RATE, np.random.default_rng(1))
    windows = noise[: 300 * 256].reshape(300, 256, 2) * np.hanning(256)[None, :, None]
    spectra = np.fft.rfft(windows, axis=1)
    cross = (spectra[..., 0] * spectra[..., 1].conj()).mean(0)
    powers = (np.abs(spectra) ** 2).mean(0)
    coherence = (cross / np.sqrt(powers[:, 0] * powers[:, 1])).real
    frequencies = np.fft.rfftfreq(256, 1 / RATE)
    assert np.abs(coherence - np.sinc(2 * frequencies * 0.1 / 343))[2:].max() < 0.2


def test_noise_is_put_at_the_given_ratio() -> None:
    rng = np.random.default_rng(0)
    sound, noise = rng.normal(size=(1000, 2)), rng.normal(size=(1000, 2))
    scaled = scaled_to(noise, sound, 10)
    assert 10 * np.log10(np.mean(sound**2) / np.mean(scaled**2)) == pytest.approx(10)


def test_a_voice_is_the_same_for_the_same_seed_and_has_syllables() -> None:
    first = voice(2, RATE, np.random.default_rng(4))
    assert np.array_equal(first, voice(2, RATE, np.random.default_rng(4)))
    levels = np.sqrt(np.mean(first.reshape(-1, 800) ** 2, axis=1))
    assert levels.max() > 5 * levels.min()


def test_a_source_outside_the_room_is_refused() -> None:
    with pytest.raises(ArgumentError, match="use a smaller distance"):
        Room().response(STEREO, 0, 9.0, RATE)
    with pytest.raises(ArgumentError, match="expected 0 or a positive"):
        Room(rt60_s=-1).response(STEREO, 0, 1.0, RATE)
