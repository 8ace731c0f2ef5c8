"""What a viewer's screen shows, at any size, and what its keys do."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_overlay import disc, grey, result, track

from streamavis.palette import GOOD, WHITE
from streamavis.types import AudioChunk, Candidate, SourceEvent
from streamavis.viz.hud import Item, draw_bar, draw_candidates, plate_of_text
from streamavis.viz.kinds import draw_kinds
from streamavis.viz.labels import LabelStyle
from streamavis.viz.screen import Action, ScreenHealth, StreamScreen, view_size

NS = 1_000_000_000
SIZE = (720, 1280)
SIZES = [(240, 320), (720, 1280), (2160, 3840), (1920, 1080), (300, 2400), (1, 1), (61, 97)]


def at(time_s: float, size=SIZE, *tracks, **changes):
    return replace(result(size, *tracks), capture_time_ns=round(time_s * NS), **changes)


def showing(size=SIZE, *tracks, **options) -> StreamScreen:
    screen = StreamScreen(**options)
    screen.see(grey(size), at(1.0, size, *tracks))
    return screen


def words_of(screen: StreamScreen, width: int = 4000) -> list[str]:
    look = LabelStyle.of(720, 1280)
    return draw_bar(np.zeros((look.header, width, 3), np.uint8), screen._bar(), look)


@pytest.mark.parametrize("size", SIZES)
def test_any_source_is_shown_at_a_size_at_which_words_can_be_read(size):
    height, width = view_size(*size)
    assert height <= 800
    assert width <= 1280
    assert max(height, width) >= min(320, 300 * max(size))
    assert abs(height / width - size[0] / size[1]) <= 0.5 / min(height, width) * 4 + 0.01
    shown = showing(size, track(1, disc(size, 0.5, 0.5, 0.6), 0.9)).render(0)
    assert shown.shape[1] == width
    assert height < shown.shape[0] <= 960


def test_the_picture_itself_is_not_covered():
    """Bar and strip lie around it: an empty result leaves every pixel as it was."""
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    screen = StreamScreen()
    screen.see(image, at(1.0))
    shown = screen.render(0)
    top = LabelStyle.of(*SIZE).header
    assert np.array_equal(shown[top : top + 720], image)


def test_a_result_is_drawn_on_its_frame_and_masks_can_be_hidden():
    mask = disc(SIZE, 0.5, 0.6, 0.2)
    screen = showing(SIZE, track(1, mask, 0.9))
    top = LabelStyle.of(*SIZE).header
    centre = top + round(0.6 * 720), 640
    assert (screen.render(0)[centre] != 90).any()
    assert screen.press(ord("m")) is None
    assert (screen.render(0)[centre] == 90).all()
    screen.press(ord("m"))
    assert (screen.render(0)[centre] != 90).any()


@pytest.mark.parametrize(
    ("key", "action"),
    [
        (ord("q"), Action.QUIT),
        (27, Action.QUIT),
        (ord(" "), Action.PAUSE),
        (ord("r"), Action.RECORD),
        (ord("s"), Action.SCREENSHOT),
        (ord("d"), Action.QUERIES),
        (ord("h"), None),
        (ord("m"), None),
        (ord("x"), None),
    ],
)
def test_keys_ask_for_what_the_screen_cannot_do(key, action):
    assert StreamScreen().press(key) is action


def test_a_paused_screen_keeps_its_picture_and_says_so():
    screen = showing()
    before = screen.render(0).copy()
    screen.press(ord(" "))
    screen.see(grey(SIZE) + 50, at(2.0))
    top = LabelStyle.of(*SIZE).header
    assert np.array_equal(screen.render(0)[top : top + 720], before[top : top + 720])
    assert "paused" in words_of(screen)
    screen.press(ord(" "))
    screen.see(grey(SIZE) + 50, at(2.0))
    assert screen.render(0)[top + 360, 640, 0] == 140


def test_a_bar_is_drawn_anew_when_its_words_or_its_size_change():
    screen = showing()
    top = LabelStyle.of(*SIZE).header
    screen.tell(ScreenHealth(frames_per_s=1.0), 0)
    before = screen.render(0)[:top].copy()
    screen.tell(ScreenHealth(frames_per_s=2.0), 0)
    changed = screen.render(0)[:top].copy()
    assert (changed != before).any()
    assert np.array_equal(screen.render(0)[:top], changed)
    screen.see(grey((400, 800)), at(1.0, (400, 800)))
    narrow = screen.render(0)
    assert narrow.shape[1] == 800
    assert (narrow[: LabelStyle.of(400, 800).header] == np.array(WHITE)).all(-1).any()


def test_a_live_stream_goes_on_behind_a_pause():
    screen = showing(live=True)
    assert "live" in words_of(screen)
    screen.press(ord(" "))
    assert "screen paused, stream goes on" in words_of(screen)


def test_the_bar_tells_rate_latency_drops_and_recording():
    screen = showing()
    dropped = {"stale": 2, "superseded": 3}
    screen.tell(ScreenHealth(frames_per_s=9.95, dropped=dropped, recording="a", recorded_s=75.4), 0)
    screen.was_seen(62_000_000)
    words = words_of(screen)
    for said in ("9.9 fps", "behind by 62 ms", "5 dropped", "2 stale, 3 superseded", "rec 1:15"):
        assert said in words or said.replace("9.9", "10.0") in words, said
    for _ in range(60):
        screen.was_seen(1_800_000_000)
    assert "behind by 1.8 s" in words_of(screen)


def test_a_narrow_bar_keeps_what_matters_most():
    screen = showing()
    screen.tell(ScreenHealth(frames_per_s=30.0, recording="a"), 0)
    screen.was_seen(62_000_000)
    kept = {width: words_of(screen, width) for width in (150, 300, 500, 900, 2000)}
    assert [len(words) for words in kept.values()] == sorted(len(w) for w in kept.values())
    assert kept[150] == ["replay"] or "rec 0:00" in kept[150]
    assert {"rec 0:00", "behind by 62 ms"} <= set(kept[500])


def test_a_source_that_stalls_is_told_in_bar_and_picture_until_it_runs():
    screen = showing(live=True)
    usual = screen.render(0).copy()
    screen.notice(SourceEvent("camera:0", "video", "stalled", 0, "no picture for 0.5 s"))
    assert "stalled" in words_of(screen)
    assert (screen.render(0)[50:300] != usual[50:300]).any()
    screen.notice(SourceEvent("camera:0", "video", "running", 0))
    assert "live" in words_of(screen)
    assert np.array_equal(screen.render(0)[50:300], usual[50:300])


def test_an_old_picture_is_dark_and_dated_while_its_camera_is_gone():
    screen = showing(live=True)
    usual = screen.render(0).copy()
    screen.notice(SourceEvent("camera:0", "video", "reconnecting", 0, "unplugged"))
    first = screen.render(3 * NS).copy()
    assert first[400, 20, 0] < 0.5 * usual[400, 20, 0]
    later = screen.render(4 * NS)
    assert (first[50:300] != later[50:300]).any(), "its age is told"
    assert np.array_equal(first[400:700], later[400:700])


def test_before_the_first_picture_it_says_starting_and_what_the_model_knows():
    screen = StreamScreen(live=True)
    bare = screen.render(0).copy()
    assert "starting" in words_of(screen)
    screen.introduce("nano", ("person", "dog"))
    known = screen.render(0).copy()
    assert (bare != known).any()
    screen.notice(SourceEvent("camera:0", "video", "failed", 0, "it is in use"))
    assert (screen.render(0) != known).any(), "a camera that fails at once is told"


def test_an_empty_view_says_what_the_model_could_have_found():
    screen = showing(live=True)
    screen.introduce("nano", ("person", "dog"))
    assert "none of the classes of nano is in view" in words_of(screen)


def test_new_trouble_is_said_once_and_fades():
    screen = showing()
    usual = screen.render(0).copy()
    trouble = ScreenHealth(trouble="record: No space left on device")
    screen.tell(trouble, 0)
    told = screen.render(NS).copy()
    assert (told[500:740] != usual[500:740]).any()
    faded = screen.render(5 * NS).copy()
    assert np.array_equal(faded[100:740], usual[100:740])
    screen.tell(trouble, 6 * NS)
    assert np.array_equal(screen.render(7 * NS)[100:740], usual[100:740])


KINDS = [("bell", 0.93), ("acoustic guitar", 0.5), ("dog", 0.31), ("car", 0.04)]


def panel(size=(102, 195)) -> np.ndarray:
    return np.full((*size, 3), 255, np.uint8)


def test_what_is_heard_is_named_with_its_probability_the_likeliest_first():
    canvas = panel()
    told = draw_kinds(canvas, KINDS, LabelStyle.of(*SIZE))
    assert told == ["bell 93 %", "acoustic guitar 50 %", "dog 31 %"], "4 % is noise"
    lit = (canvas == np.array(GOOD)).all(-1).sum(axis=1)
    bars = sorted(set(lit[lit > 0.4 * canvas.shape[1]]), reverse=True)
    assert bars == [round(0.93 * 195), round(0.5 * 195)], "bars as long as they are sure"


@pytest.mark.parametrize(
    ("kinds", "words"), [(None, "unknown"), ([], "none of its classes"), ([("a", 0.01)], "none of")]
)
def test_that_nobody_knows_is_not_that_nothing_is_heard(kinds, words):
    assert draw_kinds(panel(), kinds, LabelStyle.of(*SIZE))[0].startswith(words)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.text(max_size=80), st.floats(0, 1)), max_size=8),
    st.tuples(st.integers(1, 120), st.integers(1, 300)),
)
def test_any_names_fit_into_any_panel(kinds, size):
    told = draw_kinds(panel(size), kinds, LabelStyle.of(*SIZE))
    assert 1 <= len(told) <= max(1, size[0] // LabelStyle.of(*SIZE).header)


def test_a_long_name_leaves_its_probability_room():
    told = draw_kinds(panel(), [("a very long name of a kind of sound", 1.0)], LabelStyle.of(*SIZE))
    assert re.fullmatch("a very.*… 100 %", told[0])


def test_the_panel_comes_with_the_first_thing_heard_and_stays():
    screen = StreamScreen()
    screen.hear(AudioChunk(np.random.default_rng(0).normal(0, 0.1, 48000).astype(np.float32), 0))
    screen.see(grey(SIZE), at(1.0))
    wide = screen.render(0)[-100:].copy()
    screen.see(grey(SIZE), at(1.0), kinds=KINDS)
    named = screen.render(0)[-100:].copy()
    assert (wide[:, -195:] != named[:, -195:]).any()
    screen.see(grey(SIZE), at(1.0))
    unknown = screen.render(0)[-100:].copy()
    assert (unknown[:, -195:] != named[:, -195:]).any(), "what was heard before does not stay"
    assert np.array_equal(unknown[:, :-200], named[:, :-200]), "nothing moves"


def test_a_narrow_window_keeps_its_spectrogram():
    size = (800, 400)
    screen, named = StreamScreen(), StreamScreen()
    for each, kinds in ((screen, None), (named, KINDS)):
        each.see(grey(size), at(1.0, size), kinds=kinds)
    assert np.array_equal(screen.render(0), named.render(0))


def test_candidates_are_drawn_where_they_are_when_asked_for():
    screen = StreamScreen()
    found = [Candidate("bird", 1, 0.8, (640, 360, 320, 180))]
    screen.see(grey((1440, 2560)), at(1.0, (1440, 2560)), found)
    usual = screen.render(0).copy()
    screen.press(ord("d"))
    changed = (screen.render(0) != usual).any(-1)
    top = LabelStyle.of(*SIZE).header
    ys, xs = np.nonzero(changed[top : top + 720])
    assert (ys.min(), xs.min()) == pytest.approx((180, 320), abs=4)
    assert (ys.max(), xs.max()) == pytest.approx((270, 480), abs=4)
    assert not changed[top + 215, 395], "its inside is free"


def test_tags_of_candidates_do_not_cover_each_other():
    """Many proposals of one object: each tag stands by itself, the surest in its own place."""
    box, look = (400, 200, 300, 300), LabelStyle.of(*SIZE)

    def drawn(count):
        canvas = np.full((*SIZE, 3), 255, np.uint8)
        found = [Candidate("bird", 1, 0.9 - n / 20, box) for n in range(count)]
        draw_candidates(canvas, found, SIZE, look)
        return canvas

    one, many = drawn(1), drawn(5)
    inside = slice(210, 490), slice(600, 690)  # of the box, without its corners
    plates = [(canvas[inside][..., 0] < 80).any(1).sum() for canvas in (one, many)]
    assert plates[1] >= 4.5 * plates[0], "they stand above each other"
    surest = slice(482, 490), slice(600, 690)
    assert np.array_equal(many[surest], one[surest])


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(SIZES),
    st.sampled_from(["ok", "gap", "lost", "absent"]),
    st.lists(st.sampled_from(["m", "d", "h", " "]), max_size=4),
    st.text(max_size=30),
)
def test_nothing_that_can_be_said_breaks_it(size, audio, keys, words):
    screen = StreamScreen(live=len(keys) % 2 == 0)
    screen.render(0)
    screen.hear(AudioChunk(np.zeros(1600, np.float32), 0))
    screen.notice(SourceEvent("mic", "audio", "failed", 0, words))
    screen.say(words, 0)
    for key in keys:
        screen.press(ord(key))
    screen.see(grey(size), at(0.1, size, audio=audio), [Candidate(words, 0, 1.0, (0, 0, 1, 1))])
    screen.tell(ScreenHealth(dropped={words: 3}, trouble=words), 0)
    assert screen.render(0).dtype == np.uint8


def test_items_that_do_not_fit_are_left_out_by_rank():
    look = LabelStyle.of(720, 1280)
    items = [Item("first", rank=2), Item("second", rank=1), Item("third", rank=3, right=True)]
    canvas = np.zeros((look.header, 160, 3), np.uint8)
    assert draw_bar(canvas, items, look) in (["second"], ["first", "second"])
    assert plate_of_text((("a", "b"), ("", "c")), look).size[0] > 2 * look.header
