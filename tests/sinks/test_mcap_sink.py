# what follows needs mcap
"""The engine's recording: pictures, sound and results at one time each; services that are told."""

from __future__ import annotations

import base64
import json
import threading

import cv2
import numpy as np
import pytest

pytest.importorskip("mcap", reason="needs the extra mcap: pip install mcap")

from mcap.reader import make_reader
from runtime_fakes import FakeModel, FakeSource, clip

from streamavis.recordings import McapReader
from streamavis.runtime.engine import Engine, Feed, Policy
from streamavis.session import Session
from streamavis.sinks.mcap import McapSink
from streamavis.sinks.services import ServiceSink
from streamavis.types import FrameResult
from streamavis.wire import EndOfStream, Hello

HELLO = Hello(model="fake", classes=("dog",), size=(48, 64), fps=10.0)


def run(sink, frames: int = 30) -> list:
    items = list(clip(frames))
    session = Session(FakeModel(), stream="cam")
    Engine([Feed(FakeSource(items), session, [sink])], Policy(speed=None)).run()
    return items


def test_pictures_sound_and_results_have_the_same_times(tmp_path):
    path = tmp_path / "out.mcap"
    items = run(McapSink(path, HELLO, stream="cam"))
    found: dict[str, list[tuple[int, dict]]] = {}
    with path.open("rb") as file:
        for _, channel, message in make_reader(file).iter_messages():
            found.setdefault(channel.topic, []).append((message.log_time, json.loads(message.data)))
    images, frames = found["/cam/image"], found["/cam/frame"]
    assert [at for at, _ in images] == [at for at, _ in frames]
    assert "/cam/masks" not in found
    times = [item.capture_time_ns for item in items if hasattr(item, "image")]
    spans = np.diff([at for at, _ in frames])
    assert np.array_equal(spans, np.diff(times))
    first = next(item for item in items if hasattr(item, "image"))
    jpeg = np.frombuffer(base64.b64decode(images[0][1]["data"]), np.uint8)
    shown = cv2.cvtColor(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    assert shown.shape == first.image.shape
    assert np.abs(shown.astype(int) - first.image.astype(int)).mean() < 12
    heard = [item for item in items if hasattr(item, "samples")]
    kept = found["/cam/audio"]
    assert sum(len(base64.b64decode(one["data"])) // 2 for _, one in kept) == sum(
        len(item.samples) for item in heard
    )
    origin_ns = frames[0][0] - times[0]
    assert [at - origin_ns for at, _ in kept] == [max(item.start_time_ns, -origin_ns)
                                                 for item in heard]  # fmt: skip


def test_it_is_played_as_what_record_writes(tmp_path):
    path = tmp_path / "out.mcap"
    path.write_text("replaced")
    run(McapSink(path, HELLO, stream="cam"))
    reader = McapReader(path)
    summary = reader.summary()
    assert (summary.stream, summary.frames, summary.hello.classes) == ("cam", 30, ("dog",))
    kinds = [type(one.message).__name__ for one in reader.messages()]
    assert (kinds[0], kinds[-1]) == ("Hello", "EndOfStream")
    assert kinds.count("Status") >= 1
    assert (reader.cut, reader.refused) == ("", 0)


def test_a_service_is_told_of_every_result_and_of_the_end():
    got = []

    class Told:
        def message(self, message) -> None:
            got.append(message)

    run(ServiceSink(Told(), HELLO, stream="cam", lock=threading.Lock()), frames=5)
    assert isinstance(got[0], Hello)
    assert [one.seq for one in got if isinstance(one, FrameResult)] == [0, 1, 2, 3, 4]
    assert isinstance(got[-1], EndOfStream)
    assert {one.stream for one in got} == {"cam"}
