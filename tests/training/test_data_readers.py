"""Clips drawn from tiny folders in the layouts of AVISeg, YouTube-VIS and COCO, and the world."""

from __future__ import annotations

import json
import pickle

import cv2
import numpy as np
import pytest
from data_folders import (
    FORMS,
    HEIGHT,
    WIDTH,
    aviseg,
    change,
    coco_pictures,
    mask_at,
    write_wav,
    youtube_vis,
)
from hypothesis import given
from hypothesis import strategies as st
from streamavis_training import synth
from streamavis_training.data import layout, media
from streamavis_training.data.augment import AugmentConfig, Augmented
from streamavis_training.data.classes import AVISEG, ClassMap
from streamavis_training.data.layout import decoded
from streamavis_training.data.places import find, find_one
from streamavis_training.data.sample import ClipShape, audio_windows, collate
from streamavis_training.data.sampling import (
    ClipSampler,
    SamplingConfig,
    sampled_frames,
    sampled_views,
)
from streamavis_training.data.sources import read_source
from streamavis_training.data.videos import VideoSource, frames_of
from streamavis_training.data.world import PoolSource, WorldSource
from streamavis_training.pool import PoolConfig, render
from streamavis_training.world import WorldConfig

from streamavis.errors import InputError
from streamavis.metrics.rasters import FrameError

WHOLE = ClipShape(4, HEIGHT, WIDTH)


