"""The recording as a sink: its sound, its switch, and what a failure costs."""

from __future__ import annotations

import sys
import threading
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from runtime_fakes import FakeModel, FakeSource, ListSink, clip

from streamavis.errors import OutputError
from streamavis.io.media import MediaSource
from streamavis.runtime.engine import Engine, Feed, Policy
from streamavis.session import Session
from streamavis.sinks.record import RecordSink
from streamavis.types import AudioChunk, AudioGap, FrameResult, VideoFrame

sys.path.append(str(Path(__file__).parents[1] / "io"))
from clips import Pictures, Sound, write_clip

NS = 1_000_000_000


def mark(image, result, /, *, level_dbfs):
    """A picture that tells the frame it was drawn on, and how loud it was."""
    drawn = image.copy()
    drawn[:, :8] = result.seq % 64 * 4
    drawn[:, 8:16] = 0 if level_dbfs is None else 255 if level_dbfs > -40 else 128
    return drawn


def run(sink: RecordSink, frames: int = 20, **options) -> Engine:
    session = Session(FakeModel(), stream="cam")
    engine = Engine(
        [Feed(FakeSource(clip(frames, **options)), session, [sink])],
        Policy(speed=None),
    )
    engine.run()
    return engine


def read(path) -> tuple[list[VideoFrame], list[AudioChunk]]:
    with MediaSource(path) as source:
        items = list(source)
    frames = [item for item in items if isinstance(item, VideoFrame)]
    return frames, [item for item in items if isinstance(item, AudioChunk)]


