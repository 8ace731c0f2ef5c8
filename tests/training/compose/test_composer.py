"""Laws of composed clips, over many draws of a small catalogue."""

import pickle
from dataclasses import fields, replace

import numpy as np
import pytest
from material import TONES
from streamavis_training.data.compose.composer import LEAST_PIXELS, Composer
from streamavis_training.data.compose.look import Look
from streamavis_training.data.sample import ClipShape, Sample

from streamavis.types import SAMPLE_RATE

SHAPE = ClipShape(4, 64, 112, (8.0,))
QUIET = dict.fromkeys(
    ("silence", "noise_only", "ambient_only", "narrator", "other", "in_view"), 0.0
)
PERSON, DOG, GUITAR = 0, 1, 8


def same(a, b):
    for field in fields(Sample):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if isinstance(x, np.ndarray):
            np.testing.assert_array_equal(x, y, field.name)
        else:
            assert x == y, field.name


def many(composer, count, shape=SHAPE, seed=0):
    rng = np.random.default_rng(seed)
    return [composer.compose(shape, rng) for _ in range(count)]


def test_the_same_generator_gives_the_same_clip(library):
    composer = Composer(library)
    other = pickle.loads(pickle.dumps(composer))
    for seed in range(30):
        one, two = (c.draw(SHAPE, np.random.default_rng(seed)) for c in (composer, other))
        same(one, two)


def test_objects_share_the_pixels(library):
    kinds = set()
    for made in many(Composer(library), 40):
        sample = made.sample
        kinds.add(made.kind)
        total = sample.masks.sum(1, dtype=np.int64)
        assert total.max(initial=0) <= 255 + len(sample.class_ids)
        assert sample.frames.dtype == np.uint8 and len(sample.frames) == 4
        assert (np.diff(sample.times_ns) == 125_000_000).all()
    assert kinds >= {"scene", "mixed", "row", "webcam", "call"}


def test_what_is_asked_for_is_large_enough(library):
    for made in many(Composer(library), 40):
        sample = made.sample
        pixels = sample.masks.sum((2, 3)) / 255
        assert (pixels[sample.visible == 1] >= LEAST_PIXELS).all()
        unsure = np.isnan(sample.visible)
        assert (pixels[unsure] < LEAST_PIXELS).all()
        assert np.isnan(sample.sounding[unsure]).all()
        assert not (sample.sounding[sample.visible == 0] == 1).any()
        for t, n in zip(*np.nonzero(unsure), strict=True):
            assert sample.ignore is not None
            assert sample.ignore[t][sample.masks[t, n] > 127].all()


def test_small_objects_are_ignored_and_not_asked_for(library):
    """At 8 pixels of height all objects of the scenes are below three cells."""
    composer = Composer(library, Look(scenes=1.0, pasted=(1.0,), letterbox=1.0, crowded=1.0))
    ignored = 0
    for made in many(composer, 10, ClipShape(1, 8, 48)):
        assert not (made.sample.visible == 1).any()
        ignored += made.sample.ignore is not None
    assert ignored > 5


def test_silence_is_silent(library):
    composer = Composer(library, Look(**{**QUIET, "silence": 1.0}))
    for made in many(composer, 10):
        assert not made.sample.waveform.any()
        assert not (made.sample.sounding == 1).any()
        assert not made.sample.heard.any()
        assert np.isnan(made.sample.level).all()


@pytest.mark.parametrize("scenario", ["noise_only", "ambient_only", "narrator", "other"])
def test_nothing_in_view_sounds_without_its_source(library, scenario):
    composer = Composer(library, Look(**{**QUIET, scenario: 1.0}))
    heard = []
    for made in many(composer, 10):
        assert made.scenario == scenario
        assert not (made.sample.sounding == 1).any()
        heard.append(made.sample.heard.any(0))
        assert made.sample.waveform.any()
        if scenario == "other":
            in_view = set(made.sample.class_ids.tolist())
            assert not in_view & set(np.flatnonzero(heard[-1]).tolist())
    classes = set(np.flatnonzero(np.any(heard, 0)).tolist())
    expected = {"narrator": {PERSON}, "other": {PERSON, DOG, GUITAR}}
    assert classes <= expected.get(scenario, set())


