"""The published backbone, folded: a plain composition of its operators gives the same maps."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from streamavis_training import imagenet

from streamavis.errors import CheckpointError
from streamavis.model.backbones import PIXEL_MEAN, PIXEL_STD
from streamavis.model.efficientnet import EfficientNetLite, EfficientNetLiteConfig

BLOCKS = [(1, 16, 3, 1), (6, 24, 3, 2), (6, 24, 3, 1), (6, 40, 5, 2), (6, 40, 5, 1)]
BLOCKS += [(6, 80, 3, 2), *[(6, 80, 3, 1)] * 2, *[(6, 112, 5, 1)] * 3]
BLOCKS += [(6, 192, 5, 2), *[(6, 192, 5, 1)] * 3, (6, 320, 3, 1)]
TAPS = {2: 24, 4: 40, 10: 112, 15: 320}


def published() -> dict[str, torch.Tensor]:
    """Random weights under the published names."""
    rng = torch.Generator().manual_seed(0)
    state: dict[str, torch.Tensor] = {}

    def convolution(name: str, *shape: int) -> None:
        state[f"{name}.weight"] = torch.randn(shape, generator=rng) / (shape[1] * shape[2]) ** 0.5

    def norm(name: str, channels: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            state[f"{name}.{part}"] = torch.rand(channels, generator=rng) + 0.2

    convolution("_conv_stem", 32, 3, 3, 3)
    norm("_bn0", 32)
    inputs = 32
    for i, (expansion, outputs, kernel, _) in enumerate(BLOCKS):
        hidden = inputs * expansion
        if expansion > 1:
            convolution(f"_blocks.{i}._expand_conv", hidden, inputs, 1, 1)
            norm(f"_blocks.{i}._bn0", hidden)
        convolution(f"_blocks.{i}._depthwise_conv", hidden, 1, kernel, kernel)
        norm(f"_blocks.{i}._bn1", hidden)
        convolution(f"_blocks.{i}._project_conv", outputs, hidden, 1, 1)
        norm(f"_blocks.{i}._bn2", outputs)
        inputs = outputs
    return state


def plain(state: dict[str, torch.Tensor], x: torch.Tensor) -> list[torch.Tensor]:
    """The published network on (x - 127) / 128, batch norms as they are, unpadded border apart."""

    def normed(name: str, x: torch.Tensor) -> torch.Tensor:
        parts = (state[f"{name}.{p}"] for p in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *parts, eps=1e-3)

    x = F.relu6(normed("_bn0", F.conv2d(x, state["_conv_stem.weight"], stride=2, padding=1)))
    maps = []
    for i, (expansion, outputs, kernel, stride) in enumerate(BLOCKS):
        b, y = f"_blocks.{i}", x
        if expansion > 1:
            y = F.relu6(normed(f"{b}._bn0", F.conv2d(y, state[f"{b}._expand_conv.weight"])))
        weight = state[f"{b}._depthwise_conv.weight"]
        y = F.conv2d(y, weight, stride=stride, padding=kernel // 2, groups=y.shape[1])
        y = F.relu6(normed(f"{b}._bn1", y))
        y = normed(f"{b}._bn2", F.conv2d(y, state[f"{b}._project_conv.weight"]))
        x = x + y if stride == 1 and x.shape[1] == outputs else y
        if i in TAPS:
            maps.append(x)
    return maps


def test_folded_weights_give_the_published_maps():
    state = published()
    backbone = EfficientNetLite(EfficientNetLiteConfig()).eval()
    backbone.load_state_dict(imagenet.fold(state))
    pixels = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1)) * 255
    # A frame of 127 is zero in both: nothing differs at the border.
    pixels[..., :1, :] = pixels[..., -1:, :] = pixels[..., :, :1] = pixels[..., :, -1:] = 127.0
    mean, spread = (torch.tensor(x)[:, None, None] for x in (PIXEL_MEAN, PIXEL_STD))
    with torch.no_grad():
        ours = backbone((pixels - mean) / spread)
        theirs = plain(state, (pixels - 127) / 128)
    assert [m.shape[1] for m in ours] == list(TAPS.values())
    for a, b in zip(ours, theirs, strict=True):
        # Inside, where the zeros around the picture are not seen.
        edge = 8 * 4 // (64 // a.shape[-2]) if a.shape[-2] >= 16 else 0
        inside = (..., slice(edge, -edge or None), slice(edge, -edge or None))
        if edge:
            torch.testing.assert_close(a[inside], b[inside], atol=2e-3, rtol=2e-3)
        assert (a - b).abs().mean() < 0.05 * b.abs().mean()


def test_a_missing_package_names_the_cure(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match=r"streamavis\[train\]"):
        imagenet.published()
