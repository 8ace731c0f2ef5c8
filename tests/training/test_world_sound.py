"""What the procedural world promises about its sound."""

import numpy as np
import pytest
from scipy.signal import stft
from streamavis_training.world import CLASSES, WorldConfig, clip
from streamavis_training.world.plan import plan
from streamavis_training.world.rhythm import (
    FLOOR,
    HOPS_PER_S,
    audible,
    hops_before,
    improvise,
)  # fmt: skip
from streamavis_training.world.sound import HOP_SAMPLES, mix, voice

RATE = 16_000
SMALL = WorldConfig(width=64, height=36, fps=12, duration_s=3.0)


@pytest.fixture(scope="module")
def clips():
    return [clip(seed, SMALL) for seed in range(30)]


def solo(class_id, seed, hops=150):
    rng = np.random.default_rng([seed, class_id])
    gate = np.ones(hops, bool)
    part = improvise(class_id, gate, ~gate, rng)
    return voice(class_id, part, rng), part


def loudness(samples, step=0.05):
    """RMS in windows of `step` seconds."""
    width = round(step * RATE)
    return np.sqrt(np.mean(samples[: len(samples) // width * width].reshape(-1, width) ** 2, 1))


def spectrum(samples):
    """Mean log power in 48 bands that are equally wide in octaves, without its level."""
    _, _, bins = stft(samples, RATE, nperseg=512)
    power = (np.abs(bins) ** 2).mean(1)
    edges = np.unique(np.geomspace(2, len(power), 49).round().astype(int))
    return np.log(np.add.reduceat(power, edges[:-1]) / power.sum() + 1e-5)


def test_timbres_are_told_apart_by_their_spectrum():
    known = np.stack([[spectrum(solo(k, s)[0]) for s in range(8)] for k in range(len(CLASSES))])
    centroids = known.mean(1)
    right = [
        np.square(centroids - spectrum(solo(k, 100 + s)[0])).sum(1).argmin() == k
        for k in range(len(CLASSES))
        for s in range(12)
    ]
    assert np.mean(right) > 0.95


@pytest.mark.parametrize("class_id", range(len(CLASSES)), ids=CLASSES)
def test_loudness_follows_the_level(class_id):
    for seed in range(4):
        samples, part = solo(class_id, seed, hops=400)
        heard = loudness(samples)
        level = part.amplitude.reshape(-1, 5).mean(1)
        assert np.corrcoef(heard, level)[0, 1] > 0.6


@pytest.mark.parametrize("class_id", range(len(CLASSES)), ids=CLASSES)
def test_what_is_on_is_heard_in_every_200_ms(class_id):
    samples, part = solo(class_id, 1, hops=600)
    assert (part.amplitude[3:] >= FLOOR - 1e-6).all()
    windows = loudness(samples, 0.2)
    assert windows[1:].min() > 0.02 * windows.max()


def test_sound_starts_with_the_gate_and_does_not_click():
    gate = np.zeros(200, bool)
    gate[50:120] = True
    rng = np.random.default_rng(0)
    for class_id in range(len(CLASSES)):
        part = improvise(class_id, gate, np.zeros(200, bool), rng)
        samples = voice(class_id, part, rng)
        assert not samples[: 50 * HOP_SAMPLES].any()
        assert not samples[123 * HOP_SAMPLES :].any()
        edges = (50 * HOP_SAMPLES, 122 * HOP_SAMPLES)
        for edge in edges:
            assert np.abs(samples[edge : edge + 16]).max() < 0.25 * np.abs(samples).max()


def test_audible_is_causal_and_needs_50_of_200_ms():
    amplitude = np.zeros(100, np.float32)
    amplitude[40:60] = 0.5
    at = audible(amplitude, np.arange(101))
    assert at.tolist() == [45 <= n <= 75 for n in range(101)]
    later = amplitude.copy()
    later[50:] = 1
    assert np.array_equal(audible(later, np.arange(51)), at[:51])


def test_a_frame_sees_complete_hops_only():
    times = np.array([0, 9_999_999, 10_000_000, 1_000_000_000], np.int64)
    assert hops_before(times).tolist() == [0, 0, 1, HOPS_PER_S]


def test_truth_is_what_was_emitted_before_the_frame():
    """Counted in the dry sounds themselves, 10 ms by 10 ms, up to the frame and no further."""
    for seed in range(12):
        made = clip(seed, SMALL)
        loudest = np.zeros(made.heard.shape, int)
        for voiced in plan(seed, SMALL).voices:
            dry = voice(voiced.class_id, voiced.part, np.random.default_rng(0))
            on = dry.reshape(-1, HOP_SAMPLES).any(1) & voiced.part.amplitude.astype(bool)
            for n, end in enumerate(made.times_ns // 10_000_000):
                count = on[max(0, end - 20) : end].sum()
                loudest[n, voiced.class_id] = max(loudest[n, voiced.class_id], count)
        assert made.heard[loudest >= 8].all()  # flanks are too quiet to count
        assert not made.heard[loudest < 5].any()


def test_silence_is_quiet_and_sound_is_not(clips):
    quiet, loud = [], []
    for made in clips:
        ends = made.times_ns * RATE // 1_000_000_000
        for n in range(8, len(ends)):
            rms = np.sqrt(np.mean(made.waveform[ends[n] - RATE // 20 : ends[n]] ** 2))
            if not made.heard[n - 8 : n + 1].any():  # the room has fallen silent as well
                quiet.append(rms)
            elif made.heard[n - 2 : n + 1].any(1).all():
                loud.append(rms)
    assert np.median(loud) > 20 * np.median(quiet)
    assert np.quantile(loud, 0.05) > np.median(quiet)


def test_the_mix_never_clips(clips):
    for made in clips:
        assert np.abs(made.waveform).max() <= 0.98
        assert np.isfinite(made.waveform).all()


def test_an_empty_stage_may_be_digital_silence():
    rng = np.random.default_rng(0)
    peaks = [np.abs(mix([], [], samples=1600, reverb=True, rng=rng)).max() for _ in range(60)]
    assert min(peaks) == 0 < max(peaks) < 0.1


def test_an_off_screen_sound_is_heard_and_nobody_in_view_makes_it(clips):
    found = 0
    for made in clips:
        for source in made.off_screen:
            alike = made.class_ids == source.class_id
            assert not made.sounding[:, alike].any()
            assert made.heard[source.sounding, source.class_id].all()
            found += bool(source.sounding.any())
    assert found >= 6