def put(sink: RecordSink, n: int, size: tuple[int, int] = (48, 64)) -> None:
    frame = VideoFrame(np.full((*size, 3), 90, np.uint8), n * NS // 10, n, "arrival")
    result = FrameResult("cam", 0, n, frame.capture_time_ns, size, "ok", 0.0, "ok", "arrival", [])
    sink.write(frame, result)


def test_each_result_is_drawn_on_its_frame_with_the_sound_that_was_heard(tmp_path):
    path = tmp_path / "a.mp4"
    engine = run(RecordSink(path, draw=mark, has_audio=True, fps=10))
    assert engine.report.sink_failures == {}
    frames, chunks = read(path)
    assert [round(f.image[:, :6].mean() / 4) for f in frames] == pytest.approx(range(20), abs=1)
    sound = np.concatenate([c.samples for c in chunks])
    assert len(sound) == pytest.approx(2.0 * 16_000, abs=1100)
    assert np.sqrt(np.mean(np.square(sound[2000:28_000]))) == pytest.approx(0.1, rel=0.2)
    loud = [f.image[20:60, 10:14].mean() > 200 for f in frames]
    assert loud == [False] + [True] * 19


def test_a_stream_that_does_not_hear_has_no_sound_track(tmp_path):
    run(RecordSink(tmp_path / "a.mp4", draw=mark), sound=False)
    frames, chunks = read(tmp_path / "a.mp4")
    assert (len(frames), chunks) == (20, [])


def test_a_lost_stretch_is_silence(tmp_path):
    sink = RecordSink(tmp_path / "a.mp4", draw=mark, has_audio=True)
    tone = np.sin(np.arange(8000) / 5).astype(np.float32)
    for n in range(30):
        if n in (0, 20):
            for half in (0, 1):
                sink.notice(AudioChunk(tone, n * NS // 10 + half * NS // 2))
        if n == 10:
            sink.notice(AudioGap(NS, NS, "overflow"))
        put(sink, n)
    sink.close(None)
    sound = np.concatenate([c.samples for c in read(tmp_path / "a.mp4")[1]])
    loud = [float(np.abs(sound[16 * ms : 16 * ms + 1600]).max()) for ms in range(100, 2900, 200)]
    assert [level > 0.5 for level in loud] == [*[True] * 5, *[False] * 5, *[True] * 4]


def test_the_switch_starts_a_new_file_and_never_replaces_one(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"precious")
    sink = RecordSink(path, draw=mark, start=False)
    put(sink, 0)
    assert (sink.recording, sink.files) == ("", [])
    assert sink.toggle() == f"recording to {tmp_path / 'a-2.mp4'}"
    for n in range(1, 6):
        put(sink, n)
    assert sink.recorded_s == pytest.approx(0.4)
    assert sink.toggle() == f"recorded {tmp_path / 'a-2.mp4'}"
    put(sink, 6)
    assert len(read(tmp_path / "a-2.mp4")[0]) == 5, "finished with the next frame"
    sink.toggle()
    put(sink, 7)
    put(sink, 8, size=(50, 70))
    sink.close(None)
    assert sink.files == [tmp_path / "a-2.mp4", tmp_path / "a-3.mp4"]
    assert [f.capture_time_ns for f in read(tmp_path / "a-3.mp4")[0]] == [0, NS // 10]
    assert path.read_bytes() == b"precious"
    assert "over" in sink.toggle()


def test_a_file_that_is_started_later_has_the_sound_of_the_media(tmp_path):
    """Not the 16 kHz that the model hears: the media's own, from the first frame on."""
    media = write_clip(
        tmp_path / "in.mp4",
        Pictures(ticks=tuple(range(0, 150, 3))),
        Sound(layout="stereo", pieces_s=((0, 2.5), (3.0, 5.0))),
    )
    sink = RecordSink(tmp_path / "a.mp4", draw=mark, sound=media, has_audio=True, start=False)
    for n in range(20):
        put(sink, n)
    sink.toggle()
    for n in range(20, 40):
        put(sink, n)
    sink.close(None)
    with av.open(tmp_path / "a.mp4") as container:
        context = container.streams.audio[0].codec_context
        assert (context.sample_rate, context.channels) == (48_000, 2)
    chunks = read(tmp_path / "a.mp4")[1]
    assert chunks[0].start_time_ns < NS // 20
    loud = [c.start_time_ns for c in chunks if np.abs(c.samples).max() > 0.2]
    ends = [a for a, b in pairwise(loud) if b - a > NS // 4]
    assert len(ends) == 1, "the pause of the media"
    assert ends[0] == pytest.approx(NS // 2, abs=NS // 10), "where the media has it"


def test_a_file_that_is_asked_for_is_replaced_and_named_early(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")
    sink = RecordSink(path, draw=mark, size=(48, 64))
    assert sink.recording == str(path)
    put(sink, 0)
    sink.close(None)
    assert len(read(path)[0]) == 1
    with pytest.raises(OutputError, match="No such file"):
        RecordSink(tmp_path / "missing" / "a.mp4", draw=mark, size=(48, 64))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk without room")
def test_a_full_disk_is_one_event_and_the_engine_goes_on(caplog):
    noise = np.random.default_rng(0)

    def busy(image, result, /, *, level_dbfs):
        return noise.integers(0, 256, image.shape).astype(np.uint8)

    sink, other = RecordSink("/dev/full", draw=busy, fps=10), ListSink()
    session = Session(FakeModel(), stream="cam")
    engine = Engine(
        [Feed(FakeSource(clip(60)), session, [sink, other])],
        Policy(speed=None),
    )
    engine.run()
    assert len(other.results) == engine.report.processed == 60
    assert "No space" in engine.report.sink_failures["record"]
    told = [r for r in caplog.records if "record" in r.getMessage()]
    assert len(told) == 1
    assert "No space" in sink.toggle()


def test_a_slow_disk_does_not_hold_up_who_brings_the_sound(tmp_path):
    """`notice` returns while a picture is being written."""
    writing, go_on = threading.Event(), threading.Event()

    def slow(image, result, /, *, level_dbfs):
        writing.set()
        assert go_on.wait(60)
        return image

    sink = RecordSink(tmp_path / "a.mp4", draw=slow, has_audio=True)
    writer = threading.Thread(target=put, args=(sink, 0))
    writer.start()
    assert writing.wait(60)
    for n in range(500):
        sink.notice(AudioChunk(np.zeros(160, np.float32), n * NS // 100))
    assert sink.toggle().startswith("recorded")
    go_on.set()
    writer.join(60)
    sink.close(None)
