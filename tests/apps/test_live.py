"""`streamavis live`: what it opens, what it says, how it ends."""

from __future__ import annotations

import io
import json
import re
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from rich.console import Console
from runtime_fakes import FakeModel, assert_no_threads
from streamavis_apps.commands.options import Address, View, Web
from streamavis_apps.exits import ExitCode, Stop
from streamavis_apps.live.live import Live, named, run
from streamavis_apps.live.panel import LiveBoard
from streamavis_apps.live.sinks import Wanted, address_of, path_of

from streamavis.admission import Cost, admit, measure
from streamavis.clock import ManualClock
from streamavis.errors import CapacityError, InputError, OutputError, WireError
from streamavis.io.live import LiveSource
from streamavis.io.media import MediaSource
from streamavis.runtime.queues import LiveQueue
from streamavis.sinks.metrics_server import serve_metrics
from streamavis.sinks.prometheus import as_json, as_text
from streamavis.status import EngineReport, Pulse
from streamavis.types import FrameResult, InputStatus, Notice, Track

GRAPH = "lavfi:testsrc2=size=160x96:rate=20{end}[out0];sine=frequency=440{end}[out1]"
ENDLESS, SHORT = GRAPH.format(end=""), GRAPH.format(end=":duration=1")


@pytest.fixture(autouse=True)
def _fake_model(monkeypatch):
    monkeypatch.setattr("streamavis.checkpoint.load", lambda name: FakeModel())


@pytest.fixture
def patient(monkeypatch):
    """A loaded machine may start later than a short source lasts, and write later still."""
    monkeypatch.setitem(LiveQueue.__init__.__kwdefaults__, "staleness_s", 60.0)
    monkeypatch.setattr("streamavis.runtime.delivery._WAITING", 1000)


def watch(plan: Live, **options) -> tuple[ExitCode, str]:
    console = Console(file=io.StringIO(), width=120, highlight=False)
    code = run(plan, console=console, stop=options.get("stop", Stop()))
    return code, console.file.getvalue()


def report(**changes) -> EngineReport:
    fields = {
        "phase": "running", "captured": 12, "processed": 10, "dropped": {"superseded": 2},
        "stages": {"total": {"count": 10, "mean_ms": 50.0, "p50_ms": 40.0, "p95_ms": 80.0,
                             "p99_ms": 90.0, "max_ms": 99.0}},
        "duration_s": 1.0, "torch_threads": 1, "stream": "cam", "audio": "lost", "video": "ok",
        "source": "running",
        "inputs": [InputStatus('mic:"usb"', "audio", "stalled", 5, "no sound")],
        "notices": [Notice(1, 1_500_000_000, "source", "microphone stalled")],
        "degraded": ["viewers at 5 Hz"], "sink_dropped": {"record": 3},
        "sink_failures": {"jsonl": "OSError: no space"},
        "workers": {"engine": Pulse("working", 0.1)},
    }  # fmt: skip
    return EngineReport(**{**fields, **changes})


def test_a_stream_that_ends_leaves_its_outputs_whole(tmp_path, patient):
    wanted = Wanted(
        jsonl=tmp_path / "out.jsonl", record=tmp_path / "out.mp4", publish="tcp://127.0.0.1:*"
    )
    code, told = watch(Live(cameras=(SHORT,), wanted=wanted))
    assert code is ExitCode.DONE
    lines = [json.loads(line) for line in wanted.jsonl.read_text().splitlines()]
    assert lines
    assert {line["stream"] for line in lines} == {"main"}
    assert {"capture", "publish"} <= set(lines[0]["stamps"])
    assert len(list(MediaSource(wanted.record))) >= len(lines)
    assert re.search(r"results +tcp://127.0.0.1:\d+", told)
    assert f"main: {len(lines)} frames in" in told
    assert "camera" in told
    assert "running" in told
    assert_no_threads()


def test_several_cameras_have_a_stream_and_files_each(tmp_path, patient):
    wanted = Wanted(jsonl=tmp_path / "out.jsonl")
    plan = Live(cameras=(f"door={SHORT}", SHORT), wanted=wanted, microphone="none", least_hz=0.01)
    code, told = watch(plan)
    assert code is ExitCode.DONE
    for name in ("door", "cam-2"):
        lines = (tmp_path / f"out-{name}.jsonl").read_text().splitlines()
        assert {json.loads(line)["stream"] for line in lines} == {name}
        assert {json.loads(line)["audio"] for line in lines} == {"absent"}
        assert f"lines of {name}" in told


