"""--device, --dtype and --threads: what was taken is said, what cannot be had is one error."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from humming_clip import write_humming_clip
from streamavis_apps.app import app
from typer.testing import CliRunner

from streamavis import checkpoint

sys.path.append(str(Path(__file__).parents[1] / "model"))
import tiny
from test_avism import network as offline_network


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A clip, a causal and an offline network."""
    path = tmp_path_factory.mktemp("device")
    write_humming_clip(path / "clip.mp4", frames=3)
    checkpoint.save(tiny.network(short_side=64), path / "tiny.safetensors", half=False)
    checkpoint.save(offline_network(short_side=64), path / "avism.safetensors", half=False)
    return path


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def lines_of(folder: Path) -> dict[str, list[str]]:
    """A command line for each command that runs a model."""
    clip, causal, offline = (
        folder / f for f in ("clip.mp4", "tiny.safetensors", "avism.safetensors")
    )
    return {
        "replay": ["replay", str(clip), "--model", str(causal), "--speed", "max"],
        "live": ["live", "--camera", str(clip), "--mic", "none", "--model", str(causal)],
        "segment": [
            "segment",
            str(clip),
            "--model",
            str(offline),
            "--out",
            str(folder / "out"),
            "--mute",
        ],
        "bench pipeline": ["bench", "pipeline", str(clip), "--model", str(causal)],
    }


COMMANDS = ["replay", "live", "segment", "bench pipeline"]


@pytest.mark.parametrize("command", COMMANDS)
def test_an_absent_gpu_is_one_clear_error_before_anything_starts(folder, command):
    done = CliRunner().invoke(app, [*lines_of(folder)[command], "--device", "cuda"])
    assert done.exit_code == 2
    cause = (
        "device is 'cuda', but PyTorch finds no NVIDIA GPU with a driver; use device cpu or auto"
    )
    assert f"streamavis: error: {cause}" in done.stderr
    assert "frames" not in done.output.replace(cause, "")
    assert not (folder / "out").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_sixteen_bits_that_a_cpu_lacks_are_refused(folder, command):
    line = [*lines_of(folder)[command], "--device", "cpu", "--dtype", "fp16"]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 2
    assert "dtype is fp16, which needs a CUDA device; on a CPU use fp32 or bf16" in done.stderr


@pytest.mark.parametrize("dtype", ["auto", "bf16"])
@pytest.mark.parametrize("command", ["replay", "segment"])
def test_what_was_taken_is_said_in_one_line(folder, tmp_path, command, dtype):
    line = [*lines_of(folder)[command], "--dtype", dtype, "--threads", "1"]
    if command == "segment":
        line[line.index("--out") + 1] = str(tmp_path / "out")
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0, done.output
    name = "avism" if command == "segment" else "tiny"
    taken = "fp32" if dtype == "auto" else dtype
    said = f"{name}.safetensors runs on cpu in {taken}: PyTorch finds no NVIDIA GPU with a driver"
    assert done.output.count(said) == 1
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(
    ("option", "value", "cause"),
    [
        ("--device", "gpu", "none of auto, cpu, cuda and cuda:N"),
        ("--device", "cuda:x", "none of auto, cpu, cuda and cuda:N"),
        ("--dtype", "half", "is not one of"),
        ("--threads", "0", "neither auto nor a number from 1"),
        ("--threads", "many", "neither auto nor a number from 1"),
    ],
)
def test_what_is_no_device_is_a_usage_error(folder, option, value, cause):
    done = CliRunner().invoke(app, [*lines_of(folder)["replay"], option, value])
    assert done.exit_code == 2
    assert cause in " ".join(done.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    "command", ["live", "replay", "segment", "predict", "train", "demo", "reproduce"]
)
def test_every_command_that_runs_a_model_has_the_options(command):
    done = CliRunner().invoke(app, [command, "--help"])
    for option in ("--device", "--dtype", "--threads"):
        assert option in done.output
