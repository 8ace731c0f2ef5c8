"""`streamavis convert`: weights in, weights and a report out."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
import torch
from rich.console import Console
from streamavis_apps.convert import run

from streamavis import checkpoint
from streamavis.errors import CheckpointError, OutputError
from streamavis.model import avism

sys.path.append(str(Path(__file__).parents[1] / "model"))
from test_avism import TINY


@pytest.fixture
def backbone(tmp_path, monkeypatch) -> Path:
    """The first layer of Swin, and a classifier's head; recipes are as small as it."""
    monkeypatch.setattr(avism, "avism_r50", lambda: TINY)
    path = tmp_path / "swin.pth"
    state = {"patch_embed.proj.weight": torch.ones(16, 3, 4, 4), "head.weight": torch.ones(9, 9)}
    torch.save({"model": state}, path)
    return path


def test_a_network_starts_from_what_fits(backbone, tmp_path):
    text = io.StringIO()
    out = tmp_path / "start.safetensors"
    run(backbone, out, start="avism_r50", console=Console(file=text, width=200))
    report = text.getvalue()
    assert "used: 1 weights" in report
    assert "left, of an image classifier: head.weight" in report
    assert "missing, left random" in report
    model = checkpoint.load_avism(out)
    assert torch.equal(model.backbone.patch_embed.proj.weight, torch.ones(16, 3, 4, 4))


def test_part_of_a_network_is_no_network(backbone, tmp_path):
    with pytest.raises(CheckpointError, match="not an AVISM checkpoint"):
        run(backbone, tmp_path / "x.safetensors")
    assert not (tmp_path / "x.safetensors").exists()


def test_outputs_that_cannot_be_are_refused(backbone, tmp_path):
    with pytest.raises(OutputError, match=r"written as \.safetensors"):
        run(backbone, tmp_path / "x.pth")
    same = tmp_path / "same.safetensors"
    same.write_bytes(backbone.read_bytes())
    with pytest.raises(OutputError, match="is the input itself"):
        run(same, same)
