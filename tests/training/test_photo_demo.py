"""The demo's clip: who is heard when, and that only its mouth moves."""

from __future__ import annotations

import numpy as np
from streamavis_training.photo_demo import photo_clip
from streamavis_training.photo_demo.voices import guitar, meow, speech

from streamavis.types import SAMPLE_RATE


def test_the_same_seed_gives_the_same_clip():
    a, b = photo_clip(3), photo_clip(3)
    assert np.array_equal(a.frames, b.frames) and np.array_equal(a.waveform, b.waveform)
    assert a.frames.shape == (140, 360, 640, 3)
    assert len(a.waveform) == 14 * SAMPLE_RATE and np.abs(a.waveform).max() <= 1


def test_it_begins_and_ends_without_a_sound():
    wave = photo_clip().waveform
    for part in (wave[: SAMPLE_RATE // 2], wave[-SAMPLE_RATE // 2 :]):
        assert np.abs(part).max() < 0.02
    assert np.abs(wave).max() > 0.2


def test_a_mouth_moves_with_its_voice_alone():
    """Around the mouth, pictures change more while it is heard than while music plays."""
    frames = photo_clip().frames.astype(float)
    person, cat = frames[:, 150:215, 240:315], frames[:, 300:355, 330:430]

    def unrest(part: np.ndarray, first_s: float, last_s: float) -> float:
        shown = part[int(first_s * 10) : int(last_s * 10)]
        return float(np.abs(np.diff(shown, axis=0)).mean())

    assert unrest(person, 0.9, 2.8) > 1.5 * unrest(person, 10.0, 13.5)
    assert unrest(cat, 5.9, 6.5) > 1.5 * unrest(cat, 5.1, 5.7)


def test_voices_have_the_length_and_level_that_is_asked():
    rng = np.random.default_rng(0)
    for sound in (speech(1.0, 200.0, rng), meow(0.7, rng), guitar(1.5, rng)):
        assert np.isfinite(sound).all()
        assert np.abs(sound).max() == 1
    assert [len(meow(0.7, rng)), len(guitar(1.5, rng))] == [11_200, 24_000]
