"""Published weights become ours: every key is accounted for, and no code in a file runs."""

from __future__ import annotations

import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from streamavis import checkpoint
from streamavis.errors import CheckpointError
from streamavis.model.avism import AVISM
from streamavis.model.resnet import resnet50, resnet101

sys.path.append(str(Path(__file__).parent / "model"))
from reference_weights import empty_state, manifests
from test_avism import clip, network


@pytest.mark.parametrize("name", sorted(manifests()))
def test_every_key_is_accounted_for(name):
    state = empty_state(name)
    with torch.device("meta"):
        model, report = checkpoint.convert(state)
    assert not report.missing
    assert report.used.keys() | report.left.keys() == state.keys()
    assert not report.used.keys() & report.left.keys()
    filled = [ours for names in report.used.values() for ours in names]
    assert set(filled) == set(model.state_dict())
    reasons = {"a constant of the loss"}
    if "Swin" in name:
        reasons.add("follows from the window")
        assert model.config.frame_queries == 200
    if "R101" in name:
        assert model.config.backbone == resnet101()
    if "ACVIS" in name:
        reasons |= {"of VGGish, a network of its own", "this network has no such part"}
        assert model.config.frame_fusion == "audio-centric"
        assert model.config.count_levels == 2
        unused = [k for k, why in report.left.items() if "no such part" in why]
        assert all("av_post_proj" in key for key in unused)
    assert set(report.left.values()) == reasons


def test_what_is_missing_or_misshapen_is_named():
    state = empty_state("R50_IN")
    key = "avism_module.enc_av_ffn.3.linear2.weight"
    with pytest.raises(CheckpointError, match=r"1 weights are missing.*audio_layers\.3"):
        checkpoint.avism_from_reference({k: v for k, v in state.items() if k != key})
    with pytest.raises(CheckpointError, match=rf"{key}.*has shape \(2, 3\), expected \(256, 2048"):
        checkpoint.avism_from_reference(state | {key: torch.empty(2, 3, device="meta")})
    half = "sem_seg_head.pixel_decoder.transformer.encoder.layers.2.self_attn"
    key = f"{half}.attention_weights.bias"
    with pytest.raises(CheckpointError, match=r"missing.*layers\.2\.projections\.bias"):
        checkpoint.avism_from_reference({k: v for k, v in state.items() if k != key})
    with pytest.raises(CheckpointError, match="2 class names for weights of 26"):
        checkpoint.avism_from_reference(state, classes=("a", "b"))
    with pytest.raises(CheckpointError, match="neither a ResNet nor a Swin"):
        checkpoint.avism_from_reference({"layer": torch.zeros(1)})


def test_fused_projections_are_split_in_order():
    state = empty_state("R50_IN")
    key = "avism_module.enc_self_attn.0.self_attn.in_proj_bias"
    state = {k: torch.zeros(()).expand(v.shape) for k, v in state.items()}
    state[key] = torch.arange(768.0)
    encoder = checkpoint.avism_from_reference(state).object_encoder.layers[0].attention
    assert encoder.query.bias[0] == 0
    assert encoder.key.bias[0] == 256
    assert encoder.value.bias[-1] == 767


