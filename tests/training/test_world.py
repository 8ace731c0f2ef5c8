"""What the procedural world promises about every clip."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streamavis_training.world import CLASSES, WorldConfig, clip
from streamavis_training.world.paint import paint
from streamavis_training.world.plan import look, plan
from streamavis_training.world.scene import Actor, generator
from streamavis_training.world.sprites import REACH, SPRITES

SMALL = WorldConfig(width=160, height=90, fps=10, duration_s=2.0)
RATE = 16_000


@pytest.fixture(scope="module")
def clips():
    return [clip(1000 + i, SMALL) for i in range(60)]


def same(a, b):
    return all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in ("frames", "ids", "visible", "sounding", "level", "waveform", "heard")
    )


def test_a_seed_is_a_clip():
    assert same(clip(3, SMALL), clip(3, SMALL))
    assert not np.array_equal(clip(3, SMALL).waveform, clip(4, SMALL).waveform)


def test_shapes_and_types(clips):
    for made in clips[:5]:
        t, n = made.sounding.shape
        assert made.frames.shape == (t, 90, 160, 3)
        assert made.frames.dtype == made.ids.dtype == np.uint8
        assert made.ids.shape == (t, 90, 160)
        assert made.ids.max() <= n == len(made.class_ids)
        assert made.level.shape == made.visible.shape == (t, n)
        assert made.heard.shape == (t, len(CLASSES))
        assert made.waveform.shape == (2 * RATE,)
        assert made.waveform.dtype == made.level.dtype == np.float32
        assert made.times_ns.tolist() == [i * 100_000_000 for i in range(20)]


@pytest.mark.parametrize("seed", range(6))
def test_size_does_not_change_the_scene(seed):
    small, large = clip(seed, SMALL), clip(seed, replace(SMALL, width=320, height=180))
    for name in ("class_ids", "level", "waveform", "heard"):
        assert np.array_equal(getattr(small, name), getattr(large, name))
    shrunk = large.ids[:, ::2, ::2]
    assert (shrunk == small.ids).mean() > 0.97
    for a, b in zip(small.frames, large.frames, strict=True):
        again = cv2.resize(b, (160, 90), interpolation=cv2.INTER_AREA)
        assert np.abs(cv2.blur(a, (9, 9)).astype(int) - cv2.blur(again, (9, 9))).mean() < 12


@pytest.mark.parametrize("seed", range(6))
def test_frame_rate_does_not_change_the_scene(seed):
    slow, fast = clip(seed, SMALL), clip(seed, replace(SMALL, fps=20))
    assert np.array_equal(slow.waveform, fast.waveform)
    for name in ("ids", "visible", "sounding", "level", "heard"):
        assert np.array_equal(getattr(slow, name), getattr(fast, name)[::2])


def test_lead_gives_the_first_picture_a_past():
    made = clip(5, replace(SMALL, lead_s=1.0))
    assert made.times_ns[0] == 1_000_000_000
    assert len(made.frames) == 20
    assert len(made.waveform) == 3 * RATE


def test_visible_is_what_has_pixels(clips):
    for made in clips:
        for i in range(len(made.class_ids)):
            assert np.array_equal((made.ids == i + 1).any((1, 2)), made.visible[:, i])


def test_only_what_is_seen_and_heard_sounds(clips):
    for made in clips:
        assert not (made.sounding & ~made.visible).any()
        for i, class_id in enumerate(made.class_ids):
            assert (made.sounding[:, i] <= made.heard[:, class_id]).all()
        for source in made.off_screen:
            assert (source.sounding <= made.heard[:, source.class_id]).all()


def test_motion_follows_sound_but_for_the_distractors(clips):
    """Where an object moves in silence its clip says so, and in some clips one does."""
    strays = 0
    for made in clips:
        sounds = made.sounding | np.roll(made.sounding, -1, 0) | ~made.visible
        stray = ((made.level > 0.3) & ~sounds)[:-1].any(0)
        assert not (stray & ~made.moves_silently).any()
        strays += stray.any()
    assert strays > 10


def test_minima(clips):
    """The promises of the data set, on the clips of this test's own seeds."""
    counts = np.array([len(made.class_ids) for made in clips])
    assert counts.min() == 2
    assert counts.max() == 5
    pairs = [len(set(made.class_ids.tolist())) < len(made.class_ids) for made in clips]
    assert np.mean(pairs) >= 0.4
    silent = np.concatenate([~made.heard.any(1) for made in clips])
    assert silent.mean() >= 0.15
    assert np.mean([any(o.sounding.any() for o in made.off_screen) for made in clips]) >= 0.2
    several = np.concatenate([made.sounding.sum(1) > 1 for made in clips])
    assert several.mean() >= 0.04
    assert any(not made.heard.any() for made in clips)
    assert {c for made in clips for c in made.class_ids} == set(range(len(CLASSES)))


