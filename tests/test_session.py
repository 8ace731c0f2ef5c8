"""One stream: time, sound and epochs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from runtime_fakes import CLASSES, NS, FakeConfig, FakeModel, clip, picture

from streamavis.clock import ManualClock
from streamavis.errors import ModelOutputError, ShapeError
from streamavis.runtime.tracks import TrackConfig
from streamavis.session import Session
from streamavis.types import AudioChunk, FrameResult, Stage, VideoFrame


def run(session: Session, items) -> list[FrameResult]:
    results = []
    for item in items:
        if isinstance(item, AudioChunk):
            session.hear(item)
        else:
            results.append(session.see(item))
    return results


def frame(time_s: float, index: int = 0) -> VideoFrame:
    image = picture((0, 10, 10, 40, 30), (1, 100, 50, 30, 30))
    return VideoFrame(image, round(time_s * NS), index=index, clock="pts")


def noise(start_s: float, duration_s: float) -> AudioChunk:
    samples = np.random.default_rng(0).normal(0, 0.1, round(duration_s * 16_000))
    return AudioChunk(samples.astype(np.float32), round(start_s * NS))


def test_results_say_what_is_where_and_who_sounds():
    results = run(Session(FakeModel(), stream="cam"), clip(20))
    assert [result.seq for result in results] == list(range(20))
    assert results[0].tracks == [], "an object proves itself for two frames"
    for n, result in enumerate(results[1:], 1):
        red, green = result.tracks
        assert (red.id, red.label, green.id, green.label) == (1, CLASSES[0], 2, CLASSES[1])
        assert red.is_sounding
        assert not green.is_sounding
        assert abs(red.box[0] - (10 + n)) <= 2
        assert abs(red.area - 40 * 30) < 150
        assert result.size == (90, 160)
        assert (result.stream, result.epoch, result.audio) == ("cam", 0, "ok")
        assert (result.video, result.clock, result.audio_delay_s) == ("ok", "pts", 0.0)
        assert result.capture_time_ns == n * NS // 10


def test_the_model_gets_the_picture_the_window_and_the_time():
    model = FakeModel()
    run(Session(model, stream="cam"), clip(15))
    frames, audio, times = model.calls[12]
    assert frames.shape == (1, 3, 64, 114)
    assert times.tolist() == [1.2]
    sound = np.concatenate([c.samples for c in clip(15) if isinstance(c, AudioChunk)])
    end = 12 * 1600
    np.testing.assert_array_equal(audio[0].numpy(), sound[end - 15_360 : end])


def test_a_delay_moves_the_window_and_is_reported():
    model = FakeModel()
    (*_, last) = run(Session(model, stream="cam", audio_delay_s=0.06), clip(15))
    sound = np.concatenate([c.samples for c in clip(15) if isinstance(c, AudioChunk)])
    end = 14 * 1600 - 960
    np.testing.assert_array_equal(model.calls[14][1][0].numpy(), sound[end - 15_360 : end])
    assert last.audio_delay_s == 0.06


def test_without_a_microphone_sounding_is_unknown():
    results = run(Session(FakeModel(), stream="cam", has_audio=False), clip(6, sound=False))
    assert {result.audio for result in results} == {"absent"}
    assert {track.sounding for result in results for track in result.tracks} == {None}


def test_scores_count_as_the_model_was_made_for():
    shy = FakeModel(config=FakeConfig(score_on=0.999))
    assert not any(r.tracks for r in run(Session(shy, stream="cam"), clip(6)))
    told = Session(shy, stream="cam", tracks=TrackConfig())
    assert any(r.tracks for r in run(told, clip(6))), "who is told otherwise does so"


def test_digital_silence_is_heard():
    silence = [AudioChunk(np.zeros(16_000, np.float32), 0), *(frame(t / 10) for t in range(10))]
    results = run(Session(FakeModel(), stream="cam"), silence)
    assert {result.audio for result in results} == {"ok"}
    levels = [track.sounding for result in results for track in result.tracks]
    assert levels
    assert max(levels) < 0.5


def test_a_microphone_that_goes_away_leaves_sounding_unknown_until_it_is_back():
    session = Session(FakeModel(), stream="cam")
    session.hear(noise(0, 2.0))
    said = {}
    for n in range(60):
        time_s = 1.5 + 0.05 * n
        if n == 40:  # 3.5 s
            session.hear(noise(3.4, 2.0))
        result = session.see(frame(time_s, n))
        if result.tracks:
            said[round(time_s, 2)] = (result.audio, result.tracks[0].sounding)
    assert said[2.0] == ("ok", pytest.approx(0.98, abs=0.01))
    assert said[2.15][0] == "gap"
    assert said[2.15][1] is not None, "its last sound is fresh"
    assert said[2.2] == ("gap", None), "nothing of the last 200 ms was heard"
    assert said[2.3] == ("gap", None)
    assert said[2.6] == ("lost", None)
    assert said[3.45] == ("lost", None)
    assert said[3.5][0] == "gap"
    assert said[3.5][1] > 0.5, "the hole is old, the newest sound is there"
    assert said[4.4][0] == "ok"


def test_a_short_pause_keeps_ids_and_a_long_one_starts_an_epoch():
    session = Session(FakeModel(), stream="cam", has_audio=False)
    times = [0.0, 0.1, 5.1, 10.2, 10.3]
    results = [session.see(frame(t, n)) for n, t in enumerate(times)]
    assert [result.epoch for result in results] == [0, 0, 0, 1, 1]
    assert [[t.id for t in result.tracks] for result in results] == [[], [1, 2], [1, 2], [], [1, 2]]


def test_a_pause_is_measured_in_frames_where_frames_are_rare():
    model = FakeModel()
    session = Session(model, stream="cam", has_audio=False, frame_period_s=2.0)
    epochs = [session.see(frame(t, n)).epoch for n, t in enumerate([0, 2, 12, 22.1, 24])]
    assert epochs == [0, 0, 0, 1, 1]
    assert model.state.steps.tolist() == [2], "the model forgot what was before"
    unknown = Session(FakeModel(), stream="cam", has_audio=False)
    assert [unknown.see(frame(20 * n, n)).epoch for n in range(4)] == [0, 1, 1, 1]


def test_what_is_rebuilt_starts_an_epoch_without_a_past():
    model = FakeModel()
    session = Session(model, stream="cam", has_audio=False)
    past = session.state
    results = []
    for n in range(6):
        if n == 3:
            session.rebuild()
        results.append(session.see(frame(n / 10, n)))
    assert [result.epoch for result in results] == [0, 0, 0, 1, 1, 1]
    ids = [[track.id for track in result.tracks] for result in results]
    assert ids == [[], [1, 2], [1, 2]] * 2
    assert session.state is past, "who holds the past need not be told"
    assert past.tensors()[0].tolist() == [3]


def test_of_too_many_tracks_the_best_are_reported():
    whole, cut = (Session(FakeModel(), stream="cam", has_audio=False) for _ in range(2))
    cut.max_tracks = 1
    for n in range(3):
        every, best = whole.see(frame(n / 10, n)).tracks, cut.see(frame(n / 10, n)).tracks
    assert every[0].score != every[1].score
    assert [track.id for track in best] == [max(every, key=lambda track: track.score).id]


def test_time_that_goes_back_starts_an_epoch_and_sound_follows():
    session = Session(FakeModel(), stream="cam")
    once, again = list(clip(30)), list(clip(30))
    results = run(session, itertools.chain(once, again))
    first, second = results[:30], results[30:]
    assert {result.epoch for result in first} == {0}
    assert {result.epoch for result in second} == {1}
    assert [r.tracks for r in second] == [r.tracks for r in first]


def test_a_step_back_of_a_frame_or_two_is_no_break():
    session = Session(FakeModel(), stream="cam", has_audio=False)
    results = [session.see(frame(t, n)) for n, t in enumerate([0, 0.1, 0.3, 0.2, 0.4, 0.0, 0.5])]
    assert [result.epoch for result in results] == [0] * 7
    assert len({track.id for result in results[2:] for track in result.tracks}) == 2
    assert results[3].capture_time_ns == NS // 5, "as the source says"


def test_a_source_whose_clock_began_anew_says_so_while_its_time_goes_on():
    session = Session(FakeModel(), stream="cam", has_audio=False)
    epochs = []
    for n in range(6):
        seen = frame(n / 10, n)
        seen.epoch = 3 + n // 3
        epochs.append(session.see(seen).epoch)
    assert epochs == [0, 0, 0, 1, 1, 1]


def test_a_repeated_time_is_no_break():
    session = Session(FakeModel(), stream="cam", has_audio=False)
    assert [session.see(frame(t, n)).epoch for n, t in enumerate([0, 0.1, 0.1, 0.2])] == [0] * 4


def test_dropped_frames_leave_a_hole_in_seq():
    session = Session(FakeModel(), stream="cam", has_audio=False)
    assert [session.see(frame(n / 10, n)).seq for n in (0, 1, 5)] == [0, 1, 5]


def test_stamps_follow_each_other_and_the_frame_keeps_its_own():
    clock = ManualClock(5)
    session = Session(FakeModel(), stream="cam", has_audio=False, clock=clock)
    seen = frame(0)
    seen.stamps[Stage.CAPTURE] = 1
    result = session.see(seen)
    assert result.stamps == {"capture": 1, "preprocess": 5, "model": 5, "post": 5}
    assert seen.stamps == {"capture": 1}


def test_a_model_that_breaks_is_named():
    session = Session(FakeModel(break_at=2), stream="cam", has_audio=False)
    session.see(frame(0.0))
    session.see(frame(0.1))
    with pytest.raises(ModelOutputError, match="NaN"):
        session.see(frame(0.2))


def test_a_broken_picture_is_refused():
    grey = VideoFrame(np.zeros((9, 9), np.uint8), 0, index=0, clock="pts")
    with pytest.raises(ShapeError):
        Session(FakeModel(), stream="cam").see(grey)


def test_two_runs_agree_and_no_gradient_is_kept():
    results = [run(Session(FakeModel(), stream="cam"), clip(10)) for _ in range(2)]
    for a, b in zip(*results, strict=True):
        a.stamps = b.stamps = {}
    assert results[0] == results[1]
    assert torch.is_inference_mode_enabled() is False