def test_standard_output_gets_the_lines_of_all_cameras_and_nothing_else(capfd, patient):
    plan = Live(cameras=(f"a={SHORT}", f"b={SHORT}"), wanted=Wanted(jsonl=Path("-")))
    assert run(plan, stop=Stop()) is ExitCode.DONE
    out, err = capfd.readouterr()
    assert {json.loads(line)["stream"] for line in out.splitlines()} == {"a", "b"}
    assert "camera" in err


def test_it_ends_when_it_is_told_to():
    stop = Stop()
    timer = threading.Timer(0.5, stop.event.set)
    timer.start()
    code, told = watch(Live(cameras=(ENDLESS,)), stop=stop)
    assert code is ExitCode.DONE
    assert "stopped early" in told


def on_page(**changes) -> Live:
    """A plan whose camera is that of whoever opens the page; nobody does."""
    wanted = Wanted(view=View.WEB, web=Web(Address("127.0.0.1", 0)))
    return Live(cameras=("browser",), wanted=wanted, **changes)


def test_it_ends_while_it_waits_for_a_visitor_s_camera():
    stop = Stop()
    threading.Timer(0.5, stop.event.set).start()
    code, told = watch(on_page(), stop=stop)
    assert code is ExitCode.DONE
    assert "open http" in told
    assert_no_threads()


def test_a_visitor_s_camera_is_waited_for_as_long_as_the_command_may_run():
    with pytest.raises(InputError, match=r"no picture for 0\.\d s; open the page"):
        watch(on_page(seconds=0.2))
    assert_no_threads()


def test_it_ends_after_its_time():
    code, _ = watch(Live(cameras=(ENDLESS,), seconds=0.3))
    assert code is ExitCode.DONE


def test_what_cannot_be_opened_is_told_before_anything_is_written(tmp_path):
    wanted = Wanted(jsonl=tmp_path / "out.jsonl")
    with pytest.raises(InputError, match="no such file"):
        watch(Live(cameras=("nothing.mp4",), wanted=wanted))
    assert not wanted.jsonl.exists()


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        (Live(cameras=("http://me:secret@127.0.0.1:1/x.mjpeg",)), "connection refused"),
        (Live(cameras=(ENDLESS, "camera:77")), "no such device"),
        (Live(cameras=(ENDLESS,), microphone="camera:0"), "without sound"),
        (Live(cameras=("rtsq://host/x",)), "is not known"),
    ],
)
def test_a_wrong_address_is_told_before_the_model_is_loaded(monkeypatch, plan, told):
    monkeypatch.setattr("streamavis.checkpoint.load", lambda name: pytest.fail("loaded"))
    with pytest.raises(InputError, match=told) as refused:
        watch(plan)
    assert "secret" not in str(refused.value)


def test_no_camera_runs_before_the_model_is_ready(monkeypatch):
    """What is captured meanwhile would only wait, look like a stall, or be lost."""
    done = []

    class Source(LiveSource):
        def __init__(self, *args, **options):
            done.append("open")
            super().__init__(*args, **options)

    monkeypatch.setattr("streamavis_apps.live.live.LiveSource", Source)
    model = FakeModel(on_step=lambda _: done.append("step"))
    monkeypatch.setattr("streamavis.checkpoint.load", lambda name: done.append("load") or model)
    watch(Live(cameras=(ENDLESS,), seconds=0.1))
    assert done[:6] == ["load", *["step"] * 4, "open"], "warmed up at both sizes, then opened"
    assert done.count("open") == 1


def test_an_output_that_is_named_twice_is_refused(tmp_path):
    same = tmp_path / "out"
    with pytest.raises(OutputError, match="named twice"):
        watch(Live(cameras=(SHORT,), wanted=Wanted(jsonl=same, record=same)))


def test_streams_are_named_by_their_user_or_counted():
    url = "http://host/x.mjpeg?a=camera:0"
    assert named((url,)) == {"main": url}
    assert named(("door=camera:0", "rtsp://u:p@h/x")) == {
        "door": "camera:0",
        "cam-2": "rtsp://u:p@h/x",
    }
    with pytest.raises(InputError, match="two cameras are called a"):
        named(("a=camera:0", "a=camera:1"))
    with pytest.raises(InputError, match="no camera"):
        named(())


