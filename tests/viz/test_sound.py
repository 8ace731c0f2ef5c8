"""The picture of the sound: pitch upward, time to the right, nothing heard told from silence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_overlay import disc, result, track

from streamavis.palette import INK
from streamavis.types import SAMPLE_RATE, AudioChunk
from streamavis.viz import colour_of
from streamavis.viz.lanes import LANES, Lanes
from streamavis.viz.sound import SoundView

NS = 1_000_000_000
SIZE = (90, 160)


def tone(hertz: float, seconds: float, start_s: float = 0.0, level: float = 0.5) -> AudioChunk:
    n = np.arange(round(seconds * SAMPLE_RATE))
    samples = level * np.sin(2 * np.pi * hertz * n / SAMPLE_RATE)
    return AudioChunk(samples.astype(np.float32), round(start_s * NS))


def brightness(view: SoundView, time_s: float, width: int = 800, height: int = 80) -> np.ndarray:
    return view.spectrogram(round(time_s * NS), width, height).astype(int).sum(-1)


@pytest.mark.parametrize(("hertz", "row"), [(100, 0.95), (780, 0.5), (6500, 0.03)])
def test_pitch_is_upward_in_even_steps(hertz, row):
    view = SoundView(2.0)
    view.hear(tone(hertz, 2.0))
    loudest = brightness(view, 2.0)[:, 100:700].sum(1).argmax() / 80
    assert loudest == pytest.approx(row, abs=0.06)


def test_time_runs_to_the_right_and_ends_now():
    view = SoundView(2.0)
    view.hear(tone(1000, 0.5, 1.0))
    view.hear(AudioChunk(np.zeros(8000, np.float32), 3 * NS // 2))
    sound = brightness(view, 2.0).max(0)
    assert sound[420:590].min() > 300 > 150 > sound[630:].max()
    later = brightness(view, 2.5).max(0)
    assert later[220:390].min() > 300
    assert later[430:].max() < 150


def test_what_was_not_heard_is_darker_than_silence():
    view = SoundView(2.0)
    view.hear(AudioChunk(np.zeros(8000, np.float32), 0))
    view.hear(AudioChunk(np.zeros(8000, np.float32), 3 * NS // 2))
    shown = view.spectrogram(2 * NS, 800, 80)
    assert (shown[40, 250:590] == INK).all(), "a gap of 1 s"
    assert (shown[40, 20:180] != INK).any()
    assert (shown[40, 620:] != INK).any()
    assert view.level_dbfs(NS) is None
    assert view.level_dbfs(2 * NS) == -100.0


def test_sound_that_comes_late_is_drawn_when_it_has_come():
    view = SoundView(2.0)
    view.hear(tone(1000, 1.0))
    assert (view.spectrogram(6 * NS // 5, 800, 80)[:, 730:] == INK).all(), "not heard yet"
    view.hear(tone(1000, 0.5, 1.0))
    assert brightness(view, 1.2).max(0)[730:790].min() > 300


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 90), min_size=1, max_size=30), st.integers(0, 10**6))
def test_however_often_it_is_drawn_it_shows_the_same(steps, seed):
    samples = np.random.default_rng(seed).normal(0, 0.1, 4 * SAMPLE_RATE).astype(np.float32)
    often, once = SoundView(2.0), SoundView(2.0)
    for view in (often, once):
        view.hear(AudioChunk(samples, 0))
    time_ns = 0
    for step in steps:
        time_ns = min(time_ns + step * 10_000_000, 4 * NS)
        shown = often.spectrogram(time_ns, 400, 40)
    assert np.array_equal(shown, once.spectrogram(time_ns, 400, 40))


def at(time_ns: int, *levels: float | None):
    mask = disc(SIZE, 0.5, 0.5, 0.3)
    tracks = [track(n, mask, level) for n, level in enumerate(levels, 1) if level is not None]
    seen = result(SIZE, *tracks)
    seen.capture_time_ns = time_ns
    return seen


def drawn(lanes: Lanes, time_ns: int) -> np.ndarray:
    canvas = np.zeros((LANES, 200, 3), np.uint8)
    lanes.draw(canvas, time_ns)
    return canvas


def test_who_sounded_has_a_line_of_its_colour_for_as_long():
    lanes = Lanes(2.0)
    for n in range(1, 21):
        lanes.see(at(n * NS // 10, 1.0 if n <= 10 else 0.1, 1.0 if n > 15 else 0.2))
    shown = drawn(lanes, 2 * NS)
    assert (shown[0, 15:95] == colour_of(1)).all()
    assert (shown[0, 105:] == INK).all()
    assert (shown[1, :145] == INK).all()
    assert (shown[1, 160:] == colour_of(2)).all()
    assert (shown[2:] == INK).all()


def test_a_picture_of_the_past_shows_nothing_of_what_came_later():
    """As while a screen is paused."""
    lanes = Lanes(2.0)
    for n in range(1, 31):
        lanes.see(at(n * NS // 10, 1.0 if n > 25 else 0.0))
    assert (drawn(lanes, 2 * NS) == INK).all()
    assert (drawn(lanes, 3 * NS)[0, 170:] == colour_of(1)).all()
    assert (drawn(lanes, 9 * NS) == INK).all()


def test_more_sounding_tracks_than_lanes_take_turns():
    lanes = Lanes(2.0)
    for n in range(1, 4):
        lanes.see(at(n * NS // 10, *[0.9] * (LANES + 3)))
    assert (drawn(lanes, 3 * NS // 10)[:, -5:] != INK).any(-1).all()


def test_time_that_begins_anew_forgets():
    lanes = Lanes(2.0)
    lanes.see(at(5 * NS, 1.0))
    lanes.see(at(NS))
    assert (drawn(lanes, NS) == INK).all()
