"""Reading the reference's recordings: whole arrays, or every n-th value of large ones.

The folder STREAMAVIS_GOLDEN holds `.npz` files: an array under its name, or every n-th of its
values as `NAME__sample` with n in `NAME__stride` and its shape in `NAME__shape`.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

FOLDER = os.environ.get("STREAMAVIS_GOLDEN")
marks = [
    pytest.mark.parity,
    pytest.mark.skipif(not FOLDER, reason="STREAMAVIS_GOLDEN names no folder of golden files"),
]
TOLERANCE = 1e-4  # of the largest value, for stages on their own


def load(name: str) -> dict[str, np.ndarray]:
    with np.load(Path(FOLDER or "") / f"{name}.npz") as file:
        return {key: file[key] for key in file.files}


def names(golden: dict[str, np.ndarray]) -> list[str]:
    """Of the recorded tensors, whole or sampled."""
    return sorted({name.split("__")[0] for name in golden})


def difference(
    golden: dict[str, np.ndarray], name: str, found: torch.Tensor, frames: int | None = None
) -> np.ndarray:
    """|ours - theirs| where theirs is known.

    Args:
        golden: of one file; name: of the tensor; found: ours.
        frames: rows from this one on are of padded frames and mean nothing.
    """
    values = found.detach().double().flatten().numpy()
    every = int(golden.get(f"{name}__stride", 1))
    expected = golden[name] if name in golden else golden[f"{name}__sample"]
    shape = golden[name].shape if name in golden else tuple(golden[f"{name}__shape"])
    assert tuple(found.shape) == shape, name
    known = len(values) if frames is None else len(values) // len(found) * frames
    apart = np.abs(values[::every] - expected.ravel())
    return apart[: -(-known // every)]


def assert_alike(
    golden: dict[str, np.ndarray], name: str, found: torch.Tensor, frames: int | None = None
) -> None:
    """As close as a stage on its own must be."""
    expected = golden[name] if name in golden else golden[f"{name}__sample"]
    limit = TOLERANCE * float(np.abs(expected).max())
    assert difference(golden, name, found, frames).max() <= limit, name
