"""One way to write a label, a percentage, an id, a delay and a state."""

from __future__ import annotations

import pytest

from streamavis import words
from streamavis.types import Rle, SoundBearing, Track


def track(sounding: float | None) -> Track:
    return Track(3, "dog", 0, 0.9, sounding, None, (0, 0, 1, 1), (0, 0), 1, Rle((1, 1), "01"))


@pytest.mark.parametrize(
    ("share", "said"), [(0.0, "0 %"), (0.125, "13 %"), (0.994, "99 %"), (1.0, "100 %")]
)
def test_percentages_round_half_up_as_in_the_browser(share, said):
    assert words.percent(share) == said


def test_unknown_is_unknown_and_never_a_number():
    assert words.percent(None) == words.level(None) == "unknown"
    assert [words.sounding_words(track(p)) for p in (None, 0.2, 0.87)] == [
        "unknown",
        "silent",
        "87 %",
    ]


@pytest.mark.parametrize(
    ("azimuth", "said"),
    [
        (None, "direction of the sound unknown"),
        (1.0, "sound from straight ahead"),
        (23.4, "sound from 23° right"),
        (-179.6, "sound from 180° left"),
    ],
)
def test_directions(azimuth, said):
    assert words.direction(SoundBearing(0, azimuth, 0.9)) == said
    assert words.direction(None) == ""


@pytest.mark.parametrize(
    ("ms", "said"), [(0.4, "0 ms"), (61.5, "62 ms"), (999, "999 ms"), (1840, "1.8 s")]
)
def test_delays(ms, said):
    assert words.delay(ms) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0:00.0"), (65.24, "1:05.2"), (59.96, "1:00.0"), (3601, "60:01.0")]
)
def test_places_in_a_recording(seconds, said):
    assert words.clock_time(seconds) == said


def test_no_microphone_and_no_sound_track_are_told_apart():
    assert words.sound_state("absent") == "no microphone"
    assert words.sound_state("absent", live=False) == "no sound"
    assert words.sound_state("lost", live=False) == "microphone lost"


def test_what_is_in_view_is_counted():
    assert words.counted([], "nano") == "none of the classes of nano is in view"
    assert words.counted([]) == "nothing in view"
    assert words.counted([track(0.9), track(0.1)]) == "2 in view, 1 sounding"
    assert words.counted([track(0.1)]) == "1 in view, all silent"
    assert words.counted([track(None)]) == "1 in view, sounding unknown"
