"""Every Python snippet of docs/PYTHON.md and of the README runs."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from humming_clip import write_humming_clip
from runtime_fakes import FakeModel, picture
from source_tree import ROOT

import streamavis as sa
from streamavis import api, offline
from streamavis.io.live import FakeDevice
from streamavis.masks import encode
from streamavis.model.segmentation import Segments
from streamavis.sinks.publish import PublishSink
from streamavis.types import VideoFrame
from streamavis.wire import Hello

FENCE = re.compile(r"(?ms)^```python\n(.*?)^```")


def snippets(name: str) -> list[pytest.param]:
    found = FENCE.findall((ROOT / name).read_text())
    return [pytest.param(code, id=f"{name} {n}") for n, code in enumerate(found, start=1)]


SNIPPETS = [*snippets("docs/PYTHON.md"), *snippets("README.md")]


def found_everywhere(network, pictures, rows, **_) -> Segments:
    """What an offline network says that finds one object in every frame."""
    frames = list(pictures)
    mask = np.zeros(frames[0].shape[:2], np.bool_)
    mask[10:20, 10:30] = True
    one, zero = np.ones(1), np.zeros(1, np.int64)
    return Segments(one, zero, zero, one, one, [[encode(mask) for _ in frames]], mask.shape)


@pytest.fixture
def world(tmp_path, monkeypatch) -> Iterator[dict[str, object]]:
    """A folder with a clip, a first camera, a robot, a publisher, a loop; models are fakes."""
    write_humming_clip(tmp_path / "clip.mp4", frames=4)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("streamavis.checkpoint.load", lambda name: FakeModel(device="cpu"))
    ear = SimpleNamespace(per_second=lambda waveform, rows, fps: torch.zeros(rows, 4))
    config = SimpleNamespace(audio_channels=4, classes=("bell",))
    network = SimpleNamespace(config=config, audio_encoder=None, device=torch.device("cpu"))
    ready = offline.OfflineModel(network, ear)
    monkeypatch.setattr("streamavis.model.segmentation.segment", found_everywhere)
    monkeypatch.setattr(offline, "load_offline", lambda path, **_: ready)
    monkeypatch.setattr(api, "load_offline", offline.load_offline)
    monkeypatch.setattr(api, "check_camera", lambda address, patience_s: None)
    monkeypatch.setattr(api, "recorded_size", lambda address: None)
    camera = FakeDevice(fps=10.0, has_sound=False)
    monkeypatch.setattr("streamavis.io.live.source.camera_device", lambda *a, **k: camera.device)
    monkeypatch.setattr("streamavis.io.live.source.sound_device", _no_microphone)
    now_ns = time.monotonic_ns()
    camera.put(VideoFrame(picture((0, 10, 10, 40, 30)), now_ns, 0, clock="driver"))
    camera.end()
    published: list[sa.Stream] = []

    def publish() -> str:
        hello = Hello(model="fake", classes=("x",), size=(90, 160), fps=10.0, has_audio=True)
        sink = PublishSink("tcp://127.0.0.1:*", "main", hello)
        published.append(
            sa.open("clip.mp4", FakeModel(), sinks=[sink], boot_id=sink.boot_id, speed=0.2)
        )
        published[0].start()
        return sink.endpoint

    block = np.zeros(4800, np.float32)
    loop = [(block, n / 10, picture((0, 10, 10, 40, 30)), (n + 1) / 10) for n in range(3)]
    robot = SimpleNamespace(update=lambda result: None, stop=lambda: None)
    yield {"robot": robot, "loop": loop, "publish": publish}
    for stream in published:
        stream.close()


def _no_microphone(address: str, array: object = None) -> object:
    microphone = FakeDevice("audio", name=address)
    microphone.refuses = "there is none"
    return microphone.device


@pytest.mark.parametrize("code", SNIPPETS)
def test_a_snippet_runs(code, world, capsys):
    if "Subscriber(" in code:
        code = code.replace("tcp://127.0.0.1:5555", world["publish"]())
    exec(compile(code, "snippet", "exec"), {"robot": world["robot"], "loop": world["loop"]})
    assert capsys.readouterr().out


def test_there_is_a_snippet_for_each_way_in():
    text = (ROOT / "docs/PYTHON.md").read_text()
    for name in ("sa.load(", "sa.open(0", "async for", "on_result=", "sinks=[", "sa.Session("):
        assert name in text
    for name in ("push_audio(", "push_frame(", "sa.segment(", "Subscriber(", "result.masks"):
        assert name in text
    for path in (ROOT / "examples").glob("*.py"):
        assert path.name in text or path.name in (ROOT / "docs/EXTENDING.md").read_text(), path.name


def test_every_public_name_is_described():
    text = (ROOT / "docs/PYTHON.md").read_text()
    names = set(sa.__all__) - {"__version__"}
    assert not {name for name in names if f"`{name}`" not in text}
    assert set(dir(sa)) >= names
    for name in names:
        assert getattr(sa, name) is not None
