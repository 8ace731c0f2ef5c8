"""Weights survive the way to disk and back, and foreign files are named."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from streamavis import checkpoint
from streamavis.errors import CheckpointError, UnknownModelError

sys.path.append(str(Path(__file__).parent / "model"))
from tiny import clip, network


def test_a_saved_network_says_the_same(tmp_path):
    model = network()
    path = tmp_path / "tiny.safetensors"
    checkpoint.save(model, path, {"data": "none"}, half=False)
    loaded = checkpoint.load(path)
    assert loaded.config == model.config
    assert not loaded.training
    c = clip(0, 1, 3)
    a, b = model(c.frames, c.audio, c.times_s), loaded(c.frames, c.audio, c.times_s)
    assert torch.equal(a.mask_logits, b.mask_logits)
    assert torch.equal(a.sounding_logits, b.sounding_logits)
    assert checkpoint.metadata(path)["data"] == "none"


def test_a_weights_file_may_be_read_as_any_new_file(tmp_path):
    plain, weights = tmp_path / "plain", tmp_path / "weights"
    plain.touch()
    checkpoint.save(network(), weights)
    assert weights.stat().st_mode == plain.stat().st_mode
    weights.chmod(0o640)
    checkpoint.save(network(), weights)
    assert weights.stat().st_mode & 0o777 == 0o640


def test_a_weights_file_that_cannot_be_written_is_named(tmp_path):
    missing = tmp_path / "missing" / "weights"
    with pytest.raises(CheckpointError, match="missing/weights cannot be written"):
        checkpoint.save(network(), missing)


def test_half_precision_is_half_the_file(tmp_path):
    model = network()
    for name, half in (("whole", False), ("half", True)):
        checkpoint.save(model, tmp_path / name, half=half)
    assert (tmp_path / "half").stat().st_size < 0.6 * (tmp_path / "whole").stat().st_size
    weights = checkpoint.load(tmp_path / "half").state_dict()
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            assert weights[name].dtype == torch.float32
            torch.testing.assert_close(weights[name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "not a safetensors file"), (b"just text, no weights at all", "not a safetensors file")],
)
def test_what_is_no_weights_file_is_named(tmp_path, content, message):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as error:
        checkpoint.load(path)
    assert str(path) in str(error.value)


def rewritten(tmp_path: Path, header: dict[str, str], drop: str = "", grow: str = "") -> Path:
    path, out = tmp_path / "good.safetensors", tmp_path / "bad.safetensors"
    checkpoint.save(network(), path)
    tensors = {k: v.half() for k, v in network().state_dict().items() if k != drop}
    if grow:
        tensors[grow] = torch.zeros(1, 2, 3)
    save_file(tensors, str(out), checkpoint.metadata(path) | header)
    return out


def test_another_kind_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="kind 'yolo', expected 'streamavis'"):
        checkpoint.load(rewritten(tmp_path, {"kind": "yolo"}))


def test_another_version_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"version '99', this StreamAVIS reads 1"):
        checkpoint.load(rewritten(tmp_path, {"version": "99"}))


def test_a_broken_configuration_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="no readable configuration"):
        checkpoint.load(rewritten(tmp_path, {"config": '{"classes": ["a"], "wings": 2}'}))


def test_the_first_weight_that_does_not_fit_is_named(tmp_path):
    key = "heads.class_embed.classify.weight"
    with pytest.raises(CheckpointError, match=f"1 weights missing.*{key}"):
        checkpoint.load(rewritten(tmp_path, {}, drop=key))
    with pytest.raises(
        CheckpointError, match=r"heads.class_embed.classify.weight has shape \(1, 2, 3\)"
    ):
        checkpoint.load(rewritten(tmp_path, {}, grow=key))


def test_an_unknown_name_lists_what_is_shipped():
    with pytest.raises(UnknownModelError, match=r"'colossus'; expected .*a shipped name .*nano"):
        checkpoint.load("colossus")


def test_a_folder_holds_weights_and_configuration_as_model_hubs_have_them(tmp_path):
    model = network()
    checkpoint.save(model, tmp_path, half=False)
    assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors", "config.json"}
    written = json.loads((tmp_path / "config.json").read_text())
    assert (written["kind"], written["config"]["classes"]) == (
        "streamavis",
        ["bell", "drum", "bird"],
    )
    assert checkpoint.load(tmp_path).config == model.config
    assert checkpoint.kind_of(checkpoint.find(tmp_path)) == "streamavis"


def test_the_configuration_may_be_beside_the_weights_alone(tmp_path):
    """A hub's own tools write no header into the weights."""
    model = network()
    checkpoint.save(model, tmp_path, half=False)
    save_file(dict(model.state_dict()), tmp_path / "model.safetensors")
    loaded = checkpoint.load(tmp_path)
    assert loaded.config == model.config
    assert all(map(torch.equal, loaded.state_dict().values(), model.state_dict().values()))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "is a folder with no .safetensors file; expected model.safetensors"),
        ({"a.safetensors": b"", "b.safetensors": b""}, "with a.safetensors, b.safetensors; exp"),
        ({"one.safetensors": b""}, "not a safetensors file"),
    ],
)
def test_a_folder_without_a_model_is_named(tmp_path, files, message):
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not readable as JSON"), ("[1]", "holds a list"), (" " * 2**21, "bytes")],
)
def test_a_configuration_that_is_none_is_named(tmp_path, text, message):
    save_file(dict(network().state_dict()), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(tmp_path)


def test_a_shipped_name_is_not_shadowed_by_a_folder_of_that_name(tmp_path, monkeypatch):
    (tmp_path / "nano").mkdir()
    monkeypatch.chdir(tmp_path)
    assert checkpoint.find("nano").name == "nano.safetensors"
