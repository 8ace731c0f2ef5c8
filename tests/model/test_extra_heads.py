"""A head that is added in one place is in the output, in weights files and in the loss."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from extending import listing, load_listing
from streamavis_training import losses as kit
from tiny import CONFIG, clip

from streamavis import checkpoint
from streamavis.errors import ArgumentError
from streamavis.model import StreamAVIS
from streamavis.model.heads import EXTRA_HEADS

sys.path.append(str(Path(__file__).parents[1] / "training"))
from test_losses import truth


def test_a_head_that_is_not_known_is_named():
    with pytest.raises(ArgumentError, match="extra_heads names 'cover'"):
        replace(CONFIG, extra_heads=("cover",))


def test_the_recipe_for_a_new_head(monkeypatch, tmp_path):
    """docs/EXTENDING.md: its file, its line in `EXTRA_HEADS`, its loss."""
    new = load_listing("A head", "streamavis.model.cover_head")
    monkeypatch.setitem(EXTRA_HEADS, "cover", new.CoverHead)
    names = dict(vars(kit))
    exec(listing("A head", 1), names)
    monkeypatch.setitem(kit.EXTRA_LOSSES, "cover", names["cover_loss"])
    torch.manual_seed(0)
    model = StreamAVIS(replace(CONFIG, extra_heads=("cover",))).eval()
    two = clip(0, 2, 3)
    output = model(two.frames, two.audio, two.times_s)
    assert output.extra["cover"].shape == (2, 3, CONFIG.slots)
    state = model.init_state(2)
    first = model.step(two.frames[:, 0], two.audio[:, 0], state, times_s=two.times_s[:, 0])
    torch.testing.assert_close(first.extra["cover"], output.extra["cover"][:, 0])
    t = truth()
    size = output.mask_logits.shape[-2:]
    masks = torch.nn.functional.interpolate(t.masks.flatten(0, 1), size)
    t.masks = masks.unflatten(0, t.masks.shape[:2])
    terms = kit.losses(output, t, kit.LossWeights())
    terms["cover"].backward()
    assert model.extra["cover"].mlp.layers[0].weight.grad.any()
    checkpoint.save(model, tmp_path / "one.safetensors", half=False)
    assert checkpoint.load(tmp_path / "one.safetensors").config == model.config
