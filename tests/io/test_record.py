import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from clips import Pictures, Sound, sine, write_clip
from scipy.ndimage import maximum_filter1d

from streamavis.errors import InputError, OutputError
from streamavis.io.media import MediaSource
from streamavis.io.record import Recorder
from streamavis.types import AudioChunk, VideoFrame

S = 1_000_000_000
GREY = np.full((48, 64, 3), 128, np.uint8)


def read(path):
    with MediaSource(path) as source:
        items = list(source)
    frames = [item for item in items if isinstance(item, VideoFrame)]
    return frames, [item for item in items if isinstance(item, AudioChunk)]


def record(path, times_ns, *, image=GREY, **options):
    height, width = image.shape[:2]
    with Recorder(path, width, height, **options) as recorder:
        for time_ns in times_ns:
            recorder.write(image, time_ns)
    return path


def packets(path):
    with av.open(path) as container:
        return [
            (p.pts * p.time_base, bytes(p))
            for p in container.demux(audio=0)
            if p.size and p.pts >= 0
        ]


def test_frames_keep_their_own_times(tmp_path):
    times = [0, S // 30, S // 10, 10 * S, 10 * S + 11_111]
    frames, _ = read(record(tmp_path / "a.mp4", times))
    ours = [f.capture_time_ns for f in frames]
    assert ours == pytest.approx(times, abs=S / 90_000)


@pytest.mark.parametrize("fps", [1e-6, 90_000.0])
def test_a_strange_nominal_rate_does_no_harm(tmp_path, fps):
    frames, _ = read(record(tmp_path / "a.mp4", [0, S // 4], fps=fps))
    assert [f.capture_time_ns for f in frames] == [0, S // 4]


def test_colours_survive(tmp_path):
    image = np.zeros((48, 64, 3), np.uint8)
    image[:, :32] = (200, 40, 90)
    image[:, 32:] = (20, 160, 230)
    (frame,), _ = read(record(tmp_path / "a.mp4", [0], image=image))
    for column in (8, 56):
        np.testing.assert_allclose(frame.image[24, column], image[24, column], atol=6)


@pytest.mark.parametrize(("width", "height"), [(33, 21), (64, 47), (1, 1)])
def test_odd_sizes_are_padded_by_the_last_row_or_column(tmp_path, width, height):
    image = np.full((height, width, 3), 100, np.uint8)
    (frame,), _ = read(record(tmp_path / "a.mp4", [0], image=image))
    assert frame.image.shape == (height + height % 2, width + width % 2, 3)
    np.testing.assert_allclose(frame.image, 100, atol=3)


def test_frames_of_another_size_are_scaled(tmp_path):
    with Recorder(tmp_path / "a.mp4", 64, 48) as recorder:
        recorder.write(GREY, 0)
        recorder.write(np.full((96, 200, 3), 128, np.uint8), S)
    frames, _ = read(tmp_path / "a.mp4")
    assert [f.image.shape for f in frames] == [(48, 64, 3)] * 2


@pytest.mark.parametrize(
    ("kind", "codec"),
    [("mp4", "aac"), ("mkv", "aac"), ("mkv", "libopus"), ("mkv", "flac"), ("mkv", "mp3")],
)
def test_sound_is_copied_as_it_is(tmp_path, kind, codec):
    clip = write_clip(tmp_path / f"in.{kind}", Pictures(), Sound(codec))
    frames, _ = read(clip)
    times = [f.capture_time_ns for f in frames]
    copied = packets(record(tmp_path / "out.mp4", times, fps=30, sound=clip))
    original = [p for p in packets(clip) if p[0] < 1][: len(copied)]
    assert len(copied) >= 10
    assert [data for _, data in copied] == [data for _, data in original][-len(copied) :]


@pytest.mark.parametrize("kind, codec", [("mkv", "pcm_s16le"), ("ts", "aac"), ("mkv", "ac3")])
def test_sound_that_mp4_cannot_hold_is_encoded_on_its_time(tmp_path, kind, codec):
    clip = write_clip(tmp_path / f"in.{kind}", Pictures(), Sound(codec, pieces_s=((0, 2.0),)))
    frames, _ = read(clip)
    times = [f.capture_time_ns for f in frames]
    path = record(tmp_path / "out.mp4", times, fps=30, sound=clip)
    with av.open(path) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
    _, theirs = read(clip)
    _, ours = read(path)

    def wave(chunks):
        return np.concatenate([c.samples for c in chunks])[2000:14_000]

    assert ours[0].start_time_ns == pytest.approx(theirs[0].start_time_ns, abs=62_500)
    np.testing.assert_allclose(wave(ours), wave(theirs), atol=0.05)


@pytest.mark.parametrize("begin_s", [0.5, 6.2])
@pytest.mark.parametrize(
    ("kind", "codec"), [("mp4", "aac"), ("mkv", "libopus"), ("mkv", "pcm_s16le"), ("ts", "aac")]
)
def test_a_recording_that_begins_later_has_the_files_sound_from_there(
    tmp_path, kind, codec, begin_s
):
    """A tone that stops and begins again: at the same moments of the pictures as in the file."""
    sound = Sound(codec, layout="stereo", pieces_s=((0, 0.96), (1.28, 6.72), (7.04, 8.96)))
    clip = write_clip(tmp_path / f"in.{kind}", Pictures(ticks=tuple(range(0, 270, 3))), sound)
    begin_ns = round(begin_s * S)
    times = [begin_ns + n * S // 10 for n in range(20)]
    path = record(tmp_path / "out.mp4", times, fps=10, sound=clip, begin_ns=begin_ns)
    with av.open(path) as container:
        context = container.streams.audio[0].codec_context
        assert (context.sample_rate, context.channels) == (48_000, 2)
    theirs = timeline(read(clip)[1], 9 * 16_000)[round(begin_s * 16_000) :]
    assert_in_step(timeline(read(path)[1], 30_000), theirs)


@pytest.mark.parametrize("codec", ["aac", "libopus", "pcm_s16le"])
@pytest.mark.parametrize(("picture", "sound"), [(0, 0.64), (15, 0), (2, 0), (0, 0.064)])
def test_pictures_and_sound_that_do_not_begin_together_stay_apart(tmp_path, codec, picture, sound):
    pictures = Pictures(ticks=tuple(range(picture, 60, 3)))
    pieces = ((sound, sound + 0.96), (sound + 1.28, sound + 1.92))  # whole packets
    clip = write_clip(tmp_path / "in.mkv", pictures, Sound(codec, pieces_s=pieces))
    frames, chunks = read(clip)
    times = [f.capture_time_ns for f in frames]
    copies, copied = read(record(tmp_path / "out.mp4", times, fps=10, sound=clip))
    apart_ns = copies[0].capture_time_ns - frames[0].capture_time_ns
    theirs = timeline(chunks, 32_000)
    ours = timeline([replace(c, start_time_ns=c.start_time_ns - apart_ns) for c in copied], 32_000)
    assert_in_step(ours, theirs)


@pytest.mark.parametrize("codec", ["aac", "pcm_u8"])
def test_a_file_whose_sound_begins_late_can_be_read_before_that(tmp_path, codec):
    pictures = Pictures(ticks=tuple(range(0, 270, 3)))
    sound = Sound(codec, pieces_s=((6.4, 8.0),))
    clip = write_clip(tmp_path / "in.mkv", pictures, sound)
    path = tmp_path / "out.mp4"
    with Recorder(path, 64, 48, fps=10, sound=clip) as recorder:
        for n in range(30):
            recorder.write(GREY, n * S // 10)
        assert len(read(path)[0]) >= 20, "if it were killed now"
        for n in range(30, 90):
            recorder.write(GREY, n * S // 10)
    wave = timeline(read(path)[1], 9 * 16_000)
    loud = np.flatnonzero(np.abs(wave) > 0.25)
    assert (loud[0] / 16_000, loud[-1] / 16_000) == pytest.approx((6.4, 8.0), abs=0.03)
    assert np.abs(wave[: 6 * 16_000]).max() < 0.01


def test_a_track_of_sound_that_holds_nothing_does_no_harm(tmp_path):
    clip = write_clip(tmp_path / "in.mkv", Pictures(), Sound("pcm_s16le", pieces_s=()))
    path = tmp_path / "out.mp4"
    with Recorder(path, 64, 48, fps=10, sound=clip) as recorder:
        for n in range(30):
            recorder.write(GREY, n * S // 10)
    assert len(read(path)[0]) == 30


def assert_in_step(ours: np.ndarray, theirs: np.ndarray) -> None:
    """The tone begins, pauses and ends at the same moments, from 0.1 s on."""
    begin, count = 1600, min(len(ours), len(theirs)) - 3200
    edges = []
    for wave in (ours, theirs):
        loud = maximum_filter1d(np.abs(wave), 80)[begin : begin + count] > 0.25
        edges.append(np.flatnonzero(loud[1:] != loud[:-1]))
    assert len(edges[1]) >= 1
    # A packet is 20 ms; where a tone is cut inside one, coding smears its edge by some ms.
    assert edges[0] == pytest.approx(edges[1], abs=8 * 16)


def timeline(chunks: list[AudioChunk], samples: int) -> np.ndarray:
    """Sound on its time, silence where none is; (samples,) at 16 kHz."""
    whole = np.zeros(samples, np.float32)
    for chunk in chunks:
        start = round(chunk.start_time_ns * 16_000 / S)
        part = chunk.samples[max(0, -start) : max(0, samples - start)]
        whole[max(0, start) : max(0, start) + len(part)] = part
    return whole


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_f32le"])
def test_a_gap_in_encoded_sound_is_filled_with_silence(tmp_path, codec):
    sound = Sound(codec, pieces_s=((0, 0.3), (0.6, 1.0)))
    clip = write_clip(tmp_path / "in.mkv", Pictures(), sound)
    frames, _ = read(clip)
    times = [f.capture_time_ns for f in frames]
    _, chunks = read(record(tmp_path / "out.mp4", times, fps=30, sound=clip))
    heard = np.concatenate([c.samples for c in chunks])
    assert np.abs(heard[5200:9200]).max() < 0.02
    np.testing.assert_allclose(heard[10_500:14_500], sine(10_500, 4000, 16_000), atol=0.05)


def test_sound_ends_with_the_picture(tmp_path):
    clip = write_clip(tmp_path / "in.mp4", Pictures(), Sound(pieces_s=((0, 3.0),)))
    _, chunks = read(record(tmp_path / "out.mp4", [0, S // 2], fps=2, sound=clip))
    assert sum(len(c.samples) for c in chunks) == pytest.approx(16_000, abs=500)


def test_a_source_without_sound_is_recorded_without(tmp_path):
    clip = write_clip(tmp_path / "in.mp4", Pictures())
    frames, chunks = read(record(tmp_path / "out.mp4", [0, S], sound=clip))
    assert (len(frames), chunks) == (2, [])


def test_without_sound_time_begins_with_the_first_frame(tmp_path):
    start = 123_456 * S
    with av.open(record(tmp_path / "a.mp4", [start, start + S])) as container:
        assert container.streams.video[0].start_time == 0
        assert container.duration == pytest.approx(1_040_000, abs=10)


def test_time_that_repeats_or_begins_anew_goes_on(tmp_path):
    times = [0, 5 * S, 5 * S, 5 * S - 1000, 0, S // 5]
    frames, _ = read(record(tmp_path / "a.mp4", times, fps=10))
    ticks = [round(f.capture_time_ns * 90_000 / S) for f in frames]
    assert ticks == [0, 450_000, 450_001, 450_002, 459_002, 477_002]


def test_a_kill_costs_at_most_the_last_half_second(tmp_path):
    path = tmp_path / "a.mp4"
    clip = write_clip(tmp_path / "in.mp4", Pictures(), Sound(pieces_s=((0, 3.0),)))
    program = f"""
import os, signal
import numpy as np
from streamavis.io.record import Recorder
recorder = Recorder({str(path)!r}, 64, 48, fps=30, sound={str(clip)!r})
for n in range(90):
    recorder.write(np.full((48, 64, 3), 2 * n, np.uint8), n * 1_000_000_000 // 30)
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", program], check=False)
    assert ended.returncode == -signal.SIGKILL
    frames, chunks = read(path)
    assert len(frames) >= 70
    assert sum(len(c.samples) for c in chunks) >= 2.3 * 16_000
    assert frames[60].image.mean() == pytest.approx(120, abs=3)


def test_paths_that_cannot_be_written_are_named(tmp_path):
    clip = write_clip(tmp_path / "in.mp4", Pictures(ticks=(0,)))
    data = clip.read_bytes()
    for path, cause in {
        tmp_path / "missing" / "a.mp4": "No such file",
        tmp_path: "Is a directory",
        clip: "is the input itself",
    }.items():
        with pytest.raises(OutputError, match=cause) as caught:
            Recorder(path, 64, 48, sound=clip)
        assert str(caught.value).startswith(f"{path}: ")
    assert clip.read_bytes() == data


def test_sound_that_cannot_be_opened_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        Recorder(tmp_path / "a.mp4", 64, 48, sound=tmp_path / "missing.mp4")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk without room")
def test_a_full_disk_is_an_output_error_and_then_closed():
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    with pytest.raises(OutputError, match=r"/dev/full.*No space"):
        record("/dev/full", [n * S // 2 for n in range(100)], image=noise)


def test_closing_twice_is_fine_and_writing_afterwards_is_not(tmp_path):
    recorder = Recorder(tmp_path / "a.mp4", 64, 48)
    recorder.write(GREY, 0)
    recorder.close()
    recorder.close()
    assert len(read(tmp_path / "a.mp4")[0]) == 1
    with pytest.raises(OutputError, match="closed"):
        recorder.write(GREY, S)


def test_what_was_there_is_replaced(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(os.urandom(1_000_000))
    assert len(read(record(path, [0]))[0]) == 1
