"""Sound and pictures pushed into a session: what comes out is what a replay gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import msgspec
import numpy as np
import pytest
import torch
from runtime_fakes import CLASSES, FakeModel, picture

import streamavis
from streamavis.clock import MAX_GAP_S
from streamavis.errors import ArgumentError, ShapeError
from streamavis.io.record import Recorder
from streamavis.types import WINDOW_SAMPLES

RATE = 44_100  # of the clip's sound, stereo


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """1.5 s: a red box that moves; stereo noise from 0.5 s on, louder to the left."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    noise = np.random.default_rng(0).normal(0, 0.2, (2, round(1.5 * RATE))).astype(np.float32)
    noise *= np.array([[1.0], [0.3]], np.float32)
    noise[:, : RATE // 2] = 0
    with av.open(str(path), "w") as file:
        pictures, sound = (
            file.add_stream("mpeg4", 10),
            file.add_stream("aac", RATE, layout="stereo"),
        )
        pictures.width, pictures.height, pictures.pix_fmt = 160, 90, "yuv420p"
        for n in range(15):
            image = picture((0, 10 + 3 * n, 10, 40, 30), (1, 100, 50, 30, 30))
            file.mux(pictures.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        for start in range(0, noise.shape[1], 1024):
            piece = np.ascontiguousarray(noise[:, start : start + 1024])
            frame = av.AudioFrame.from_ndarray(piece, "fltp", "stereo")
            frame.sample_rate, frame.pts = RATE, start
            file.mux(sound.encode(frame))
        file.mux(pictures.encode(None))
        file.mux(sound.encode(None))
    return path


def decoded(path: Path) -> tuple[list[av.VideoFrame], list[av.AudioFrame]]:
    with av.open(str(path)) as file:
        pictures = list(file.decode(video=0))
    with av.open(str(path)) as file:
        return pictures, list(file.decode(audio=0))


def pushed(path: Path, model: FakeModel, *, array: bool) -> list[streamavis.FrameResult]:
    """The clip through a loop of one's own, sound up to 2 ms beyond each picture first."""
    pictures, sound = decoded(path)
    session = streamavis.Session(model, stream="clip", sample_rate=RATE, frame_period_s=0.1)
    results = []
    for frame in pictures:
        while sound and sound[0].time <= frame.time + 0.002:
            piece = sound.pop(0)
            session.push_audio(piece.to_ndarray().T, piece.time)
        image = frame.to_ndarray(format="rgb24") if array else frame
        results.append(session.push_frame(image, frame.time))
    return results


def line(result: streamavis.FrameResult) -> bytes:
    return msgspec.json.encode(replace(result, stamps={}, boot_id="", wall_time=0.0))


@pytest.mark.parametrize("array", [False, True])
def test_a_push_loop_gives_what_the_replay_gives_bit_for_bit(clip, array):
    replayed, own = FakeModel(), FakeModel()
    expected = list(streamavis.open(clip, replayed, stream="clip", warm=True))
    found = pushed(clip, own, array=array)
    for ours, theirs in zip(own.calls, replayed.calls, strict=True):
        assert all(map(torch.equal, ours, theirs)), "the model was given something else"
    assert [line(result) for result in found] == [line(result) for result in expected]
    assert {result.audio for result in found} == {"ok"}
    assert found[-1]["red thing"] == found[-1].sounding == found[-1].tracks[:1]
    assert not found[3].sounding, "it is silent at first"


def test_a_loop_in_blue_green_red_at_any_rate():
    session = streamavis.Session(FakeModel(), sample_rate=48_000)
    noise = np.random.default_rng(0).normal(0, 3000, (48_000, 2)).astype(np.int16)
    for n in range(5):
        session.push_audio(noise[4800 * n : 4800 * (n + 1)], 100 + n / 10)
        image = picture((0, 10, 10, 40, 30))[..., ::-1]
        result = session.push_frame(image, 100.1 + n / 10, bgr=True)
    (track,) = result.tracks
    assert (track.label, track.is_sounding) == (CLASSES[0], True)
    assert (result.stream, result.seq, result.clock) == ("main", 4, "pts")
    assert result.capture_time_ns == 100_500_000_000
    assert result.masks.shape == (1, 90, 160)


def test_a_session_without_sound_says_that_it_hears_nothing():
    session = streamavis.Session(FakeModel(), has_audio=False)
    session.push_frame(picture((0, 10, 10, 40, 30)), 0.0)
    result = session.push_frame(picture((0, 10, 10, 40, 30)), 0.1)
    assert (result.audio, result.tracks[0].sounding) == ("absent", None)


def test_times_that_go_back_are_refused_and_a_restart_begins_anew():
    model = FakeModel()
    session = streamavis.Session(model, sample_rate=16_000)
    noise = np.full(WINDOW_SAMPLES, 0.1, np.float32)
    session.push_audio(noise, 10.0)
    first = session.push_frame(picture((0, 10, 10, 40, 30)), 11.0)
    with pytest.raises(ArgumentError, match=r"before the latest one's 11\.0.*restart\(\)"):
        session.push_frame(picture(), 10.5)
    with pytest.raises(ArgumentError, match=r"latest piece ends at 10\.96.*restart\(\)"):
        session.push_audio(noise, 3.0)
    session.restart()
    session.push_audio(noise, 0.0)
    result = session.push_frame(picture((0, 10, 10, 40, 30)), 0.5)
    assert (result.epoch, result.seq) == (first.epoch + 1, first.seq + 1)
    assert result.capture_time_ns == 500_000_000
    heard = model.calls[-1][1][0]
    assert heard[-8000:].all(), "the new sound"
    assert not heard[:-8000].any(), "what was heard before is forgotten"


def test_what_is_refused_leaves_the_session_as_it_was():
    session = streamavis.Session(FakeModel())
    with pytest.raises(ShapeError, match="expected uint8"):
        session.push_frame(np.zeros((90, 160, 3)), 5.0)
    assert session.push_frame(picture(), 1.0).seq == 0


def test_a_long_silence_of_pictures_is_a_new_epoch():
    session = streamavis.Session(FakeModel())
    assert session.push_frame(picture(), 0.0).epoch == 0
    assert session.push_frame(picture(), MAX_GAP_S + 1).epoch == 1


def test_weights_in_sixteen_bits_are_refused_before_anything_starts():
    model = torch.nn.Linear(2, 2).bfloat16()
    model.config = FakeModel().config
    with pytest.raises(ArgumentError, match=r"are bfloat16, expected float32.*dtype='bf16'"):
        streamavis.Session(model)
    with pytest.raises(ArgumentError, match="sample_rate is 0"):
        streamavis.Session(FakeModel(), sample_rate=0)


def test_a_push_loop_of_a_silent_clip_gives_what_the_replay_gives(tmp_path):
    path = tmp_path / "silent.mp4"
    with Recorder(path, 160, 90, fps=10) as recorder:
        for n in range(5):
            recorder.write(picture((0, 10 + 3 * n, 10, 40, 30)), n * 100_000_000)
    expected = list(streamavis.open(path, FakeModel(), warm=True))
    session = streamavis.Session(FakeModel(), has_audio=False, frame_period_s=0.1)
    with av.open(str(path)) as file:
        found = [session.push_frame(f, f.time) for f in file.decode(video=0)]
    assert [line(result) for result in found] == [line(result) for result in expected]
