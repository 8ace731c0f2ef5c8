"""The recipe of `nano`, end to end on a handful of tiny clips."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from streamavis_training.pool import BatchConfig, PoolConfig, render
from streamavis_training.recipes import STAGES, NanoRecipe, Stage, train_nano
from streamavis_training.trainer import TrainerConfig

from streamavis import checkpoint
from streamavis.errors import CheckpointError

POOL = PoolConfig(clips=4, frames=4, width=85, height=48, seed=5)
RECIPE = NanoRecipe(
    trainer=TrainerConfig(steps=5, checkpoint_every=1),
    pool=POOL,
    stages=(
        Stage(0.25, BatchConfig(clips=2, frames=1, parts=1, height=32)),
        Stage(1.0, BatchConfig(clips=1, frames=2, parts=2, height=48)),
    ),
    ear_steps=2,
)


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pool")
    render(folder, POOL)
    return folder


def test_the_shipped_stages_cover_the_schedule():
    shares = [stage.until for stage in STAGES]
    assert shares == sorted(shares) and shares[-1] == 1.0
    for stage in STAGES:
        assert stage.batch.frames * stage.batch.parts <= PoolConfig().frames


def test_a_run_that_was_cut_ends_as_one_that_was_not(pool, tmp_path):
    steps = []
    whole = train_nano(tmp_path / "a", RECIPE, pool, rank=0, report=lambda p: steps.append(p.step))
    assert steps == [1, 2, 3, 4, 5]
    checkpoint.save(whole.averaged(), tmp_path / "nano.safetensors", {"steps": "5"})
    assert checkpoint.load(tmp_path / "nano.safetensors").config == whole.model.config

    class CutError(Exception):
        pass

    def cut(progress):
        if progress.step == 3:
            raise CutError

    with pytest.raises(CutError):
        train_nano(tmp_path / "b", RECIPE, pool, rank=0, report=cut)
    again = train_nano(tmp_path / "b", RECIPE, pool, rank=0, report=lambda _: None)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name


# Each ablation trains: a step through the memory rules with a finite loss, and a file to load.
@pytest.mark.parametrize(
    "changes",
    [
        {"sinks": 0, "pin_first": 1, "window": 3},
        {"slot_start": "learned", "fusion": "dense"},
        {"audio": "none"},
    ],
)
def test_an_ablation_trains_as_the_whole_does(pool, tmp_path, changes):
    network = replace(RECIPE.network, **changes)
    recipe = replace(RECIPE, network=network, trainer=replace(RECIPE.trainer, steps=2))
    seen = []
    trainer = train_nano(tmp_path, recipe, pool, rank=0, report=seen.append)
    assert [progress.step for progress in seen] == [1, 2]
    checkpoint.save(trainer.averaged(), tmp_path / "nano.safetensors")
    assert checkpoint.load(tmp_path / "nano.safetensors").config == network
    with pytest.raises(CheckpointError, match=r"is of a network whose .* go on with the same one"):
        train_nano(tmp_path, RECIPE, pool, rank=0, report=seen.append)
