"""The recipe of `nano_drawn`, end to end on a handful of tiny clips."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from streamavis_training.pool import BatchConfig, PoolConfig
from streamavis_training.recipes import RECIPES
from streamavis_training.recipes.nano_drawn import STAGES, NanoDrawnRecipe, WorldStage, audio_recipe
from streamavis_training.schedule import TrainerConfig
from streamavis_training.trainer import Trainer

from streamavis import checkpoint
from streamavis.errors import CheckpointError

RECIPE = NanoDrawnRecipe(
    trainer=TrainerConfig(steps=5, checkpoint_every=1),
    pool=PoolConfig(clips=4, frames=4, width=85, height=48, seed=5),
    stages=(
        WorldStage(0.25, BatchConfig(clips=2, frames=1, parts=1, height=32)),
        WorldStage(1.0, BatchConfig(clips=1, frames=2, parts=2, height=48)),
    ),
    audio=TrainerConfig(steps=2),
    sounds=4,
)


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pool")
    RECIPE.prepare(folder, 1, lambda *_: None)
    return folder / "pool"


def train(recipe: NanoDrawnRecipe, folder, pool, report=lambda _: None) -> Trainer:
    """Every phase; the last one's trainer."""
    folder.mkdir(exist_ok=True)
    if not (folder / "pool").exists():
        (folder / "pool").symlink_to(pool)
    for phase in recipe.phases(folder):
        trainer = Trainer(phase.task(), phase.folder, phase.trainer)
        trainer.run(report)
    return trainer


def test_the_shipped_stages_cover_the_schedule():
    shares = [stage.until for stage in STAGES]
    assert shares == sorted(shares) and shares[-1] == 1.0
    for stage in STAGES:
        assert stage.batch.frames * stage.batch.parts <= PoolConfig().frames


def test_every_recipe_has_its_phases(tmp_path):
    titles = {name: [p.title for p in make().phases(tmp_path)] for name, make in RECIPES.items()}
    assert titles["nano_drawn"] == ["audio encoder", "training"]
    assert titles["audio"] == ["audio encoder"]
    assert all(make().phases(tmp_path)[-1].folder == tmp_path for make in RECIPES.values())


def test_a_run_that_was_cut_ends_as_one_that_was_not(pool, tmp_path):
    steps = []
    whole = train(RECIPE, tmp_path / "a", pool, lambda p: steps.append(p.step))
    assert steps == [1, 2, 1, 2, 3, 4, 5]
    assert checkpoint.load(tmp_path / "a/nano.safetensors").config == RECIPE.network

    class CutError(Exception):
        pass

    def cut(progress):
        if progress.step == 4:
            raise CutError

    with pytest.raises(CutError):
        train(RECIPE, tmp_path / "b", pool, cut)
    again = train(RECIPE, tmp_path / "b", pool)
    for name, value in whole.task.network.state_dict().items():
        assert torch.equal(value, again.task.network.state_dict()[name]), name


def test_the_network_starts_with_the_trained_audio_encoder(pool, tmp_path):
    recipe = replace(RECIPE, trainer=replace(RECIPE.trainer, steps=1, rate=0.0))
    trained = train(recipe, tmp_path, pool)
    alone = train(replace(recipe, pictures=False), tmp_path / "alone", pool)
    for name, value in alone.averaged().state_dict().items():
        if "running" not in name and "num_batches" not in name:
            assert torch.equal(trained.task.network.audio_encoder.state_dict()[name], value), name
    untrained = audio_recipe()._network().audio_encoder.state_dict()
    assert any(not torch.equal(x, untrained[n]) for n, x in alone.averaged().state_dict().items())


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
    trainer = replace(RECIPE.trainer, steps=2)
    recipe = replace(RECIPE, network=network, trainer=trainer, audio=None)
    seen = []
    train(recipe, tmp_path, pool, seen.append)
    assert [progress.step for progress in seen] == [1, 2]
    assert checkpoint.load(tmp_path / "nano.safetensors").config == network
    with pytest.raises(CheckpointError, match=r"is of a network whose .* go on with the same one"):
        train(replace(RECIPE, audio=None), tmp_path, pool)