def torchvision_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A backbone of class AVISM as torchvision spells it, with a classifier at the end."""
    named = {}
    for key, value in state.items():
        if not key.startswith("backbone."):
            continue
        key = key.removeprefix("backbone.").replace("stem.conv1.norm", "bn1")
        key = key.replace("stem.conv1", "conv1")
        for stage in range(2, 6):
            key = key.replace(f"res{stage}.", f"layer{stage - 1}.")
        key = key.replace("shortcut.norm", "downsample.1").replace("shortcut", "downsample.0")
        for i in (1, 2, 3):
            key = key.replace(f".conv{i}.norm.", f".bn{i}.")
        named[key] = value
    return named | {"fc.weight": torch.zeros(1000, 2048), "bn1.num_batches_tracked": torch.ones(())}


def test_backbones_and_detectors_initialise_what_fits():
    with torch.device("meta"):
        model = AVISM(checkpoint.convert(empty_state("R50_IN"))[0].config)
    assert model.config.backbone == resnet50()
    state = empty_state("R50_IN")
    backbone = {k: v for k, v in state.items() if k.startswith("backbone.")}
    layouts = {
        "torchvision": torchvision_names(state),
        "detectron2": {k.removeprefix("backbone."): v for k, v in backbone.items()},
    }
    for name, layout in layouts.items():
        report = checkpoint.initialise(model, layout)
        ours = {k for k in model.state_dict() if k.startswith("backbone.")}
        assert {o for names in report.used.values() for o in names} == ours, name
        assert set(report.missing) == model.state_dict().keys() - ours
    detector = {k: v for k, v in state.items() if not k.startswith("avism_")}
    detector["sem_seg_head.predictor.class_embed.weight"] = torch.zeros(81, 256)
    report = checkpoint.initialise(model, detector)
    assert "sem_seg_head.predictor.class_embed.weight" in report.left
    assert "localizer.class_embed.weight" in report.missing
    assert not any(name.startswith("pixel_decoder") for name in report.missing)
    with pytest.raises(CheckpointError, match="none of 1 weights"):
        checkpoint.initialise(model, {"yolo.weight": torch.zeros(1)})


def test_vita_initialises_all_but_what_hears():
    """VITA's weights: AVISM's of class AVISM_COCO without sound, and heads for other classes."""
    state = empty_state("R50_COCO")
    heard = ("av_pre_proj", "av_post_proj", "av_sf", "av_proj", "enc_av_")
    vita = {k: v for k, v in state.items() if not any(part in k for part in heard)}
    for key in ("sem_seg_head.predictor", "vita_module"):
        vita |= {f"{key}.class_embed.weight": torch.empty(41, 256, device="meta")}
        vita |= {f"{key}.class_embed.bias": torch.empty(41, device="meta")}
    with torch.device("meta"):
        model = AVISM(checkpoint.convert(state)[0].config)
    report = checkpoint.initialise(model, vita)
    parts = ("localizer.fusion.", "object_encoder.audio", "localizer.class_embed.", "class_embed.")
    assert all(name.startswith(parts) for name in report.missing)
    assert all("has shape (41" in why for key, why in report.left.items() if "class_embed" in key)
    assert report.used.keys() | report.left.keys() == vita.keys()


def test_what_a_wrapper_leaves_behind_is_told():
    """Data-parallel prefixes and the names of older detectors."""
    state = {f"module.{k}": v for k, v in empty_state("R50_IN").items()}
    with torch.device("meta"):
        model, report = checkpoint.convert(state)
    assert not report.missing
    key = "sem_seg_head.predictor.query_feat.weight"
    old = {
        k.replace("query_feat", "static_query") if k == key else k: v
        for k, v in empty_state("R50_IN").items()
    }
    assert (
        "localizer.query_feat"
        in checkpoint.initialise(model, old).used[key.replace("query_feat", "static_query")]
    )


def test_an_offline_network_survives_the_disk(tmp_path):
    model, path = network(window=3), tmp_path / "tiny.safetensors"
    checkpoint.save(model, path, {"from": "noise"}, half=False)
    loaded = checkpoint.load_avism(path)
    assert loaded.config == model.config
    frames, audio = clip(4)
    assert torch.equal(model(frames, audio).mask_logits, loaded(frames, audio).mask_logits)
    with pytest.raises(CheckpointError, match="kind 'avism', expected 'streamavis'"):
        checkpoint.load(path)


def test_tensors_are_read_from_each_kind_of_file(tmp_path):
    weights = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor(3)}
    torch.save({"model": weights, "iteration": 5}, tmp_path / "x.pth")
    arrays = {"model": {k: v.numpy() for k, v in weights.items()}, "__author__": "somebody"}
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(arrays, protocol=2))
    checkpoint.save(network(), tmp_path / "x.safetensors", half=False)
    for name in ("x.pth", "x.pkl"):
        found = checkpoint.read_foreign(tmp_path / name)
        assert found.keys() == weights.keys()
        assert all(torch.equal(found[k], v) for k, v in weights.items())
    found = checkpoint.read_foreign(tmp_path / "x.safetensors")
    assert found.keys() == network().state_dict().keys()


class Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("went-off"),))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pkl", pickle.dumps({"model": Bomb()}), "asks for"),
        ("a.pkl", b"\x80\x04nonsense", "no weights file"),
        ("a.pkl", pickle.dumps([1, 2]), "holds a list"),
        ("a.pkl", pickle.dumps({"x": "text"}), "holds no tensor"),
        ("a.pkl", pickle.dumps({"x": np.array([{}], object)}), "holds no tensor"),
        ("a.pth", b"nonsense", "no weights file"),
        ("a.safetensors", b"nonsense", "cannot be read"),
    ],
)
def test_foreign_files_are_refused(tmp_path, monkeypatch, name, content, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as error:
        checkpoint.read_foreign(tmp_path / name)
    assert name in str(error.value)
    assert not (tmp_path / "went-off").exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_torch_file_with_code_is_refused(tmp_path, monkeypatch, zipped):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bomb.pth"
    torch.save({"model": Bomb()}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"bomb\.pth.*is code.*state_dict") as error:
        checkpoint.read_foreign(path)
    assert "weights_only" not in str(error.value), "advice to run the code"
    assert not (tmp_path / "went-off").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty; expected what torch.save writes"),
        (b"<html>404 not found</html>", r"it begins with b'<html>40'; expected"),
        (b"nonsense", "it begins with b'nonsense'"),
        (pickle.dumps({"a": Bomb()}), "begins with|is code"),
        (b"RIFF0000WEBPVP8 ", "it begins with b'RIFF0000'"),
    ],
)
def test_a_wrong_file_is_told_in_one_line_without_advice_to_run_it(tmp_path, content, message):
    path = tmp_path / "wrong.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as error:
        checkpoint.read_foreign(path)
    assert not re.search(r"weights_only|PyTorch|trust|\n|\x1b", str(error.value))


def test_a_cut_off_file_is_told(tmp_path):
    path = tmp_path / "cut.pth"
    torch.save({"a": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="it is cut off after 1000 bytes"):
        checkpoint.read_foreign(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"nothing\.pth cannot be read"):
        checkpoint.read_foreign(tmp_path / "nothing.pth")
