"""`streamavis bench kernels`: figures for every operator, and one clear line for bad input."""

import json

import pytest
import torch
from streamavis_apps.app import app
from streamavis_apps.exits import ExitCode
from streamavis_kernels import backend
from typer.testing import CliRunner


def invoke(*words):
    return CliRunner().invoke(app, ["bench", "kernels", *map(str, words)])


def test_it_times_every_operator_on_every_backend(tmp_path):
    path = tmp_path / "kernels.json"
    result = invoke("--size", "112x64", "--rounds", 1, "--json", path)
    assert result.exit_code == 0, result.output
    figures = json.loads(path.read_text())
    assert figures["size"] == [64, 112]
    assert figures["cache_gb_per_s"] > 0 and figures["memory_gb_per_s"] > 0
    names = [row["operator"].partition(",")[0] for row in figures["operators"]]
    assert names == [*["deform_attn"] * 2, *["audio_deform_attn"] * 2, "frame_prep", "mask_post"]
    for row in figures["operators"]:
        assert row["ms"].keys() == {"reference", backend()}
        assert row["floor_ms"] >= 0
        assert row["operator"] in result.stdout


NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")


@NO_GPU
def test_a_device_that_is_not_here():
    result = invoke("--device", "cuda")
    assert result.exit_code == ExitCode.FAILED
    assert "--device cuda: here there is cpu" in result.output


def test_a_device_that_is_none():
    assert invoke("--device", "tpu").exit_code == ExitCode.USAGE
