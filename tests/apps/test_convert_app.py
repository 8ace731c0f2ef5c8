"""`streamavis convert`: weights in, weights and a report out."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
import torch
from app_media import FRAMES, write_clip
from rich.console import Console
from streamavis_apps.app import app
from streamavis_apps.convert import run
from typer.testing import CliRunner

from streamavis import checkpoint
from streamavis.audio.vggish import VGGish
from streamavis.checkpoint import Report
from streamavis.errors import CheckpointError, OutputError
from streamavis.model import avism

sys.path.append(str(Path(__file__).parents[1] / "model"))
from reference_weights import full_state
from test_avism import TINY, network


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


@pytest.fixture
def vggish(tmp_path, monkeypatch) -> Path:
    """Weights of one number each, which take no room on a disk and are refused of others."""
    monkeypatch.setattr("streamavis.checkpoint.reading._check_sizes", lambda *_: None)
    with torch.device("meta"):
        shapes = {name: t.shape for name, t in VGGish().state_dict().items()}
    weights = {name: torch.tensor(0.01).expand(shape) for name, shape in shapes.items()}
    torch.save(weights, tmp_path / "vggish.pth")
    return tmp_path / "vggish.pth"


@pytest.fixture
def published(tmp_path, monkeypatch) -> Path:
    """An AVISM as small as can be, where published weights are read."""
    small = network(audio_channels=128, short_side=64)
    monkeypatch.setattr(checkpoint, "convert", lambda state, window: (small, Report()))
    torch.save({"backbone.weight": torch.ones(1)}, tmp_path / "avism.pth")
    return tmp_path / "avism.pth"


def command(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    return done.exit_code, " ".join(done.output.split())


def test_published_weights_go_live(published, vggish, tmp_path):
    live, results = tmp_path / "live.safetensors", tmp_path / "out.jsonl"
    code, said = command("convert", published, live, "--causal", "--vggish", vggish, "--half")
    assert code == 0, said
    assert "attends to the last 5 s, one frame a second" in said
    assert "audio features: VGGish of vggish.pth" in said
    clip = write_clip(tmp_path / "clip.mp4")
    code, said = command("replay", clip, "--speed", "max", "--model", live, "--jsonl", results)
    assert code == 0, said
    assert f"{FRAMES} frames" in said
    assert len(results.read_text().splitlines()) == FRAMES


def test_a_network_without_an_ear_says_so_and_is_not_replayed(published, tmp_path):
    live, results = tmp_path / "live.safetensors", tmp_path / "out.jsonl"
    code, said = command("convert", published, live, "--causal")
    assert code == 0, said
    assert "it holds no VGGish" in said
    assert "convert again with --vggish FILE" in said
    results.write_text("of an earlier run")
    clip = write_clip(tmp_path / "clip.mp4")
    code, said = command("replay", clip, "--model", live, "--jsonl", results)
    assert code == 1
    assert "needs VGGish weights and holds none" in said
    assert results.read_text() == "of an earlier run"
    assert checkpoint.load(live, ready_features=True).config.vggish == "absent"


def test_acvis_brings_its_own_ear(published, vggish, tmp_path, monkeypatch):
    weights = torch.load(vggish)
    pca = {"pproc.pca_eigen_vectors": torch.eye(128), "pproc.pca_means": torch.zeros(128, 1)}
    torch.save({f"audio_backbone.{k}": v for k, v in (weights | pca).items()}, published)
    code, said = command("convert", published, tmp_path / "live.safetensors", "--causal", "--half")
    assert code == 0, said
    assert "audio features: VGGish of avism.pth" in said
    assert checkpoint.configuration(tmp_path / "live.safetensors").vggish == "pca"


def test_options_that_contradict_each_other_are_refused(published, tmp_path):
    out = tmp_path / "x.safetensors"
    assert command("convert", published, out, "--causal", "--start", "avism_r50")[0] == 2
    assert not out.exists()


def test_an_offline_network_keeps_its_ear(published, vggish, tmp_path):
    out = tmp_path / "offline.safetensors"
    code, said = command("convert", published, out, "--vggish", vggish, "--half")
    assert code == 0, said
    assert "audio features: VGGish of vggish.pth" in said
    kept, theirs = checkpoint.load_vggish(out), torch.load(vggish)
    assert kept.state_dict().keys() == theirs.keys()
    for name, value in kept.state_dict().items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-3, atol=0)
    assert not any("vggish" in name for name in checkpoint.load_avism(out).state_dict())
    code, said = command("convert", published, out)
    assert code == 0, said
    assert "hears" not in said
    assert checkpoint.load_vggish(out) is None


@pytest.mark.slow
def test_the_recipes_weights_go_live(vggish, tmp_path):
    """The published shape from end to end: a .pth of it, converted, replayed."""
    path, live = tmp_path / "avism_R50_IN.pth", tmp_path / "live.safetensors"
    torch.save({"model": full_state("R50_IN")}, path)
    assert command("convert", path, live, "--causal", "--vggish", vggish)[0] == 0
    results = tmp_path / "out.jsonl"
    clip = write_clip(tmp_path / "clip.mp4")
    code, said = command("replay", clip, "--speed", "max", "--model", live, "--jsonl", results)
    assert code == 0, said
    lines = results.read_text().splitlines()
    assert len(lines) == FRAMES
    assert any('"label":' in line for line in lines), "random weights find something somewhere"
