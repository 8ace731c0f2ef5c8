"""The one place that builds a stream's sinks, and the sink that calls a function."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from runtime_fakes import CLASSES, FakeModel, FakeSource, clip

from streamavis.errors import OutputError
from streamavis.runtime.engine import Engine, Feed, Policy
from streamavis.session import Session
from streamavis.sinks.callback import CallbackSink
from streamavis.sinks.outputs import SinkPlan, open_sinks
from streamavis.wire import Hello, Publisher

HELLO = Hello(model="fake", classes=CLASSES, size=(90, 160), fps=10.0)


def run(sinks, boot_id: str | None = None):
    session = Session(FakeModel(), stream="cam")
    feed = Feed(FakeSource(clip(5)), session, sinks)
    return Engine([feed], Policy(speed=None), boot_id=boot_id).run()


def test_everything_that_is_named_is_built(tmp_path: Path):
    plan = SinkPlan(
        publish="tcp://127.0.0.1:*", jsonl=tmp_path / "out.jsonl", record=tmp_path / "out.mp4"
    )
    opened = open_sinks(plan, HELLO, stream="cam")
    assert [sink.name for sink in opened.sinks] == ["publish", "jsonl", "record"]
    assert not run(opened.sinks, opened.wire.boot_id).sink_failures
    lines = [json.loads(line) for line in plan.jsonl.read_text().splitlines()]
    assert [line["seq"] for line in lines] == [0, 1, 2, 3, 4]
    assert opened.recording is not None and opened.recording.files == [plan.record]


def test_a_startable_video_is_not_written_unless_it_is_asked_for(tmp_path: Path):
    plan = SinkPlan(startable=tmp_path / "out.mp4")
    opened = open_sinks(plan, HELLO, stream="cam")
    run(opened.sinks)
    assert not plan.startable.exists()


def test_where_one_cannot_be_opened_the_address_is_free_again(tmp_path: Path):
    address = f"ipc://{tmp_path}/wire"
    plan = SinkPlan(publish=address, jsonl=tmp_path / "missing" / "out.jsonl")
    with pytest.raises(OutputError):
        open_sinks(plan, HELLO, stream="cam")
    Publisher(address, "cam", hello=HELLO).close("ended")


def test_a_function_gets_every_result_of_a_replay():
    got = []
    run([CallbackSink(got.append)])
    assert [result.seq for result in got] == [0, 1, 2, 3, 4]


def test_a_function_that_raises_gets_no_more_and_the_report_says_why():
    got = []

    def broken(result) -> None:
        got.append(result)
        raise RuntimeError("no robot")

    report = run([CallbackSink(broken)])
    assert len(got) == 1 and report.processed == 5
    assert report.sink_failures == {"callback": "RuntimeError: no robot"}
