"""The library in six lines."""

from __future__ import annotations

import gc
import json
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from runtime_fakes import FakeModel, FakeSource, ListSink, assert_no_threads, clip, picture

import streamavis
from streamavis.errors import CheckpointError, InputError, TruncatedInputError
from streamavis.io.media import MediaInfo, MediaSource
from streamavis.io.record import Recorder
from streamavis.sinks.jsonl import JsonlSink
from streamavis.sinks.record import RecordSink

TEST_SOURCE = (
    "lavfi:testsrc2=size=160x90:rate=10:duration=2[out0];sine=frequency=440:duration=2[out1]"
)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A second of a moving red box, without sound."""
    path = tmp_path / "clip.mp4"
    with Recorder(path, 160, 90, fps=10) as recorder:
        for n in range(10):
            recorder.write(picture((0, 10 + 3 * n, 10, 40, 30)), n * 100_000_000)
    return path


class Camera(FakeSource):
    """A source of one's own."""

    info = MediaInfo("camera", 160, 90, fps=10.0, has_audio=True, duration_s=None)


def test_a_file_becomes_results_without_further_ado(video):
    results = list(streamavis.open(video, model=FakeModel()))
    assert [r.seq for r in results] == list(range(10))
    assert [t.label for t in results[-1].tracks] == ["red thing"]
    assert {r.audio for r in results} == {"absent"}
    assert_no_threads()


@pytest.mark.parametrize("warm", [False, True])
def test_the_model_is_warmed_up_at_the_input_s_size_before_anything_is_read(warm):
    model = FakeModel()

    class Watched(Camera):
        def __iter__(self):
            sizes.extend(tuple(frames.shape[-2:]) for frames, _, _ in model.calls)
            return super().__iter__()

    sizes = []
    source = Watched(clip(3))
    with streamavis.open(source, model=model, warm=warm) as stream:
        results = list(stream)
    assert len(results) == 3
    assert [r.seq for r in results] == [0, 1, 2], "the trial leaves no trace"
    assert len(set(sizes)) == (0 if warm else 1)
    assert set(sizes) <= {tuple(model.calls[-1][0].shape[-2:])}


def test_a_generated_source_has_sound():
    with streamavis.open(TEST_SOURCE, model=FakeModel()) as stream:
        assert (stream.info.width, stream.info.height, stream.info.has_audio) == (160, 90, True)
        results = list(stream)
    assert {r.audio for r in results} == {"ok"}
    assert (stream.report.phase, stream.report.processed) == ("ended", len(results))
    assert_no_threads()


def test_leaving_the_loop_ends_everything(video):
    for result in streamavis.open(video, model=FakeModel()):
        if result.seq == 3:
            break
    gc.collect()
    assert_no_threads()


def test_leaving_the_block_ends_everything_and_the_report_stays(video):
    sink = ListSink()
    with streamavis.open(video, model=FakeModel(), sinks=[sink]) as stream:
        next(stream)
    assert_no_threads()
    assert stream.report.phase == "stopped"
    assert len(sink.closed) == 1
    assert list(stream) == []


def test_what_is_never_read_is_closed_too(video):
    stream = streamavis.open(video, model=FakeModel())
    stream.close()
    stream.close()
    assert list(stream) == []


def test_a_source_that_does_not_answer_is_left_behind_open(video, monkeypatch):
    monkeypatch.setattr("streamavis.runtime.engine._STOP_S", 0.05)
    answer, closed = threading.Event(), []

    class Wedged(MediaSource):
        def __iter__(self):
            yield next(super().__iter__())
            answer.wait(60)

        def close(self):
            closed.append(True)
            super().close()

    monkeypatch.setattr("streamavis.api.MediaSource", Wedged)
    stream = streamavis.open(video, model=FakeModel())
    next(stream)
    stream.close()
    assert not closed
    answer.set()
    (thread,) = [t for t in threading.enumerate() if t.name == "streamavis-source"]
    thread.join(60)
    stream.close()
    assert closed


