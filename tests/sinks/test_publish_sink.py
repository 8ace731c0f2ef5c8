"""The wire as a sink of a running stream."""

from __future__ import annotations

import threading
from contextlib import nullcontext

import pytest
from runtime_fakes import CLASSES, FakeModel, FakeSource, clip

from streamavis.errors import TruncatedInputError
from streamavis.runtime.engine import Engine, Feed, Policy
from streamavis.session import Session
from streamavis.sinks.publish import PublishSink
from streamavis.types import FrameResult, SourceEvent
from streamavis.wire import EndOfStream, Hello, Message, Status, Subscriber


def publish(source: FakeSource, error: type[Exception] | None = None) -> list[Message]:
    """Run `source` into a publisher once its reader is there; everything the reader got."""
    hello = Hello(model="fake", classes=CLASSES, size=(90, 160), fps=10.0)
    sink = PublishSink("tcp://127.0.0.1:*", "cam", hello)
    session = Session(FakeModel(), stream="cam")
    engine = Engine(
        [Feed(source, session, [sink])],
        Policy(speed=None),
        boot_id=sink.boot_id,
    )
    got: list[Message] = []
    greeted = threading.Event()

    def read() -> None:
        kinds = ("frame", "status", "hello")
        with Subscriber(sink.endpoint, stream="cam", kinds=kinds) as subscriber:
            while (message := subscriber.receive()) is not None:
                got.append(message)
                if isinstance(message, Hello):
                    greeted.set()
            got.append(subscriber.end)

    reader = threading.Thread(target=read)
    reader.start()
    greeted.wait(60)
    with nullcontext() if error is None else pytest.raises(error):
        engine.run()
    reader.join(60)
    assert {message.boot_id for message in got} == {engine.boot_id}
    return got


def test_readers_get_results_status_and_the_end():
    got = publish(FakeSource(clip(60)))
    frames = [message for message in got if isinstance(message, FrameResult)]
    assert frames, "at full speed a reader may lose some, never all"
    assert all(len(frame.tracks) == 2 for frame in frames if frame.seq)
    assert frames[-1].stamps["publish"] >= frames[-1].stamps["post"]
    (end,) = [message for message in got if isinstance(message, EndOfStream)]
    assert (end.reason, end.seq, end.captured, end.processed) == ("ended", 59, 60, 60)
    states = {message.source for message in got if isinstance(message, Status)}
    assert states <= {"starting", "running", "ended"}


def test_readers_are_told_that_the_input_broke_off():
    source = FakeSource(clip(5), error=TruncatedInputError("breaks off"))
    end = publish(source, TruncatedInputError)[-1]
    assert (end.reason, end.detail, end.processed) == ("failed", "the input broke off", 5)


def test_a_source_that_changes_is_told_at_once_and_not_with_the_next_status(monkeypatch):
    monkeypatch.setattr("streamavis.wire.publisher.STATUS_INTERVAL_S", 3600.0)
    hello = Hello(model="fake", classes=CLASSES, size=(90, 160), has_audio=False)
    sink = PublishSink("tcp://127.0.0.1:*", "cam", hello)
    session = Session(FakeModel(), stream="cam", has_audio=False)
    report = Engine([Feed(FakeSource(clip(3)), session)], Policy(speed=None)).report
    sink.start(lambda: report)
    with Subscriber(sink.endpoint, stream="cam", kinds=("status",)) as subscriber:
        assert subscriber.receive(60.0) is not None, "on joining"
        report.phase, report.source = "running", "stalled"
        sink.notice(SourceEvent("cam", "video", "stalled", 0))
        assert subscriber.receive(60.0).source == "stalled"
        sink.close(report)
        sink.notice(SourceEvent("cam", "video", "running", 0))  # too late is no failure


def test_the_status_follows_the_stream():
    hello = Hello(model="fake", classes=CLASSES, size=(90, 160), has_audio=False)
    sink = PublishSink("tcp://127.0.0.1:*", "cam", hello)
    assert sink._status().source == "starting"
    assert sink._status().audio == "absent"
    session = Session(FakeModel(), stream="cam", has_audio=False)
    engine = Engine(
        [Feed(FakeSource(clip(9)), session, [sink])],
        Policy(speed=None),
        boot_id=sink.boot_id,
    )
    for result in engine.results():
        if result.seq == 4:
            status = sink._status()
            assert (status.source, status.processed, status.seq) == ("running", 5, 4)
    status = sink._status()
    assert (status.source, status.processed, status.dropped) == ("ended", 9, {})
    assert status.latency["model"].max_ms >= status.latency["model"].p50_ms > 0
