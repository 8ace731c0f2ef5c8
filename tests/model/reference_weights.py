"""Weights that anybody can make again: each is a function of its published name and shape.

The numbers in `data/` came from the reference code with these weights in it.
"""

from __future__ import annotations

import functools
import gzip
import json
import math
import zlib
from pathlib import Path

import numpy as np
import torch

DATA = Path(__file__).parent / "data"
_UNIT = ("query_feat", "query_embed", "level_embed", "fq_pos", "cls_token")


def tensor(key: str, shape: tuple[int, ...], std: float = 1.0) -> torch.Tensor:
    """Uniform numbers of zero mean, the same wherever they are drawn."""
    return _float32(math.sqrt(3.0) * std * _uniform(key, shape))


def _uniform(key: str, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.RandomState(zlib.crc32(key.encode()))
    return (2.0 * rng.random_sample(math.prod(shape)) - 1.0).reshape(shape)


def _float32(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(x, np.float32))


def weight(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The weight of a name in the layout of class AVISM or AVISM_COCO."""
    key = key.replace("vita_module.vita_mask", "avism_module.avism_mask")
    key = key.replace("vita_", "avism_")
    if key.endswith("running_var"):
        return _float32(1 + 0.2 * _uniform(key, shape))
    if key.endswith("running_mean"):
        return _float32(0.1 * _uniform(key, shape))
    if len(shape) == 1 and key.endswith("weight"):
        return _float32(1 + 0.1 * _uniform(key, shape))
    return tensor(key, shape, _spread(key, shape))


def _spread(key: str, shape: tuple[int, ...]) -> float:
    if any(name in key for name in _UNIT):
        return 1.0
    if key.endswith("relative_position_bias_table"):
        return 0.5
    if key.endswith("sampling_offsets.bias"):
        return 1.5
    if len(shape) == 1:
        return 0.05
    gain = 1.0
    if key.startswith("backbone.") and len(shape) == 4:
        gain = 0.4 if "conv3" in key else 1.0 if "shortcut" in key else math.sqrt(2.0)
    elif "class_embed" in key:
        gain = 4.0
    elif "mask_embed.layers." in key:
        gain = 0.5 if "layers.2." in key else math.sqrt(2.0)
    elif "in_proj_weight" in key:
        gain = 1.5
    elif "attn.out_proj.weight" in key:
        gain = 0.2
    elif "linear2.weight" in key:
        gain = 0.3
    return gain / math.sqrt(math.prod(shape[1:]))


@functools.cache
def manifests() -> dict[str, list[tuple[str, tuple[int, ...], str]]]:
    """Names, shapes and dtypes of each published checkpoint."""
    text = gzip.decompress((DATA / "state_dicts.json.gz").read_bytes())
    return {
        name: [(key, tuple(shape), dtype) for key, shape, dtype in entries]
        for name, entries in json.loads(text).items()
    }


def empty_state(name: str) -> dict[str, torch.Tensor]:
    """A published checkpoint without its numbers."""
    return {
        key: torch.empty(shape, dtype=getattr(torch, dtype), device="meta")
        for key, shape, dtype in manifests()[name]
    }


def full_state(name: str, prefixes: tuple[str, ...] = ("",)) -> dict[str, torch.Tensor]:
    """A checkpoint with reproducible numbers; zeros where its name has none of `prefixes`."""
    return {
        key: weight(key, shape)
        if key.startswith(prefixes) and dtype == "float32" and not key.endswith("empty_weight")
        else torch.zeros(shape, dtype=getattr(torch, dtype))
        for key, shape, dtype in manifests()[name]
    }
