"""Recordings with the sound that is heard while they are made."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamavis.audio_ring import NS_PER_SAMPLE, AudioRing
from streamavis.io.media import MediaSource
from streamavis.io.record import Recorder
from streamavis.types import SAMPLE_RATE, AudioChunk, VideoFrame

S = 1_000_000_000
ORIGIN = 7_654_321 * S + 987_654_321  # a stream's clock begins anywhere
FRAME = S // 25
DARK, BRIGHT = (np.full((48, 64, 3), level, np.uint8) for level in (16, 235))


def chunk(start_ns: int, samples: np.ndarray) -> AudioChunk:
    return AudioChunk(samples.astype(np.float32), ORIGIN + start_ns)


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.2, round(seconds * SAMPLE_RATE))


def hear(ring: AudioRing, samples: np.ndarray, start_s: float = 0.0, block: int = 160) -> None:
    for at in range(0, len(samples), block):
        ring.write(chunk(round(start_s * S) + at * NS_PER_SAMPLE, samples[at : at + block]))


def read(path) -> tuple[list[VideoFrame], np.ndarray]:
    """Frames, and the sound from time 0 on."""
    with MediaSource(path) as source:
        items = list(source)
    frames = [item for item in items if isinstance(item, VideoFrame)]
    sound = np.zeros(60 * SAMPLE_RATE, np.float32)
    end = 0
    for item in items:
        if isinstance(item, AudioChunk):
            begin = round(item.start_time_ns / NS_PER_SAMPLE)
            end = begin + len(item.samples)
            sound[max(begin, 0) : end] = item.samples[max(-begin, 0) :]
    return frames, sound[:end]


def loud(sound: np.ndarray, begin_s: float, end_s: float) -> float:
    part = sound[round(begin_s * SAMPLE_RATE) : round(end_s * SAMPLE_RATE)]
    return float(np.sqrt(np.mean(np.square(part)))) if len(part) else 0.0


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.integers(8_000_000, 130_000_000), min_size=25, max_size=40),
    st.integers(5, 20),
    st.sampled_from([0.0, 0.06, 0.4, 0.9]),
)
def test_a_clap_is_heard_when_it_is_seen(tmp_path_factory, gaps_ns, clap, delay_s):
    """The sound comes `delay_s` later than the pictures of its time, at any frame rate."""
    times = np.cumsum([0, *gaps_ns])
    samples = np.zeros(int(times[-1] // NS_PER_SAMPLE) + SAMPLE_RATE)
    at = int(times[clap] // NS_PER_SAMPLE)
    samples[at : at + 240] = np.random.default_rng(0).uniform(-0.8, 0.8, 240)
    path = tmp_path_factory.mktemp("clap") / "a.mp4"
    ring, heard = AudioRing(20), 0
    with Recorder(path, 64, 48, fps=25, sound=ring) as recorder:
        for n, time_ns in enumerate(times):
            until = max(0, int((time_ns - round(delay_s * S)) // NS_PER_SAMPLE))
            ring.write(chunk(heard * NS_PER_SAMPLE, samples[heard:until]))
            heard = max(heard, until)
            recorder.write(BRIGHT if n >= clap else DARK, ORIGIN + int(time_ns))
        ring.write(chunk(heard * NS_PER_SAMPLE, samples[heard:]))
    frames, sound = read(path)
    seen_s = next(f.capture_time_ns for f in frames if f.image.mean() > 128) / S
    heard_s = np.flatnonzero(np.abs(sound) > 0.2)[0] / SAMPLE_RATE
    assert heard_s == pytest.approx(seen_s, abs=0.005)


def record(path, ring, seconds: float = 3.0, *, before=lambda n: None) -> None:
    with Recorder(path, 64, 48, fps=25, sound=ring) as recorder:
        for n in range(round(seconds * 25)):
            before(n)
            recorder.write(DARK, ORIGIN + n * FRAME)


def test_a_gap_is_silence_of_its_length(tmp_path):
    ring = AudioRing(10)
    hear(ring, noise(1.0))
    hear(ring, noise(1.2), start_s=1.8)
    record(tmp_path / "a.mp4", ring)
    _, sound = read(tmp_path / "a.mp4")
    assert min(loud(sound, 0.1, 0.95), loud(sound, 1.85, 2.9)) > 0.15
    assert loud(sound, 1.05, 1.75) < 0.003
    assert len(sound) / SAMPLE_RATE == pytest.approx(3.0, abs=0.07)


@pytest.mark.parametrize(("begin_s", "end_s"), [(1.2, 3.0), (0.0, 1.4), (0.9, 2.2)])
def test_a_microphone_may_start_late_and_die_early(tmp_path, begin_s, end_s):
    """The pictures go on, and what was heard keeps its place."""
    ring, samples = AudioRing(10), noise(3.0)

    def step(n: int) -> None:
        first, last = n / 25, (n + 1) / 25
        if begin_s <= first and last <= end_s:
            part = samples[round(first * SAMPLE_RATE) : round(last * SAMPLE_RATE)]
            ring.write(chunk(round(first * S), part))

    record(tmp_path / "a.mp4", ring, before=step)
    frames, sound = read(tmp_path / "a.mp4")
    assert len(frames) == 75
    assert len(sound) / SAMPLE_RATE == pytest.approx(3.0, abs=0.07)
    assert loud(sound, begin_s + 0.1, end_s - 0.1) > 0.15
    assert loud(sound, 0.0, max(begin_s - 0.05, 0.0)) < 0.003
    assert loud(sound, end_s + 0.05, 3.0) < 0.003


def test_sound_from_before_the_first_picture_is_left_out(tmp_path):
    ring = AudioRing(10)
    hear(ring, noise(2.0), start_s=-2.0)
    record(tmp_path / "a.mp4", ring, 1.0)
    _, sound = read(tmp_path / "a.mp4")
    assert loud(sound, 0.05, 1.0) < 0.003


@pytest.mark.parametrize(("width", "height"), [(33, 21), (64, 47)])
def test_odd_sizes_have_sound_too(tmp_path, width, height):
    ring = AudioRing(10)
    hear(ring, noise(1.0))
    with Recorder(tmp_path / "a.mp4", width, height, sound=ring) as recorder:
        for n in range(25):
            recorder.write(np.full((height, width, 3), 99, np.uint8), ORIGIN + n * FRAME)
    frames, sound = read(tmp_path / "a.mp4")
    assert frames[0].image.shape == (height + height % 2, width + width % 2, 3)
    assert loud(sound, 0.1, 0.9) > 0.15


def test_a_kill_costs_less_than_the_last_second(tmp_path):
    path = tmp_path / "a.mp4"
    program = f"""
import os, signal
import numpy as np
from streamavis.io.record import Recorder
from streamavis.audio_ring import AudioRing
from streamavis.types import AudioChunk
ring, rng = AudioRing(10), np.random.default_rng(0)
recorder = Recorder({str(path)!r}, 64, 48, fps=25, sound=ring)
for n in range(100):
    ring.write(AudioChunk(rng.normal(0, 0.2, 640).astype(np.float32), n * 40_000_000))
    recorder.write(np.full((48, 64, 3), 2 * n, np.uint8), n * 40_000_000)
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", program], check=False, env=os.environ)
    assert ended.returncode == -signal.SIGKILL
    frames, sound = read(path)
    assert len(frames) >= 80
    assert len(sound) >= 3.0 * SAMPLE_RATE
    assert min(loud(sound, t, t + 0.1) for t in np.arange(0.1, 2.9, 0.1)) > 0.1


def test_without_any_sound_there_is_a_silent_track(tmp_path):
    record(tmp_path / "a.mp4", AudioRing(10), 2.0)
    with av.open(tmp_path / "a.mp4") as container:
        assert container.streams.audio[0].codec_context.name == "aac"
    _, sound = read(tmp_path / "a.mp4")
    assert np.abs(sound).max() < 1e-3
