"""Windows of sound: what is said to be heard is in them."""

import numpy as np
import pytest
from material import TONES
from streamavis_training.data.compose.hearing import Hearing
from streamavis_training.data.compose.noise import NOISES, Noises, microphone, spectrum_filter
from streamavis_training.data.compose.track import make_track

from streamavis.types import SAMPLE_RATE, WINDOW_SAMPLES

CLASSES = {0: "person", 1: "dog", 8: "guitar"}


def test_what_is_heard_is_in_the_window(library):
    audio, times_s, heard = Hearing(library).draw(300, np.random.default_rng(3))
    assert audio.shape == (300, WINDOW_SAMPLES) and audio.dtype == np.float32
    assert np.abs(audio).max() <= 1
    assert (times_s >= 0).all()
    assert heard.shape == (300, len(library.classes))
    spectrum = (
        np.abs(np.fft.rfft(audio[:, -SAMPLE_RATE // 2 :] * np.hanning(SAMPLE_RATE // 2))) ** 2
    )
    frequency = np.fft.rfftfreq(SAMPLE_RATE // 2, 1 / SAMPLE_RATE)
    share = spectrum / (spectrum.sum(1, keepdims=True) + 1e-12)
    for class_id, label in CLASSES.items():
        near = share[:, np.abs(frequency / TONES[label] - 1) < 0.15].sum(1)
        yes, no = near[heard[:, class_id] == 1], near[heard[:, class_id] == 0]
        assert len(yes) > 40 and len(no) > 40
        assert np.median(yes) > 30 * np.median(no)
    others = [k for k in range(len(library.classes)) if k not in CLASSES]
    assert not heard[:, others].any()


def test_some_windows_are_silent_and_some_hear_nothing(library):
    audio, _, heard = Hearing(library).draw(300, np.random.default_rng(4))
    silent = ~audio.any(1)
    assert 0 < silent.mean() < 0.15
    assert not heard[silent].any()
    assert 0.1 < (~heard.any(1)).mean() < 0.5


def test_the_same_generator_gives_the_same_windows(library):
    one, two = (Hearing(library).draw(20, np.random.default_rng(1)) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", NOISES)
def test_noise_is_of_one_loudness(kind):
    noises, rng = Noises(), np.random.default_rng(0)
    for count in (5000, 20_000):
        wave = noises.draw(kind, count, rng)
        assert wave.shape == (count,)
        assert np.isfinite(wave).all()
        assert 0.1 < np.sqrt((wave**2).mean()) < 5


def test_a_track_sounds_while_it_is_loud(library):
    rng = np.random.default_rng(5)
    track, entry = make_track(
        library, library.sounds[0], SAMPLE_RATE * 3, rng, between=(16000, 32000)
    )
    assert entry.class_ids[0] == 0
    assert not track.wave[:16000].any() and not track.wave[32000:].any()
    ends = np.array([8000, 15_999, 18_000, 32_000, 39_000, 41_000])
    assert track.sounding(ends).tolist() == [False, False, True, True, True, False]
    levels = track.levels(ends)
    assert levels[0] == 0 and levels[2] > 0.5 and levels[-1] == 0


def test_filters_keep_what_passes():
    times = np.arange(8000, dtype=np.float32) / SAMPLE_RATE
    low, high = (np.sin(2 * np.pi * f * times).astype(np.float32) for f in (1000, 6000))
    out = spectrum_filter(low + high, None, (300, 3400))
    assert np.abs(np.fft.rfft(out)[500]) > 50 * np.abs(np.fft.rfft(out)[3000])
    np.testing.assert_allclose(spectrum_filter(low, np.ones(1, np.float32), None), low, atol=1e-5)
    loud = microphone(low * 100, Noises(), np.random.default_rng(0))
    assert np.abs(loud).max() <= 1
