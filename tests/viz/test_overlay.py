"""What is drawn, where, and what is left alone."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamavis.masks import encode
from streamavis.types import FrameResult, Track
from streamavis.viz import colour_of, draw
from streamavis.viz.labels import LabelStyle, draw_label
from streamavis.viz.objects import ObjectSound, paint
from streamavis.viz.overlay import draw_tracks
from streamavis.viz.patch import Patch
from streamavis.viz.sprites import Layers, loudspeaker, plate, text

SIZES = [(180, 320), (720, 1280)]


def track(number: int, mask: np.ndarray, sounding: float | None = 0.1) -> Track:
    ys, xs = np.nonzero(mask)
    box = (int(xs.min()), int(ys.min()), int(np.ptp(xs)) + 1, int(np.ptp(ys)) + 1)
    return Track(
        id=number,
        label="acoustic guitar",
        class_id=0,
        score=0.9,
        sounding=sounding,
        visible=None,
        box=box,
        centroid=(float(xs.mean()), float(ys.mean())),
        area=len(xs),
        rle=encode(mask),
    )


def result(size: tuple[int, int], *tracks: Track, audio="ok") -> FrameResult:
    return FrameResult(
        stream="cam",
        epoch=0,
        seq=0,
        capture_time_ns=61_500_000_000,
        size=size,
        audio=audio,
        audio_delay_s=0.0,
        video="ok",
        clock="pts",
        tracks=list(tracks),
    )


def disc(size: tuple[int, int], x: float, y: float, r: float) -> np.ndarray:
    mask = np.zeros(size, np.uint8)
    height, width = size
    cv2.circle(mask, (round(x * width), round(y * height)), round(r * height), 1, -1)
    return mask.astype(bool)


def grey(size: tuple[int, int]) -> np.ndarray:
    return np.full((*size, 3), 90, np.uint8)


@pytest.mark.parametrize("size", SIZES)
def test_inside_takes_the_tracks_colour_and_outside_is_left_alone(size):
    mask = disc(size, 0.5, 0.6, 0.2)
    image = grey(size)
    drawn = draw(image, result(size, track(1, mask)))
    assert (image == 90).all(), "the picture that came in is not changed"
    centre = drawn[round(0.6 * size[0]), size[1] // 2].astype(int)
    towards = np.array(colour_of(1)) - 90
    assert (centre - 90) @ towards > 0.15 * towards @ towards
    far = drawn[size[0] * 9 // 10 :, : size[1] // 5]
    assert (far == 90).all()


@pytest.mark.parametrize("side", [40, 41, 42, 43, 287, 288, 289, 290])
def test_light_lies_around_its_object_and_not_beside_it(side):
    canvas = np.zeros((480, 640, 3), np.uint8)
    cut = Patch(200, 100, np.ones((side, side), np.uint8))
    paint(canvas, cut, (255, 255, 255), ObjectSound(0.9, phase=0.3), line=1)
    lit = canvas[..., 0] > 0
    across, down = np.flatnonzero(lit[100 + side // 2]), np.flatnonzero(lit[:, 200 + side // 2])
    before = 200 - across[0], 100 - down[0]
    after = across[-1] - (200 + side - 1), down[-1] - (100 + side - 1)
    assert before == pytest.approx(after, abs=2), "as far to the left and up as right and down"
    assert min(before) > 5


@pytest.mark.parametrize("size", SIZES)
def test_what_sounds_shines_and_what_is_silent_does_not(size):
    mask = disc(size, 0.5, 0.6, 0.2)
    ring = disc(size, 0.5, 0.6, 0.23) & ~disc(size, 0.5, 0.6, 0.215)
    ring[: round(0.6 * size[0])] = False  # the label may lie above
    light = {}
    for level in (None, 0.1, 0.6, 1.0):
        drawn = draw(grey(size), result(size, track(2, mask, level)))
        light[level] = drawn[ring].astype(int).mean()
    assert light[None] == light[0.1] == 90
    assert light[1.0] > light[0.6] > 95


def test_labels_avoid_each_other_and_the_header():
    size = (360, 640)
    look = LabelStyle.of(*size)
    taken = [(0, 0, size[1], look.header)]
    for number in range(1, 5):
        seen = track(number, disc(size, 0.5, 0.2 + 0.03 * number, 0.15), 0.9)
        x, y, w, h = seen.box
        taken.append(draw_label(grey(size), seen, (x, y, x + w, y + h), look, taken))
    for n, (left, top, right, bottom) in enumerate(taken):
        assert 0 <= left < right <= size[1]
        assert 0 <= top < bottom <= size[0]
        for other in taken[:n]:
            assert left >= other[2] or other[0] >= right or top >= other[3] or other[1] >= bottom


@pytest.mark.parametrize("audio", ["ok", "gap", "lost", "absent"])
def test_the_header_tells_the_state_of_the_sound(audio):
    size = (180, 320)
    frames = {a: draw(grey(size), result(size, audio=a)) for a in ("ok", "gap", "lost", "absent")}
    others = [frame for name, frame in frames.items() if name != audio]
    assert all((frames[audio] != other).any() for other in others)
    assert (frames[audio][40:] == 90).all()


def test_the_meter_follows_the_level():
    size = (360, 640)
    lit = []
    for level in (None, -80.0, -30.0, 0.0, 6.0):
        drawn = draw(grey(size), result(size), level_dbfs=level).astype(int)
        lit.append(int((drawn[:20, 400:, 1] - drawn[:20, 400:, 2] > 40).sum()))
    assert lit[0] == lit[1] < lit[2] < lit[3]
    assert lit[3] == lit[4]


@settings(max_examples=40)
@given(
    st.tuples(st.integers(1, 90), st.integers(1, 120)),
    st.integers(0, 10_000),
    st.sampled_from([None, 0.2, 0.9]),
)
def test_any_size_and_any_mask_can_be_drawn(size, seed, sounding):
    rng = np.random.default_rng(seed)
    tracks = []
    for number in range(1, 4):
        mask = rng.random(size) < rng.choice([0.01, 0.5, 1.0])
        if mask.any():
            tracks.append(track(number, mask, sounding))
    drawn = draw(rng.integers(0, 256, (*size, 3), np.uint8), result(size, *tracks))
    assert drawn.shape == (*size, 3)
    assert drawn.dtype == np.uint8


def test_a_result_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"\(180, 320\).*\(90, 160\)"):
        draw(grey((90, 160)), result((180, 320)))


def test_a_track_without_pixels_is_left_out_of_the_picture_but_not_of_the_labels():
    size = (180, 320)
    empty = replace(track(1, disc(size, 0.5, 0.5, 0.1)), rle=encode(np.zeros(size, np.bool_)))
    assert draw(grey(size), result(size, empty)).shape == (180, 320, 3)


def test_sprites_are_cut_at_the_edges():
    layers = Layers(10, 20)
    layers.add(plate(10, 20, 3), (200, 100, 50), opacity=0.5)
    sprite = layers.sprite()
    whole = np.zeros((40, 60, 3), np.uint8)
    sprite.lay(whole, 20, 15)
    assert whole[20, 30].tolist() == [100, 50, 25]
    for x, y in [(-5, -3), (15, 8), (-30, 0), (0, 50)]:
        canvas = np.zeros((12, 25, 3), np.uint8)
        sprite.lay(canvas, x, y)
        expected = np.zeros((72, 145, 3), np.uint8)
        sprite.lay(expected, x + 60, y + 30)
        assert np.array_equal(canvas, expected[30:42, 60:85])


def test_text_keeps_its_descenders_and_speakers_differ():
    assert text("dog", 0.5)[-3:].any(), "the foot of the g"
    assert text(" ", 0.5).shape[1] >= 1
    shapes = {loudspeaker(16, h).tobytes() for h in ("sounding", "silent", "unknown")}
    assert len(shapes) == 3


def test_a_label_stays_with_the_largest_part_of_its_mask():
    size = (360, 640)
    whole = disc(size, 0.3, 0.7, 0.15)
    crumbs = whole | disc(size, 0.9, 0.2, 0.01) | disc(size, 0.05, 0.25, 0.01)
    at_home, scattered = (draw(grey(size), result(size, track(1, m))) for m in (whole, crumbs))
    changed = [(drawn[150:184] != 90).any(-1) for drawn in (at_home, scattered)]
    assert changed[0].any(), "the label, above the disc"
    assert np.array_equal(*changed)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 199), st.integers(0, 299)), min_size=1, max_size=6),
    st.sampled_from([(200, 300), (20, 30), (67, 100), (401, 611)]),
    st.sampled_from([0.1, 0.9]),
)
def test_masks_of_crumbs_can_be_drawn_at_any_size(pixels, canvas, sounding):
    mask = np.zeros((200, 300), bool)
    mask[tuple(np.transpose(pixels))] = True
    drawn = np.zeros((*canvas, 3), np.uint8)
    draw_tracks(drawn, result((200, 300), track(1, mask, sounding)))
    assert drawn.any()