def test_stop_ends_it():
    stream = streamavis.open(Camera(clip(100)), model=FakeModel())
    results = []
    for result in stream:
        results.append(result)
        if result.seq == 4:
            stream.stop()
    assert len(results) == 5
    assert stream.report.phase == "stopped"


def test_a_broken_source_raises_after_its_last_result():
    seqs = []
    with pytest.raises(TruncatedInputError, match="breaks off"):
        for result in streamavis.open(
            Camera(clip(7), error=TruncatedInputError("breaks off")), model=FakeModel()
        ):
            seqs.append(result.seq)
    assert seqs == list(range(7))
    assert_no_threads()


def test_what_cannot_be_opened_is_named_at_once(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.mp4"):
        streamavis.open(tmp_path / "nothing.mp4", model=FakeModel())
    with pytest.raises(CheckpointError, match="no-such-model"):
        streamavis.open(Camera(clip(2)), model="no-such-model")
    with pytest.raises(ValueError, match="got -1"):
        streamavis.open(Camera(clip(2)), model=FakeModel(), speed=-1)
    with pytest.raises(ValueError, match="own pace"):
        streamavis.open(Camera(clip(2)), model=FakeModel(), speed=1.0, live=True)


def test_two_runs_write_the_same_bytes(video, tmp_path):
    for name in ("a", "b"):
        sink = JsonlSink(tmp_path / name)
        for _ in streamavis.open(video, model=FakeModel(), sinks=[sink]):
            pass
    lines = (tmp_path / "a").read_bytes()
    assert lines == (tmp_path / "b").read_bytes()
    last = json.loads(lines.splitlines()[-1])
    assert (last["seq"], last["tracks"][0]["sounding"]) == (9, None)


def test_a_recording_shows_each_result_on_its_own_frame(video, tmp_path):
    def blue_box(image, result, /, *, level_dbfs):
        image = image.copy()
        for track in result.tracks:
            x, y, w, h = track.box
            image[y : y + h, x : x + w] = (0, 0, 255)
        return image

    sink = RecordSink(tmp_path / "out.mp4", size=(90, 160), draw=blue_box, fps=10, sound=video)
    for _ in streamavis.open(video, model=FakeModel(), sinks=[sink]):
        pass
    frames = list(MediaSource(tmp_path / "out.mp4"))
    assert len(frames) == 10
    for n, frame in enumerate(frames[1:], 1):
        xs = np.nonzero(frame.image[..., 2] > 128)[1]
        assert abs(xs.mean() - (10 + 3 * n + 19.5)) < 2
        assert len(xs) > 800


def in_docstring() -> str:
    return "".join(re.findall(r"(?m)^    (.*\n)", streamavis.__doc__))


def in_readme() -> str:
    readme = Path(__file__).parents[1] / "README.md"
    return re.findall(r"(?s)```python\n(.*?)```", readme.read_text())[0]


@pytest.mark.parametrize("example", [in_docstring, in_readme])
def test_the_examples_run(example, video, monkeypatch, capsys):
    code = example()
    assert ".open(" in code
    monkeypatch.chdir(video.parent)
    monkeypatch.setattr("streamavis.checkpoint.load", lambda name: FakeModel())
    exec(code, {})
    assert "red thing" in capsys.readouterr().out


def test_importing_is_free_and_names_come_on_demand():
    code = """
import sys, streamavis
heavy = {"torch", "av", "cv2", "zmq", "numpy"} & set(sys.modules)
assert not heavy, heavy
assert set(streamavis.__all__) <= set(dir(streamavis))
assert streamavis.__version__
assert streamavis.FrameResult.__name__ == "FrameResult"
assert streamavis.errors.ArgumentError.__name__ == "ArgumentError"
from streamavis import Subscriber, Track
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert all(hasattr(streamavis, name) for name in streamavis.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = streamavis.nothing
