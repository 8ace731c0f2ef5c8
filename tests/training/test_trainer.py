"""The loop: the schedule's shape, learning at all, and an exact resume."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from streamavis_training.batch import Batch, Truth
from streamavis_training.trainer import Progress, Trainer, TrainerConfig, learning_rate

from streamavis.errors import ModelOutputError
from streamavis.model import StreamAVIS

sys.path.append(str(Path(__file__).parents[1] / "model"))
import itertools

from tiny import CONFIG, clip

SETTINGS = TrainerConfig(steps=8, learning_rate=3e-3, checkpoint_every=2)


def batches(step: int) -> Iterator[Batch]:
    """Windows of two parts of two frames; the same window gives the same batch."""
    while True:
        window, part = divmod(step, 2)
        c = clip(window, 2, 4)
        rng = torch.Generator().manual_seed(window)
        masks = (torch.rand(2, 4, 2, 16, 24, generator=rng) < 0.3).float()
        truth = Truth(
            masks=masks,
            class_ids=torch.tensor([[0, 1], [2, -1]]),
            visible=torch.tensor([[True, True], [True, False]])[:, None].repeat(1, 4, 1).float(),
            sounding=torch.tensor([[True, False], [False, False]])[:, None].repeat(1, 4, 1).float(),
            heard=torch.zeros(2, 4, 3),
            level=torch.full((2, 4, 2), float("nan")),
        )
        yield list(Batch(c.frames, c.audio, c.times_s, truth).parts(2))[part]
        step += 1


def trainer(folder: Path, **changes: float) -> Trainer:
    torch.manual_seed(0)
    return Trainer(StreamAVIS(CONFIG), batches, folder, replace(SETTINGS, **changes))


def test_the_rate_rises_stays_and_falls_to_nearly_nothing():
    config = TrainerConfig(steps=1000, learning_rate=1.0, warmup=0.1, flat=0.3)
    rates = [learning_rate(config, step) for step in range(1000)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[99:299] == pytest.approx([1.0] * 200)
    assert all(b < a for a, b in itertools.pairwise(rates[299:]))
    assert rates[-1] < 0.01


def test_it_learns(tmp_path):
    seen: list[Progress] = []
    trainer(tmp_path, steps=24).run(seen.append)
    assert [p.step for p in seen] == list(range(1, 25))
    assert seen[-1].loss < seen[0].loss


def test_resuming_is_exact(tmp_path):
    whole = trainer(tmp_path / "whole")
    whole.run(lambda _: None)
    first = trainer(tmp_path / "parts")
    first.run(lambda _: None, until=4)
    second = trainer(tmp_path / "parts")
    assert second.step == 4
    second.run(lambda _: None)
    assert second.step == whole.step == 8
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name
    for name, value in whole.averaged().state_dict().items():
        assert torch.equal(value, second.averaged().state_dict()[name]), name


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    broken = trainer(tmp_path)
    with torch.no_grad():
        broken.model.heads.class_embed.classify.bias.fill_(float("nan"))
    with pytest.raises((ModelOutputError, ValueError)):
        broken.run(lambda _: None)
