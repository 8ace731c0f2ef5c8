"""`streamavis train` as a user types it, with its default of two processes, on tiny clips."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from streamavis_apps.app import app
from typer.testing import CliRunner

from streamavis import checkpoint

TINY = {
    "pool.clips": 4,
    "pool.frames": 4,
    "pool.width": 64,
    "pool.height": 32,
    "network.channels": 32,
    "network.hidden": 32,
    "network.pixel_hidden": 32,
    "network.backbone.channels": [8, 8, 16, 16],
    "network.frame_queries": 6,
    "network.slots": 6,
    "audio.steps": 2,
    "sounds": 4,
    "stages.0.batch": "{clips=2, frames=1, parts=1, height=32}",
    "stages.1.batch": "{clips=1, frames=2, parts=2, height=32}",
    "stages.2.batch": "{clips=2, frames=1, parts=1, height=32}",
    "stages.3.batch": "{clips=1, frames=2, parts=2, height=32}",
}
SETTINGS = [text for name, value in TINY.items() for text in ("--set", f"{name}={value}")]


def start(*options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "streamavis_apps", "train", *SETTINGS, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        start_new_session=True,  # a terminal sends Ctrl-C to all of them
    )


def steps(folder: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (folder / "curve.jsonl").read_text().splitlines()]


@pytest.mark.timeout(900)  # ten processes load torch
def test_a_run_is_interrupted_and_goes_on(tmp_path):
    out = tmp_path / "run"
    first = start("--out", str(out), "--steps", "60")
    assert first.stdout is not None
    said = []
    for line in first.stdout:
        said.append(line)
        if line.startswith("training: 1 of 60"):
            break
    os.killpg(first.pid, signal.SIGINT)
    rest, errors = first.communicate()
    assert first.returncode == 130, "".join(said) + errors
    assert "stopped by SIGINT: the same command goes on where it stands" in rest
    assert "Traceback" not in errors and "Error" not in errors, errors
    stopped = steps(out)[-1]
    assert 1 <= stopped < 60
    assert not (out / "nano.safetensors").exists()

    second = start("--out", str(out), "--steps", str(stopped + 4))
    told, errors = second.communicate()
    assert second.returncode == 0, errors
    # Without a compiler the kernels' hint is all there is.
    assert all(line.startswith("Kernels run through PyTorch") for line in errors.splitlines())
    assert "rendering" not in told and "audio encoder: 1 of" not in told
    assert f"training: goes on at step {stopped} of {stopped + 4}" in told
    assert f"changed since the run began: trainer.steps: 60 -> {stopped + 4}" in told
    assert f"weights: {out / 'nano.safetensors'}" in told
    assert steps(out) == list(range(1, stopped + 5))
    assert checkpoint.load(out / "nano.safetensors").config.channels == 32
    notes = checkpoint.metadata(out / "nano.safetensors")
    assert notes["command"].startswith("streamavis train --set pool.clips=4 ")
    assert notes["data"] == "procedural world, 4 clips from seed 1000000"
    record = json.loads((out / "run.json").read_text())["starts"]
    assert [one["processes"] for one in record] == [2, 2]
    assert record[0]["machine"]["versions"]["torch"]
    assert sorted(path.name for path in out.iterdir()) == [
        "audio",
        "config.json",
        "curve.jsonl",
        "last.pt",
        "nano.safetensors",
        "pool",
        "run.json",
    ]


def train(out: Path, *options: str) -> str:
    """Train a run in this process; what it said."""
    code, said = invoke("--out", str(out), "--processes", "1", *SETTINGS, *options)
    assert code == 0, said
    return said


def invoke(*options: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["train", *options])
    return done.exit_code, done.output


def test_a_run_moves_to_another_folder_and_starts_others(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    first, on, other = tmp_path / "first", tmp_path / "on", tmp_path / "other"
    said = train(first, "--steps", "1")
    assert "audio encoder: 2 of 2" in said and "training: 1 of 1" in said
    for folder in (on, other):
        folder.mkdir()
        (folder / "pool").symlink_to(first / "pool")

    small = tmp_path / "small.pt"
    code, said = invoke("--out", str(first), "--pack", str(small))
    assert code == 0 and "step 1, weights in half precision and their mean" in said
    said = train(on, "--resume", str(small), "--steps", "3", "--minutes", "0")
    assert "moments start anew" in caplog.text
    assert "audio encoder" not in said
    assert "training: goes on at step 1 of 3" in said
    assert "stopped after 0.0 minutes; the same command goes on" in said
    said = train(on, "--steps", "3")
    assert "audio encoder" not in said
    assert "training: goes on at step 2 of 3" in said and "weights: " in said

    weights = first / "nano.safetensors"
    said = train(other, "--init", str(weights), "--steps", "1", "--set", "network.video_layers=2")
    assert f"{weights}: " in said and "this network has no such part" in said
    assert "audio encoder" not in said
    report = json.loads((other / "init.json").read_text())
    assert report["missing"] == [] and report["taken"]


def test_fields_are_listed_and_wrong_ones_refused(tmp_path):
    code, said = invoke("audio", "--out", "nowhere", "--show", "--set", "trainer.rate=0.5")
    assert code == 0
    assert "trainer.rate=0.5" in said and "stages.0.batch.clips=15" in said
    assert "pictures=false" in said and "init=none" in said
    code, said = invoke("--out", "nowhere", "--set", "trainer.rat=1")
    assert code == 2 and "trainer.rat: there is no such field" in said
    code, said = invoke("nanno", "--out", "nowhere")
    assert (
        code == 2
        and "there is no recipe 'nanno'; expected one of: nano, nano_gpu, nano_drawn" in said
    )
