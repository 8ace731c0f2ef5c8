"""Every kind of backbone serves both networks; a new one is one file and one line."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from extending import load_listing
from streamavis_training.overrides import as_values, override
from test_avism import TINY
from tiny import CONFIG
from torch import nn

from streamavis import checkpoint
from streamavis.errors import ArgumentError, CheckpointError, MissingExtraError
from streamavis.model import AVISM, StreamAVIS, backbones
from streamavis.model.backbones import KINDS, STRIDE, BackboneKind
from streamavis.model.efficientnet import EfficientNetLiteConfig
from streamavis.model.light_backbone import NanoConfig
from streamavis.model.resnet import ResNetConfig
from streamavis.model.swin import SwinConfig
from streamavis.model.timm_backbone import TimmConfig, timm_backbone

SMALL = {
    "nano": NanoConfig((8, 16, 16, 16)),
    "efficientnet-lite0": EfficientNetLiteConfig(),
    "resnet": ResNetConfig((1, 1, 1, 1)),
    "swin": SwinConfig(16, (1, 1, 1, 2), (1, 2, 2, 4), window=4),
    "timm": TimmConfig("pyramid", (8, 16, 24, 32)),
}


class FakePyramid(nn.Module):
    """What timm makes of `features_only=True`, with two maps at stride 4."""

    output_fmt = "NHWC"

    def __init__(self, out_indices: tuple[int, ...] = (0, 1, 2, 3, 4)) -> None:
        super().__init__()
        widths, strides = (4, 8, 16, 24, 32), (4, 4, 8, 16, 32)
        self.convs = nn.ModuleList(nn.Conv2d(3, widths[i], 1, strides[i]) for i in out_indices)
        self.feature_info = SimpleNamespace(
            channels=lambda: [widths[i] for i in out_indices],
            reduction=lambda: [strides[i] for i in out_indices],
        )

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [conv(x).permute(0, 2, 3, 1) for conv in self.convs]


@pytest.fixture
def fake_timm(monkeypatch):
    def create_model(name: str, *, features_only: bool, **options: object) -> FakePyramid:
        if name != "pyramid":
            raise RuntimeError(f"Unknown model ({name})")
        assert features_only
        return FakePyramid(**options)

    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace(create_model=create_model))


def test_every_kind_is_tried_here():
    assert SMALL.keys() == KINDS.keys()
    assert all(config.kind == kind for kind, config in SMALL.items())


@pytest.mark.usefixtures("fake_timm")
@pytest.mark.parametrize("kind", SMALL)
def test_maps_have_the_strides_and_channels_that_are_promised(kind):
    config = SMALL[kind]
    maps = backbones.build(config).eval()(torch.zeros(1, 3, 2 * STRIDE, 3 * STRIDE))
    assert [m.shape[1] for m in maps] == list(config.channels)
    assert [m.shape[2:] for m in maps] == [(64 // s, 96 // s) for s in (4, 8, 16, 32)]


@pytest.mark.usefixtures("fake_timm")
@pytest.mark.parametrize("kind", SMALL)
def test_weights_files_know_every_kind(kind, tmp_path):
    causal = StreamAVIS(replace(CONFIG, backbone=SMALL[kind]))
    offline = AVISM(replace(TINY, backbone=SMALL[kind]))
    for model, load in ((causal, checkpoint.load), (offline, checkpoint.load_avism)):
        checkpoint.save(model, tmp_path / "one.safetensors", half=False)
        found = load(tmp_path / "one.safetensors")
        assert found.config == model.config
        names = model.state_dict()
        assert all(torch.equal(x, names[name]) for name, x in found.state_dict().items())


def test_timm_tells_the_channels_or_what_is_wrong(fake_timm):
    assert timm_backbone("pyramid") == SMALL["timm"]
    with pytest.raises(ArgumentError, match="timm model 'nobody' cannot be a backbone: Unknown"):
        timm_backbone("nobody")
    with pytest.raises(ArgumentError, match=r"maps of \(8, 16, 24, 32\) channels"):
        backbones.build(TimmConfig("pyramid", (1, 2, 3, 4)))


@pytest.mark.parametrize("name", ["hf-hub:somebody/model", "../x", "", "a b", "local-dir:/tmp"])
def test_a_weights_file_cannot_make_timm_download(name):
    with pytest.raises(ArgumentError, match="expected one of timm's own names"):
        TimmConfig(name, (8, 16, 24, 32))


def test_a_missing_timm_is_named_with_its_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'streamavis\[timm\]'"):
        backbones.build(SMALL["timm"])


def test_the_recipe_for_a_new_backbone(monkeypatch, tmp_path):
    """docs/EXTENDING.md: its file as it stands there, and its line in `KINDS`."""
    new = load_listing("A backbone", "streamavis.model.plain_backbone")
    with pytest.raises(CheckpointError, match="backbone is of kind 'plain'"):
        checkpoint.load(written(new, monkeypatch, tmp_path))
    monkeypatch.setitem(KINDS, "plain", BackboneKind(new.PlainConfig, new.Plain))
    assert checkpoint.load(tmp_path / "one.safetensors").config.backbone == new.PlainConfig()
    offline = AVISM(replace(TINY, backbone=new.PlainConfig())).eval()
    assert len(offline.backbone(torch.zeros(1, 3, 32, 32))) == 4
    changed = override(CONFIG, {"backbone": {"kind": "plain", "channels": [8, 8, 8, 8]}})
    assert changed.backbone == new.PlainConfig((8, 8, 8, 8))
    assert override(CONFIG, as_values(changed)) == changed


def written(new, monkeypatch, tmp_path):
    with monkeypatch.context() as known:
        known.setitem(KINDS, "plain", BackboneKind(new.PlainConfig, new.Plain))
        model = StreamAVIS(replace(CONFIG, backbone=new.PlainConfig()))
    checkpoint.save(model, tmp_path / "one.safetensors")
    return tmp_path / "one.safetensors"
