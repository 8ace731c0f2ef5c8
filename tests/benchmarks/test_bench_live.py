"""`bench live` in its short form: the real command in a process, with a network of twenty lines."""

import io
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console
from streamavis_apps.app import app
from streamavis_apps.exits import ExitCode, Stop
from streamavis_benchmarks.faults.watch import FaultPlan
from streamavis_benchmarks.live.bench import Bench, run
from streamavis_benchmarks.live.faults import faults_of
from streamavis_benchmarks.live.measure import Camera, Run
from streamavis_benchmarks.rigs import missing
from typer.testing import CliRunner
from until_said import UntilSaid

from streamavis.errors import InputError

PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
from runtime_fakes import FakeModel
import streamavis.checkpoint
streamavis.checkpoint.load = lambda name: FakeModel()
from streamavis_apps.cli import main
main()
"""


@pytest.fixture
def command(tmp_path):
    script = tmp_path / "program.py"
    script.write_text(PROGRAM.format(tests=str(Path(__file__).parents[1])))
    return (sys.executable, str(script))


def bench(command, tmp_path, *, until, microphone=False, record=False, minutes=2.0, **plan):
    """Run it until it has said something; its figures and what it said."""
    said, path = UntilSaid(until), tmp_path / "figures.json"
    plan = FaultPlan(minutes=minutes, held_s=0.3, every_s=1.0, **plan)
    one = Run(
        camera=Camera(160, 96, 20), microphone=microphone, record=record, plan=plan, command=command
    )
    code = run(
        Bench(runs=[one]), json_path=path, console=Console(file=said, width=150), stop=said.stop
    )
    figures = json.loads(path.read_text())
    assert code in (ExitCode.DONE, ExitCode.FAILED)  # times are the machine's, and not tested
    return figures["runs"][0], said.getvalue()


def test_every_picture_is_accounted_for_whatever_the_camera_does(command, tmp_path):
    figures, said = bench(
        command, tmp_path, until="reader: reported", faults=("close", "hang", "reader")
    )
    frames = figures["frames"]
    assert frames["adds_up"], frames
    assert frames["left_the_camera"] > 20
    latency = figures["latency"]
    if "total_ms" in latency:  # of a slow machine too few are undisturbed
        assert latency["total_ms"]["p50"] > latency["model_ms"]["p50"] > 0
    assert figures["exit_code"] == 0
    assert figures["faults"].keys() == {"close", "hang", "reader"}
    for spread in figures["faults"].values():
        assert spread["reported_s"]["never"] == spread["recovered_s"]["never"] == 0
    assert "captured; those = " in said and "adds up" in said


@pytest.mark.slow
@pytest.mark.skipif(bool(missing()), reason=missing())
def test_a_microphone_and_a_disk_break_and_the_recording_stays_readable(command, tmp_path):
    figures, _ = bench(
        command, tmp_path, until="mic-hang: reported", microphone=True, record=True,
        faults=("mic", "mic-hang"),
    )  # fmt: skip
    assert figures["frames"]["adds_up"]
    assert figures["faults"]["mic"]["reported_s"]["never"] == 0
    assert figures["faults"]["mic-hang"]["recovered_s"]["never"] == 0
    assert figures["recorded_pictures"] > 10
    figures, _ = bench(
        command, tmp_path, until="disk: reported", record=True, faults=("disk",), minutes=0.1
    )
    assert figures["frames"]["adds_up"]
    assert figures["faults"]["disk"]["reported_s"]["never"] == 0
    assert figures["exit_code"] == 1, "an output failed, and the command says so"
    assert figures["recorded_pictures"] > 0


def test_a_command_that_does_not_start_says_what_it_said(tmp_path):
    command = (sys.executable, "-c", "import sys; sys.exit('no such model')")
    one = Run(camera=Camera(160, 96, 20), microphone=False, command=command)
    with pytest.raises(InputError, match="did not start: no such model"):
        run(Bench(runs=[one]), console=Console(file=io.StringIO()), stop=Stop())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--camera", "big"], "is not WxH@FPS"),
        (["--camera", "640x360@0"], "is not WxH@FPS"),
        (["--camera", "40x30@10", "--mic", "none"], "no room for its stamp; use 128x64 or more"),
        (["--mic", "none", "--sound", "nothing.wav"], "nothing.wav: no such file"),
    ],
)
def test_what_cannot_be_measured_is_reported_at_once(words, sentence):
    result = CliRunner().invoke(app, ["bench", "live", *words], env={"COLUMNS": "200"})
    assert result.exit_code in (ExitCode.FAILED, ExitCode.USAGE)
    assert sentence in " ".join(result.output.split())


def test_without_a_sound_server_it_says_what_to_do(monkeypatch):
    monkeypatch.setattr("streamavis_benchmarks.live.bench.missing", lambda: "needs pulseaudio")
    with pytest.raises(InputError, match="needs pulseaudio; or measure with --mic none"):
        run(Bench(runs=[Run()]), console=Console(file=io.StringIO()), stop=Stop())


def test_there_is_to_break_what_is_there():
    assert faults_of(microphone=False, record=False) == ("close", "hang", "freeze", "reader")
    assert faults_of(microphone=True, record=True)[-1] == "disk"
