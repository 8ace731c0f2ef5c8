"""A network with settings of your own, saved to a folder and loaded again.

    python examples/own_model.py clip.mp4 my-model

Its weights are random: train it first (see train_your_own.py) to see anything.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch

import streamavis as sa
from streamavis import checkpoint
from streamavis.model import nano_drawn


def build(classes: tuple[str, ...]) -> sa.StreamAVIS:
    """A small network that remembers one frame each half second, for 4 s."""
    torch.manual_seed(0)
    settings = replace(nano_drawn(classes), window=8, memory_stride_s=0.5, slots=12)
    return sa.StreamAVIS(settings).eval().requires_grad_(False)


def save(model: sa.StreamAVIS, folder: Path) -> None:
    """Write model.safetensors and config.json, as model hubs have them."""
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint.save(model, folder, {"data": "none: random weights"})


def main(source: str, folder: Path) -> int:
    """Save and load a network, run it, and count the results."""
    save(build(("bell", "drum")), folder)
    model = sa.load(folder, device="auto")
    return sum(1 for _ in sa.open(source, model))


if __name__ == "__main__":
    print(main(sys.argv[1], Path(sys.argv[2])), "frames")