def test_each_stream_has_its_own_path_and_port():
    assert path_of(Path("a/out.mp4"), "door") == Path("a/out-door.mp4")
    assert address_of("tcp://127.0.0.1:5555", "door", 2) == "tcp://127.0.0.1:5557"
    assert address_of("tcp://127.0.0.1:*", "door", 2) == "tcp://127.0.0.1:*"
    assert address_of("ipc:///tmp/x", "door", 2) == "ipc:///tmp/x-door"


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def test_figures_are_served_to_this_machine_only():
    with serve_metrics("127.0.0.1:0", lambda: {"cam": report()}) as url:
        assert get(url)[1] == as_text({"cam": report()})
        stats = json.loads(get(url.replace("/metrics", "/stats"))[1])
        assert stats["streams"]["cam"]["dropped"] == {"superseded": 2}
        assert get(url.replace("/metrics", "/secret"))[0] == 404
        with pytest.raises(WireError, match="in use"):
            serve_metrics(url[7:].removesuffix("/metrics"), dict).__enter__()
    for address in ("0.0.0.0:9", "10.0.0.1:9", "9", "127.0.0.1:", "127.0.0.1:99999", "host:1"):
        with pytest.raises(WireError, match=r"expected 127\.0\.0\.1:PORT"):
            serve_metrics(address, dict).__enter__()


def test_the_text_is_what_prometheus_reads():
    text = as_text({"cam": report(), "b": report(stages={}, model="failed")})
    sample = re.compile(r'[a-z_]+\{stream="(cam|b)"(,[a-z]+="([^"\\]|\\.)*")*\} [-+.e0-9]+')
    for line in text.splitlines():
        assert line.startswith("#") or sample.fullmatch(line), line
    assert 'streamavis_frames_dropped_total{stream="cam",cause="superseded"} 2' in text
    assert 'streamavis_stage_seconds{stream="cam",stage="total",quantile="0.95"} 0.08' in text
    assert 'streamavis_stage_seconds_count{stream="cam",stage="total"} 10' in text
    assert 'streamavis_model_failed{stream="b"} 1' in text
    assert 'input="mic:\\"usb\\""' in text
    families = re.findall(r"# TYPE (\S+)", text)
    assert len(families) == len(set(families))
    json.dumps(as_json({"cam": report()}))


def test_the_board_prints_what_happens_once_and_figures_now_and_then():
    now = [1_000_000_000]
    console = Console(file=io.StringIO(), width=200, highlight=False)
    board = LiveBoard(console, clock=lambda: now[0])
    sink = board.sink("cam")
    track = Track(3, "bell", 0, 0.9, 0.8, None, (0, 0, 1, 1), (0.0, 0.0), 1, None)
    result = FrameResult("cam", 0, 1, 0, (2, 2), "ok", 0.0, "ok", "driver", [track])
    with board.showing(lambda: {"cam": report()}):
        for _ in range(130):
            now[0] += 100_000_000
            sink.write(None, result)
            board.draw()
    lines = console.file.getvalue().splitlines()
    assert lines[0].strip() == "0.5 s  cam: microphone stalled"
    assert len(lines) == 2
    assert "10.0 results/s, p50 40 p95 80 ms, 2 dropped" in lines[1]
    assert "sounding: bell 3" in lines[1]


def test_the_board_draws_a_table_on_a_terminal():
    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None)
    board = LiveBoard(console)
    board.sink("cam")
    with board.showing(lambda: {"cam": report(model="failed")}):
        board.draw()
    shown = console.file.getvalue()
    for text in ("cam", "lost", "2 superseded", "given up: viewers at 5 Hz", "model fails",
                 "microphone stalled"):  # fmt: skip
        assert text in shown


def test_streams_beyond_what_was_measured_are_refused_with_the_figures():
    admit(Cost(1, 2.0, "cpu", 2))  # one is never refused
    admit(Cost(3, 0.199, "cpu", 2))
    with pytest.raises(CapacityError) as refused:
        admit(Cost(4, 0.25, "cpu", 2), 5.0)
    assert str(refused.value) == (
        "4 streams take 250 ms a frame on cpu with 2 threads: 4.0 results/s each, at least 5 are "
        "asked for; about 3 would fit"
    )


def test_what_streams_cost_is_measured_on_the_model_itself():
    clock = ManualClock()
    model = FakeModel(on_step=lambda _: clock.advance(40_000_000))
    cost = measure(model, [(90, 160)] * 3, clock)
    assert (cost.streams, cost.batch_s, cost.device) == (3, 0.04, "cpu")
    assert {len(frames) for frames, _, _ in model.calls} == {3}
    assert measure(model, [(90, 160), (90, 90)], clock).batch_s == 0.08, "two sizes, two steps"
