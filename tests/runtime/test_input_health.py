"""When an input counts as gone, by what it says and by its silence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtime_fakes import NS, picture

from streamavis.runtime.input_health import LOST_AFTER_S, Arrivals, InputHealth
from streamavis.types import SourceEvent, VideoFrame

MS = 1_000_000
IMAGE = picture(height=4, width=4)


def frame(state="ok") -> VideoFrame:
    return VideoFrame(IMAGE, 0, 0, "driver", state=state)


def told(modality, state, reason="") -> SourceEvent:
    return SourceEvent("cam", modality, state, 0, reason)


def running(period_ms: float = 33, *, until_ms: int = 2000) -> tuple[InputHealth, int]:
    """A camera and a microphone that have run until the time that is returned."""
    health = InputHealth("cam", has_audio=True, now_ns=0)
    at = 0.0
    while at <= until_ms:
        health.frame(frame(), round(at * MS))
        health.sound(round(at * MS))
        at += period_ms
    return health, round((at - period_ms) * MS)


def test_silence_is_noticed_and_told_once():
    health, last = running()
    assert health.look(last + 350 * MS) == []
    assert (health.video(last + 400 * MS), health.audio(last + 400 * MS, "ok")) == ("ok", "ok")
    late = last + 401 * MS
    assert (health.video(late), health.audio(late, "ok")) == ("lost", "lost")
    news = health.look(late)
    assert [(e.modality, e.state, e.source) for e in news] == [
        ("video", "stalled", "cam"),
        ("audio", "stalled", "cam"),
    ]
    assert news[0].reason == "no picture for 0.4 s"
    assert news[1].reason == "no sound for 0.4 s"
    assert health.look(late + NS) == []
    assert health.source == "stalled"
    assert health.frame(frame(), late + 2 * NS).state == "running"
    assert (health.video(late + 2 * NS), health.audio(late + 2 * NS, "ok")) == ("ok", "lost")
    assert health.frame(frame(), late + 2 * NS) is None, "that is no news"


@given(st.floats(10, 2000))
def test_what_is_due_is_news_then_and_not_before(period_ms):
    health, _ = running(period_ms, until_ms=round(40 * period_ms))
    due = health.due_ns()
    assert health.look(due - 1) == []
    first = health.look(due)
    assert [event.modality for event in first][-1] == "audio", "sound has no period to wait for"
    if len(first) == 1:
        later = health.due_ns()
        assert later > due
        assert health.look(later - 1) == []
        assert [event.modality for event in health.look(later)] == ["video"]
    assert health.due_ns() is None
    health.sound(due + 5 * NS)
    assert health.due_ns() == pytest.approx(due + 5 * NS + LOST_AFTER_S * NS, abs=2)


@given(st.floats(10, 2000))
def test_a_camera_is_granted_four_periods_where_that_is_longer(period_ms):
    health, last = running(period_ms, until_ms=round(40 * period_ms))
    limit = max(LOST_AFTER_S * 1e9, 4 * period_ms * MS)
    assert health.video(last + round(limit * 0.99)) == "ok"
    assert health.video(last + round(limit * 1.01)) == "lost"
    assert health.audio(last + 401 * MS, "ok") == "lost", "a microphone is not"


@pytest.mark.parametrize("state", ["stalled", "reconnecting", "failed", "ended"])
def test_what_the_source_says_counts_at_once(state):
    health, last = running()
    health.told(told("audio", state, "unplugged"), last)
    assert health.audio(last, "ok") == "lost"
    assert health.video(last) == "ok"
    assert health.look(last) == []
    assert health.inputs[1].reason == "unplugged"
    health.told(told("audio", "running"), last + NS)
    assert health.audio(last + NS + 100 * MS, "gap") == "gap"
    assert health.audio(last + NS + 500 * MS, "gap") == "lost", "said to run, but nothing comes"


def test_before_anything_came_all_is_lost_and_no_news():
    health = InputHealth("cam", has_audio=False, now_ns=0)
    assert health.source == "starting"
    assert health.video(500 * MS) == "lost"
    assert health.audio(500 * MS, "ok") == "absent"
    assert health.look(5 * NS) == []
    assert health.sound(0) is None
    assert [known.modality for known in health.inputs] == ["video"]


def test_a_pause_is_no_frame_period():
    health, last = running()
    health.told(told("video", "reconnecting"), last)
    back = last + 60 * NS
    for n in range(3):
        health.frame(frame(), back + n * 33 * MS)
    assert health.video(back + 66 * MS + 401 * MS) == "lost"


def test_a_picture_that_does_not_change_is_stale():
    health, last = running()
    health.frame(frame("stale"), last + 33 * MS)
    assert health.video(last + 40 * MS) == "stale"


def test_a_silence_of_results_is_no_silence_of_the_microphone():
    health, last = running()
    assert health.audio(last, "lost") == "ok", "the newest result is older than the sound"


def test_rates_are_counted_over_their_span():
    arrivals = Arrivals(kept=4)
    assert (arrivals.last_ns, arrivals.period_ns) == (None, 0)
    for at in (0, 10, 11, 30, 31):
        arrivals.note(at)
    assert (arrivals.last_ns, arrivals.period_ns) == (31, 7)