def test_pairs_take_turns(clips):
    """In most pairs there is a stretch in which exactly one of the two sounds."""
    alone = [
        (made.sounding[:, 0] != made.sounding[:, 1]).mean() > 0.2
        for made in clips
        if made.class_ids[0] == made.class_ids[1] and made.heard.any()
    ]
    assert np.mean(alone) > 0.6


@given(seed=st.integers(0, 2**63))
@settings(max_examples=25, deadline=None)
def test_an_object_in_full_view_fills_1_to_20_percent(seed):
    scene = plan(seed, SMALL)
    for actor in scene.actors:
        for level in (0.0, 0.5, 1.0):
            for zoom in (0.97, 1.03):
                area = silhouette(actor, level, zoom * actor.scale * 90).mean()
                assert 0.01 <= area <= 0.2


def silhouette(actor, level, scale, side=1.0):
    """An actor alone in the middle of a picture of the small size: its mask (90, 160)."""
    return painted(actor, level, scale, side)[1] == 1


def painted(actor, level, scale, side=1.0, size=(90, 160)):
    picture, ids = np.full((*size, 3), 128, np.uint8), np.zeros(size, np.uint8)
    centre = np.array([size[1] / 2, size[0] / 2])
    paint(picture, ids, 1, actor, (level, side), np.eye(2) * scale, centre)
    return picture, ids


def actor_of(class_id, seed=0):
    individual = look(CLASSES[class_id], generator(seed, 1))
    return Actor(class_id, individual, 0.2, 1, 0.0, np.array([[0, 0.5, 0.5]]), ())


@pytest.mark.parametrize("class_id", range(len(CLASSES)), ids=CLASSES)
@pytest.mark.parametrize("level", [0.0, 0.4, 1.0])
def test_the_mask_is_what_was_painted(class_id, level):
    for seed in range(6):
        picture, ids = painted(actor_of(class_id, seed), level, 60, size=(200, 200))
        changed = np.abs(picture.astype(int) - 128).max(-1) > 12
        mask = ids == 1
        near = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5))) > 0
        assert not (changed & ~near).any(), "paint outside the mask"
        assert (changed & mask).sum() > 0.9 * mask.sum(), "mask without paint"


@pytest.mark.parametrize("class_id", range(len(CLASSES)), ids=CLASSES)
def test_a_louder_sound_changes_the_pose(class_id):
    """And more so than the difference in level, at either side."""
    actor = actor_of(class_id)
    pictures = {lv: painted(actor, lv, 40, size=(120, 120))[0].astype(int) for lv in (0, 0.5, 1)}
    inside = painted(actor, 0.0, 40, size=(120, 120))[1] == 1

    def share(a, b):
        return (np.abs(pictures[a] - pictures[b]).max(-1) > 25)[inside].mean()

    assert share(0, 1) > 0.05
    assert share(0, 1) > share(0, 0.5) > 0.02


@pytest.mark.parametrize("name", CLASSES)
def test_sprites_stay_within_reach(name):
    for seed in range(20):
        individual = look(name, generator(seed, 1))
        for level in np.linspace(0, 1, 5):
            for shape in SPRITES[name](level, (-1.0) ** seed, individual):
                assert np.abs(shape.points).max() <= REACH


def test_config_refuses_nonsense():
    for wrong in ({"fps": 4.0}, {"fps": 31.0}, {"min_objects": 4, "max_objects": 3},
                  {"duration_s": 0.0}, {"width": 8}, {"lead_s": -1.0}):  # fmt: skip
        with pytest.raises(ValueError, match=r"\d"):
            WorldConfig(**wrong)


def test_the_picture_may_be_upright():
    made = clip(1, replace(SMALL, width=90, height=160))
    assert made.visible.any()
    assert made.frames.shape[1:3] == (160, 90)