def source(path, classes=AVISEG, **options):
    place = find_one(path)
    labels, videos = layout.read_place(place)
    return VideoSource(videos, labels, classes, zoom=(1, 1), **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("aviseg")
    aviseg(root)
    return root


@pytest.mark.parametrize("named", ["train", "train.json", "."])
def test_the_parts_of_aviseg_are_found(folder, named):
    (place,) = find(folder / named)
    assert place.kind == "AVISeg"
    assert place.annotations == folder / "train.json"
    assert place.pictures == folder / "train" / "JPEGImages"
    assert place.sounds == folder / "train" / "WAVAudios"


def test_several_splits_want_one_named(tmp_path):
    for split in ("train", "val"):
        aviseg(tmp_path, videos=1, frames=2, split=split)
    (tmp_path / "results.json").write_text(" []")
    assert [place.annotations.name for place in find(tmp_path)] == ["train.json", "val.json"]
    with pytest.raises(InputError, match=r"several splits .*val\.json"):
        find_one(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        find(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no annotations found"):
        find(tmp_path / "empty")


def test_aviseg_knows_what_sounds_and_leaves_the_rest_open(folder):
    drawn = source(folder / "train")
    sample = drawn.draw(ClipShape(8, HEIGHT, WIDTH), np.random.default_rng(0))
    assert sample.frames.shape == (8, HEIGHT, WIDTH, 3)
    assert (sample.times_ns == np.arange(8) * 1_000_000_000 + 960_000_000).all()
    assert np.array_equal(np.isnan(sample.visible[:, 0]), np.arange(8) == 2)
    assert sample.sounding[:, 0].tolist() == [1, 1, 0, 1, 1, 1, 1, 1]
    (class_id,) = sample.class_ids
    assert AVISEG[class_id] in ("person", "violin")
    for t in (0, 1, 3, 4, 5, 6, 7):
        assert np.array_equal(sample.masks[t, 0] > 0, mask_at(t) > 0), "polygon or run lengths"
        red = sample.frames[t, ..., 0].astype(int) - sample.frames[t, ..., 1] > 60
        assert (red == (mask_at(t) > 0)).mean() > 0.97, "frame and mask belong together"
        assert sample.heard[t, class_id] == 1
    assert np.isnan(np.delete(sample.heard, class_id, 1)).all()
    assert np.array_equal(sample.ignore, ~(sample.masks[:, 0] > 0))


def test_the_sound_of_frame_i_is_from_i_to_i_plus_096(folder):
    """The tone is louder each second: every window must hold one loudness, that of its second."""
    sample = source(folder / "train").draw(ClipShape(5, HEIGHT, WIDTH), np.random.default_rng(3))
    windows = audio_windows(sample.waveform, sample.waveform_start_ns, sample.times_ns)
    second = (sample.times_ns - 960_000_000) // 1_000_000_000
    loud = np.abs(windows).reshape(5, 32, -1).max(2) * 64
    assert np.allclose(loud, (1 + second)[:, None], atol=0.08)


def test_sound_is_the_same_wherever_reading_starts(tmp_path):
    write_wav(tmp_path / "a.wav", 7)
    whole, start_ns = media.sound(tmp_path / "a.wav")
    assert start_ns == 0
    assert len(whole) == pytest.approx(7 * 16_000, abs=2)
    part, start_ns = media.sound(tmp_path / "a.wav", 4, 6)
    assert start_ns == 4_000_000_000
    same = whole[4 * 16_000 + 100 : 6 * 16_000 - 100]
    assert np.abs(part[100 : 100 + len(same)] - same).max() < 1e-3
    with pytest.raises(InputError, match="does not decode as sound"):
        media.sound(tmp_path / "b.wav")


def test_a_whole_video_is_read_for_evaluation(folder):
    video = layout.read(folder / "train")[0]
    frames = list(frames_of(video))
    assert [time for _, time in frames] == video.times_ns.tolist()
    assert frames[3][0].shape == (HEIGHT, WIDTH, 3)
    assert video.id == 1


def test_a_picture_of_another_size_is_refused(folder, tmp_path):
    path, _ = aviseg(tmp_path, videos=1)
    change(path, lambda c: c["videos"][0].update(height=HEIGHT + 2))
    video = layout.read(path)[0]
    with pytest.raises(InputError, match=r"0\.jpg: is 64x48 pixels.*64x50"):
        next(frames_of(video))
    (tmp_path / "train" / "JPEGImages" / "video0" / "0.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"0\.jpg: does not decode"):
        next(frames_of(video))


@pytest.mark.parametrize("shrink", [1, 2, 3.9, 8, 100])
@pytest.mark.parametrize("size", [(48, 64), (47, 61), (90, 33)])
def test_a_reduced_picture_is_the_picture(tmp_path, shrink, size):
    ramp = np.linspace(0, 255, size[1]).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "a.jpg"), np.broadcast_to(ramp[None, :, None], (*size, 3)))
    small = media.picture(tmp_path / "a.jpg", size, shrink=shrink)
    factor = max(f for f in (1, 2, 4, 8) if f <= shrink)
    assert small.shape[:2] == tuple(-(-side // factor) for side in size)
    assert (
        np.abs(
            small[0, :, 0]
            - np.interp((np.arange(small.shape[1]) + 0.5) * factor - 0.5, np.arange(size[1]), ramp)
        ).max()
        < 12
    )


def test_youtube_vis_labels_everything_and_hears_nothing(tmp_path):
    youtube_vis(tmp_path)
    drawn = source(tmp_path, ("person",))
    rng = np.random.default_rng(1)
    both = [drawn.draw(WHOLE, rng) for _ in range(12)]
    person = next(s for s in both if len(s.class_ids))
    assert person.visible[:, 0].tolist() == [1, 0, 1, 1]
    assert person.waveform is None
    assert np.isnan(person.sounding).all()
    assert np.isnan(person.heard).all()
    assert person.ignore is None
    assert np.diff(person.times_ns).tolist() == pytest.approx([1e9 / 6] * 3, rel=1e-6)
    other = next(s for s in both if not len(s.class_ids))
    assert np.array_equal(other.ignore[0], mask_at(0) > 0), "a skateboard is not asked for"
    assert not other.ignore[1].any()


def test_a_short_silent_video_is_played_to_and_fro(tmp_path):
    youtube_vis(tmp_path, videos=1, frames=3)
    sample = source(tmp_path).draw(ClipShape(9, HEIGHT, WIDTH), np.random.default_rng(0))
    left = [np.flatnonzero(m.any(0))[:1].tolist() for m in sample.masks[:, 0]]
    places = [4, [], 6]
    found = [places.index(x[0]) if x else 1 for x in left]
    assert set(np.abs(np.diff(found))) == {1}
    assert len(set(found)) == 3


def test_a_short_video_with_sound_is_not_stretched(folder):
    with pytest.raises(InputError, match="longest video has 8"):
        source(folder / "train").draw(ClipShape(9, 48, 64), np.random.default_rng(0))


def test_a_test_set_without_annotations_is_for_evaluation_only(tmp_path):
    path = youtube_vis(tmp_path, annotated=False)
    assert len(layout.read(path)) == 2
    with pytest.raises(InputError, match="has no annotations"):
        read_source(path, AVISEG)


def test_ovis_keeps_its_frames_without_a_folder_for_them(tmp_path):
    path = youtube_vis(tmp_path / "train")
    (tmp_path / "train" / "JPEGImages" / "clip0").rename(tmp_path / "train" / "clip0")
    (tmp_path / "train" / "JPEGImages" / "clip1").rename(tmp_path / "train" / "clip1")
    (tmp_path / "train" / "JPEGImages").rmdir()
    path = path.rename(tmp_path / "annotations_train.json")
    assert find_one(path).pictures == tmp_path / "train"
    assert find_one(path).kind == "YouTube-VIS"
    assert len(layout.read(path)) == 2


def test_coco_moves_over_a_picture_with_its_masks(tmp_path):
    path = coco_pictures(tmp_path, pictures=1)
    drawn = read_source(tmp_path / "val2017", ("person",))
    assert find_one(tmp_path).annotations == path
    moved = 0
    for seed in range(8):
        sample = drawn.draw(WHOLE, np.random.default_rng(seed))
        assert sample.waveform is None
        assert len(sample.class_ids) == 1, "neither chair nor crowd"
        assert sample.ignore.any()
        assert not (
            sample.ignore & (sample.masks[:, 0] > 128) & (sample.visible == 1)[..., None]
        ).any()
        moved += (sample.masks[0] != sample.masks[-1]).any()
        for t in np.flatnonzero(sample.visible[:, 0] == 1):
            red = sample.frames[t, ..., 0].astype(int) - sample.frames[t, ..., 1] > 80
            mask = sample.masks[t, 0] > 128
            assert (red & mask).sum() > 0.75 * max(mask.sum(), red.sum()), seed
        grey = sample.frames.min(-1)
        assert grey[grey < 30].size == 0, "no black border"
    assert moved >= 4


def test_tiny_objects_are_not_asked_for(tmp_path):
    path = coco_pictures(tmp_path, pictures=1)
    tiny = [[20.0, 20, 20.8, 20, 20.8, 21, 20, 21]]
    change(path, lambda c: c["annotations"][0].update(segmentation=tiny))
    drawn = read_source(path, ("person",))
    sample = drawn.draw(ClipShape(1, HEIGHT, WIDTH), np.random.default_rng(2))
    truth = collate([sample], objects=2).truth
    assert not truth.seen.any()


def test_labels_are_matched_by_name():
    found = ClassMap(["Lawn mower", "aeroplane", "Sedan", "kite"], AVISEG)
    assert [AVISEG[i] if (i := found.of(n)) is not None else None for n in range(4)] == [
        "lawn_mover",
        "airplane",
        "car",
        None,
    ]
    assert ClassMap(["kite"], AVISEG, {"kite": "bass"}).of(0) == AVISEG.index("bass")
    with pytest.raises(InputError, match="names the class 'bas'"):
        ClassMap(["kite"], AVISEG, {"kite": "bas"})
    with pytest.raises(InputError, match="none of the labels kite"):
        ClassMap(["kite"], AVISEG)


def test_our_own_layout_keeps_its_exact_truth(tmp_path):
    synth.write(tmp_path / "own", 1, 3, config=WorldConfig(width=96, height=64, duration_s=2))
    place = find_one(tmp_path / "own")
    labels, videos = layout.read_place(place)
    drawn = VideoSource(videos, labels, tuple(labels), zoom=(1, 1))
    sample = drawn.draw(ClipShape(4, 64, 96, (10.0,)), np.random.default_rng(0))
    assert sample.ignore is None
    assert not np.isnan(sample.visible).any()
    assert not np.isnan(sample.heard).any()
    assert np.diff(sample.times_ns).tolist() == [100_000_000] * 3
    slow = drawn.draw(ClipShape(4, 64, 96, (5.0,)), np.random.default_rng(0))
    assert np.diff(slow.times_ns).tolist() == [200_000_000] * 3


def test_what_leaves_the_view_is_neither_visible_nor_sounding(tmp_path):
    aviseg(tmp_path, videos=1)
    labels, videos = layout.read_place(find_one(tmp_path / "train"))
    close = VideoSource(videos, labels, AVISEG, zoom=(4, 4))
    outside = 0
    for seed in range(10):
        sample = close.draw(ClipShape(2, 24, 32), np.random.default_rng(seed))
        empty = ~sample.masks.any((2, 3))
        assert not (sample.visible[empty] == 1).any()
        assert (sample.sounding[empty] == 0).all()
        assert not np.isnan(sample.heard).all(), "it is heard all the same"
        outside += empty.any()
    assert outside


def test_a_source_travels_to_a_worker(folder):
    drawn = source(folder / "train")
    same = pickle.loads(pickle.dumps(drawn))
    a, b = (s.draw(WHOLE, np.random.default_rng(7)) for s in (drawn, same))
    assert np.array_equal(a.frames, b.frames)


def test_the_world_and_its_pool_are_sources(tmp_path):
    shape = ClipShape(3, 48, 85, (5.0, 10.0))
    made = WorldSource().draw(shape, np.random.default_rng(0))
    again = WorldSource().draw(shape, np.random.default_rng(0))
    assert np.array_equal(made.frames, again.frames)
    assert made.frames.shape == (3, 48, 85, 3)
    assert not np.isnan(made.visible).any()
    render(tmp_path, PoolConfig(clips=2, frames=4, width=85, height=48, seed=5))
    pool = PoolSource(tmp_path)
    pool.draw(shape, np.random.default_rng(1))
    pool = pickle.loads(pickle.dumps(pool))
    small = pool.draw(ClipShape(3, 24, 43), np.random.default_rng(1))
    assert small.frames.shape == (3, 24, 43, 3)
    assert small.masks.shape[2:] == (24, 43)
    assert len(small.class_ids) == small.masks.shape[1]
    assert collate([small], objects=5).truth.seen.any()
    with pytest.raises(InputError, match="have 4 frames, 5 are wanted"):
        pool.draw(ClipShape(5, 24, 43), np.random.default_rng(1))
    with pytest.raises(InputError, match="no rendered pool"):
        PoolSource(tmp_path / "other")


def test_augmentation_keeps_the_truth_right():
    plain = WorldSource()
    shape = ClipShape(2, 48, 85, (10.0,))
    none = AugmentConfig(flip=0, muted=0, mismatched=0)
    one = plain.draw(shape, np.random.default_rng(4))

    def varied(**changes):
        config = AugmentConfig(**{**none.__dict__, **changes})
        return Augmented(plain, config).draw(shape, np.random.default_rng(4))

    flipped = varied(flip=1)
    assert np.array_equal(flipped.masks, one.masks[..., ::-1])
    muted = varied(muted=1)
    assert not muted.waveform.any()
    assert not muted.sounding.any()
    assert not muted.heard.any()
    assert np.array_equal(muted.visible, one.visible)
    sound = varied(gain_db=(-6.0, -6.0), hiss_log10=(-9.0, -9.0))
    assert np.allclose(sound.waveform, one.waveform * 10**-0.3, atol=1e-6)
    swapped = [
        Augmented(plain, AugmentConfig(mismatched=1, muted=0)).draw(shape, np.random.default_rng(s))
        for s in range(6)
    ]
    assert any(np.isnan(s.heard).all() and not s.sounding.any() for s in swapped)


# --- the teacher's sampling


@given(length=st.integers(1, 90), seed=st.integers(0, 1000))
def test_frames_near_a_reference_sorted(length, seed):
    frames = sampled_frames(length, SamplingConfig(), np.random.default_rng(seed))
    assert len(frames) == 5
    assert (np.diff(frames) >= 0).all()
    assert frames[0] >= 0
    assert frames[-1] < length
    near = (np.abs(frames[:, None] - frames) <= 20).all(1)
    assert near.any(), "one of them is the reference"


def test_the_reference_is_not_drawn_again():
    """In a video of two frames, the other four are all the other frame."""
    for seed in range(20):
        frames = sampled_frames(2, SamplingConfig(), np.random.default_rng(seed))
        assert sorted(np.bincount(frames, minlength=2)) == [1, 4]


@given(height=st.integers(200, 800), width=st.integers(200, 1400), seed=st.integers(0, 2000))
def test_crops_and_sizes_are_the_public_codes(height, width, seed):
    views = sampled_views((height, width), SamplingConfig(), np.random.default_rng(seed))
    assert len({v.size for v in views}) == len({v.flip for v in views}) == 1
    short, long = sorted(views[0].size)
    assert long <= 769
    assert short in range(288, 513, 32) or long >= 767
    for v in views:
        assert v.x >= 0
        assert v.x + v.width <= width
        assert v.y >= 0
        assert v.y + v.height <= height
    steps = np.diff([[v.x, v.y] for v in views], axis=0)
    assert (np.ptp(steps, axis=0) <= 2).all(), "the window drifts evenly"
    if views[0].height < height - 1:
        resized = min(height, width)
        assert any(
            min(views[0].height, views[0].width) * s / resized >= min(383, s - 2)
            for s in (400, 500, 600)
        )


def test_half_of_the_clips_are_cropped_and_half_mirrored():
    rng = np.random.default_rng(0)
    drawn = [sampled_views((720, 1280), SamplingConfig(), rng)[0] for _ in range(400)]
    assert 160 < sum(v.flip for v in drawn) < 240
    assert 160 < sum((v.height, v.width) == (720, 1280) for v in drawn) < 240


def test_a_clip_for_the_teacher(folder):
    labels, videos = layout.read_place(find_one(folder / "train"))
    sampler = ClipSampler(videos, labels, AVISEG)
    assert len(sampler) == 2
    clip = sampler.draw(np.random.default_rng(5))
    assert clip.sample.frames.shape[0] == 5
    assert min(clip.sample.frames.shape[1:3]) >= 288
    assert np.array_equal(clip.video.times_ns[clip.frames], clip.sample.times_ns)
    red = clip.sample.frames[0, ..., 0].astype(int) - clip.sample.frames[0, ..., 1] > 80
    if clip.sample.visible[0, 0] == 1:
        both = red & (clip.sample.masks[0, 0] > 128)
        assert both.sum() > 0.85 * red.sum()
    silent = ClipSampler(videos, labels, AVISEG, sound=False).of(1, np.random.default_rng(0))
    assert silent.sample.waveform is None
    assert silent.video is videos[1]
    with pytest.raises(InputError, match="none of the videos"):
        ClipSampler([], labels, AVISEG)


# --- masks as files hold them


@given(t=st.integers(0, 60))
def test_every_form_of_a_mask_is_the_same_mask(t):
    for form in FORMS:
        mask = decoded(json.dumps(form(t)).encode(), (HEIGHT, WIDTH))
        assert np.array_equal(mask, mask_at(t)), form.__name__
    assert not decoded(b"null", (HEIGHT, WIDTH)).any()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 10**9)
    | st.floats(allow_nan=False)
    | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=8)
        | st.fixed_dictionaries({"size": st.just([4, 6]), "counts": inner})
    ),
    max_leaves=12,
)


@given(stored=JSON)
def test_whatever_a_file_holds_is_a_mask_or_an_error(stored):
    try:
        mask = decoded(json.dumps(stored).encode(), (4, 6))
    except FrameError:
        return
    assert mask.shape == (4, 6)
    assert set(np.unique(mask)) <= {0, 1}


@given(counts=st.lists(st.integers(0, 30), max_size=6))
def test_run_lengths_must_fill_the_picture(counts):
    stored = json.dumps({"size": [4, 6], "counts": counts}).encode()
    if sum(counts) != 24:
        with pytest.raises(FrameError, match="of 24 pixels"):
            decoded(stored, (4, 6))
    else:
        wanted = np.repeat(np.arange(len(counts)) % 2, counts).reshape(4, 6, order="F")
        assert np.array_equal(decoded(stored, (4, 6)), wanted)
