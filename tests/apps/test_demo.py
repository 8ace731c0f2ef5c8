"""`streamavis demo` and `synth`: a made clip, a second process, what they leave behind."""

import json
import re

import pytest
from app_media import FRAMES, count_frames, write_clip
from rich.console import Console
from runtime_fakes import FakeModel
from streamavis_apps import demo
from streamavis_apps.app import app
from streamavis_apps.exits import ExitCode
from streamavis_apps.replay.replay import Replay
from typer.testing import CliRunner

from streamavis.errors import OutputError


@pytest.fixture
def plan(tmp_path, monkeypatch):
    monkeypatch.setattr("streamavis.checkpoint.load", lambda name: FakeModel())
    return Replay(
        source=write_clip(tmp_path / "clip.mp4"),
        publish="tcp://127.0.0.1:*",
        jsonl=tmp_path / "results.jsonl",
        record=tmp_path / "annotated.mp4",
    )


def test_a_second_process_says_who_sounds(plan, capfd):
    assert demo.show(plan, Console()) is ExitCode.DONE
    out = capfd.readouterr().out
    viewer, measured = out.split("The stream ended: ")
    assert "clip: sees" in viewer
    assert "red thing 1" in viewer
    # All of them, unless the machine stood still: what then comes in a burst a reader may miss.
    seen, missed = map(int, re.match(r"(\d+) frames seen, (\d+) missed", measured).groups())
    assert 0 < seen <= seen + missed <= FRAMES
    assert f"clip.mp4: {FRAMES} frames in" in measured
    for what in ("dropped: 0", "p50", "p95", "p99", str(plan.jsonl), str(plan.record)):
        assert what in measured
    assert len(plan.jsonl.read_text().splitlines()) == FRAMES
    pictures, samples = count_frames(plan.record)
    assert pictures == FRAMES and samples > 0


def test_a_viewer_that_dies_is_an_error_not_a_hang(plan, monkeypatch):
    monkeypatch.setattr(demo.sys, "executable", "false")
    with pytest.raises(OutputError, match="the viewer ended at once, with exit code 1"):
        demo.show(plan, Console())


def test_the_clip_is_made_once(tmp_path, monkeypatch):
    drawn = []

    def write_movie(path, clip):
        drawn.append(path)
        path.write_bytes(b"movie")

    monkeypatch.setattr("streamavis_training.synth.write_movie", write_movie)
    monkeypatch.setattr("streamavis_training.photo_demo.photo_clip", lambda seed: seed)
    first = demo.make_clip(tmp_path, 7, Console())
    assert demo.make_clip(tmp_path, 7, Console()) == first
    assert demo.make_clip(tmp_path, 8, Console()) != first
    assert len(drawn) == 2
    assert first.read_bytes() == b"movie" and not drawn[0].exists()


def test_synth_writes_the_clips_it_says(tmp_path):
    out = tmp_path / "clips"
    line = f"synth --out {out} --clips 2 --seed 3 --fps 5 --seconds 1 --size 96x64"
    result = CliRunner().invoke(app, line.split())
    assert result.exit_code == 0, result.output
    assert result.stdout == f"2 clips of 1 s, 96x64, 5 frames/s, seed 3: {out}\n"
    videos = json.loads((out / "annotations.json").read_text())["videos"]
    assert [(v["width"], v["height"], v["length"], v["fps"]) for v in videos] == [
        (96, 64, 5, 5)
    ] * 2


def test_synth_refuses_a_folder_that_holds_something_else(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    result = CliRunner().invoke(
        app, ["synth", "--out", str(tmp_path), "--clips", "1", "--seed", "1"]
    )
    assert result.exit_code == 1
    assert str(tmp_path) in result.stderr and result.stderr.count("\n") == 1
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_defaults_of_the_command_are_those_of_the_world():
    from streamavis_training.world import WorldConfig

    config = WorldConfig()
    text = CliRunner().invoke(app, ["synth", "--help"], env={"COLUMNS": "200"}).stdout
    for default in (f"{config.fps:g}", f"{config.width}x{config.height}", f"{config.duration_s:g}"):
        assert f"[default: {default}]" in text
