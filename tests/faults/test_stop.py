"""Stops at any moment: the end is told, the recording readable, nobody left behind."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading

import pytest
from live_rig import Rig, assert_adds_up
from runtime_fakes import CLASSES, NS, FakeModel, Tap, assert_no_threads

from streamavis.clock import MonotonicClock
from streamavis.io.media import MediaSource
from streamavis.runtime.engine import Engine, Feed, Policy
from streamavis.session import Session
from streamavis.sinks.publish import PublishSink
from streamavis.sinks.record import RecordSink
from streamavis.wire import Hello, Subscriber

DEADLINE_S = 60.0


def test_a_hundred_stops_at_random_moments_end_cleanly():
    rng = random.Random(0)
    for n in range(100):
        model = FakeModel()
        rig = Rig("cam", "other", model=model)
        if n % 2:  # in the middle of a step, else whenever
            model.on_step = lambda _, rig=rig: rig.engine.stop()
        runner = threading.Thread(target=rig.engine.run)
        runner.start()
        for _ in range(rng.randrange(6)):
            rig.clock.advance(NS // 30)
            for tap in rig.taps.values():
                tap.frame()
        rig.engine.stop()
        runner.join(DEADLINE_S)
        assert not runner.is_alive()
        for name, sink in rig.sinks.items():
            assert len(sink.closed) == 1
            assert_adds_up(rig.report(name))
        assert_no_threads()


def test_a_stop_ends_the_wire_and_leaves_a_readable_recording(tmp_path):
    clock, tap = MonotonicClock(), Tap(MonotonicClock())
    hello = Hello(model="fake", classes=CLASSES, size=(90, 160), fps=30.0)
    wire = PublishSink("tcp://127.0.0.1:*", "cam", hello)
    path = tmp_path / "out.mp4"
    record = RecordSink(
        path, size=(90, 160), draw=lambda image, *_, **__: image, fps=30, has_audio=False
    )
    session = Session(FakeModel(), stream="cam", has_audio=False, clock=clock)
    engine = Engine(
        [Feed(tap, session, [wire, record])], Policy(live=True), clock=clock, boot_id=wire.boot_id
    )
    with Subscriber(wire.endpoint, kinds=("frame", "status")) as robot:
        assert robot.receive(DEADLINE_S) is not None
        runner = threading.Thread(target=engine.run)
        runner.start()
        for _ in range(20):
            tap.frame()
            assert robot.receive(DEADLINE_S) is not None
        engine.stop()
        runner.join(DEADLINE_S)
        while robot.receive(DEADLINE_S) is not None:
            pass
        assert robot.end is not None
        assert robot.end.reason == "stopped"
    frames = list(MediaSource(path))
    assert len(frames) == engine.report.processed - engine.report.sink_dropped.get("record", 0)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of this kind are POSIX's")
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_signal_ends_the_command_with_its_outputs_whole(number, tmp_path):
    """The real command with a fake network: torch's own start-up is most of the time."""
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(__file__).rpartition('/faults')[0]!r})\n"
        "from runtime_fakes import FakeModel\n"
        "import streamavis.checkpoint\n"
        "streamavis.checkpoint.load = lambda name: FakeModel()\n"
        "from streamavis_apps.cli import main\n"
        "main()\n"
    )
    lines, video = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    graph = "lavfi:testsrc2=size=160x96:rate=20[out0]"
    command = [sys.executable, str(script), "live", "--camera", graph, "--mic", "none"]
    command += ["--jsonl", str(lines), "--record", str(video)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "running" in line:
                break
        pause = threading.Event()
        while not (lines.exists() and lines.stat().st_size > 5000):
            assert process.poll() is None
            pause.wait(0.02)
        process.send_signal(number)
        rest, _ = process.communicate(timeout=DEADLINE_S)
    finally:
        process.kill()
    assert process.returncode == (0 if number == signal.SIGTERM else 130), rest
    assert "stopped early" in rest
    assert len(list(MediaSource(video))) > 1
    assert lines.read_text().endswith("\n")