def loudness(wave, tone):
    """Energy within 15 % of a tone (sources are played up to 13 % faster or slower)."""
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)))) ** 2
    frequency = np.fft.rfftfreq(len(wave), 1 / SAMPLE_RATE)
    return spectrum[np.abs(frequency / tone - 1) < 0.15].sum() / len(wave) ** 2


def test_what_is_heard_is_in_the_mixture(library):
    """Each class is a tone: its energy in the last half second says whether it is there."""
    composer = Composer(library, Look(**{**QUIET, "in_view": 1.0}, ambience=0.0, room=0.0))
    tones = {PERSON: TONES["person"], DOG: TONES["dog"], GUITAR: TONES["guitar"]}
    present, absent = [], []
    for made in many(composer, 60, ClipShape(1, 48, 80)):
        sample = made.sample
        end = int((sample.times_ns[0] - sample.waveform_start_ns) * SAMPLE_RATE // 10**9)
        wave = sample.waveform[end - SAMPLE_RATE // 2 : end]
        for class_id, tone in tones.items():
            mine = sample.sounding[0, sample.class_ids == class_id] == 1
            heard = sample.heard[0, class_id]
            assert not mine.any() or heard == 1
            share = loudness(wave, tone) / (np.square(wave).mean() + 1e-12)
            (present if heard == 1 else absent).append(share)
    assert len(present) > 20 and len(absent) > 60
    # A source may have been loud for 25 ms only, so its share can be small, but not nothing.
    assert np.median(present) > 100 * np.median(absent)


def test_everything_outside_incomplete_scenes_is_ignored(library):
    look = Look(scenes=1.0, pasted=(1.0,), letterbox=0.0, still=1.0, crowded=0.0)
    incomplete = complete = 0
    for made in many(Composer(library, look), 30):
        sample = made.sample
        covered = sample.masks.sum(1, dtype=np.int64) > 127
        if library.scenes[1].class_ids == sample.class_ids.tolist() and sample.ignore is not None:
            incomplete += 1
            assert (sample.ignore ^ covered).all()
        else:
            complete += 1
            assert sample.ignore is None or not sample.ignore.all()
    assert incomplete > 3 and complete > 3
    whole = Composer(library, replace(look, incomplete=False))
    for made in many(whole, 10, ClipShape(1, 96, 128)):
        ignore = made.sample.ignore
        assert ignore is None or ignore.mean() < 0.02  # rests of objects at the edge alone


def test_negatives_are_balanced(library):
    made = many(Composer(library), 160, ClipShape(1, 48, 80))
    silent = np.mean([not (one.sample.sounding == 1).any() for one in made])
    assert 0.25 < silent < 0.5
    narrated = np.mean([one.scenario == "narrator" for one in made])
    assert 0.03 < narrated < 0.14
    pairs = [len(one.sample.class_ids) > len(set(one.sample.class_ids.tolist())) for one in made]
    assert np.mean(pairs) > 0.25


def test_levels_are_of_sounding_cutouts_alone(library):
    look = Look(scenes=0.0, row=1.0, mixed=0, webcam=0, call=0, empty=0, follows=1.0)
    known = 0
    for made in many(Composer(library, look), 20):
        level = made.sample.level
        given = ~np.isnan(level)
        known += given.any()
        assert (level[given] >= 0).all() and (level[given] <= 1).all()
    assert known > 5


def test_a_whole_recording_begins_at_nought(library):
    shape, composer = ClipShape(8, 48, 80, (8.0,)), Composer(library)
    for seed in range(6):
        made = composer.compose(shape, np.random.default_rng(seed), whole=True)
        sample = made.sample
        assert sample.times_ns[0] == 0 and sample.waveform_start_ns == 0
        assert abs(len(sample.waveform) - SAMPLE_RATE) <= 1
        assert not (sample.sounding[0] == 1).any()
