"""Train a network from Python; `streamavis train` does the same with progress bars and resume.

    python examples/train_your_own.py runs/mine

The recipe is `nano` on the procedural world, which needs no data. `real`, `avism_light` and
`distill` take a data set: docs/TRAINING.md.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from streamavis_training.recipes.nano_drawn import NanoDrawnRecipe
from streamavis_training.trainer import Progress, Trainer

import streamavis as sa


def tell(step: Progress) -> None:
    """Say how far it is."""
    print(f"step {step.step}, loss {step.loss:.2f}")


def train(recipe: NanoDrawnRecipe, folder: Path) -> sa.StreamAVIS:
    """Train every phase of a recipe and load what came of it."""
    recipe.prepare(folder, 1, lambda what, done, total: None)
    for phase in recipe.phases(folder):
        trainer = Trainer(phase.task(), phase.folder, phase.trainer, notes=recipe.notes())
        trainer.run(tell, lambda: False)
    return sa.load(folder / "nano.safetensors")


def short(steps: int) -> NanoDrawnRecipe:
    """The recipe with fewer steps and clips than it takes to learn much."""
    recipe = NanoDrawnRecipe()
    return replace(
        recipe,
        trainer=replace(recipe.trainer, steps=steps, device="auto"),
        pool=replace(recipe.pool, clips=40),
    )


if __name__ == "__main__":
    model = train(short(steps=200), Path(sys.argv[1]))
    print("knows", ", ".join(model.config.classes))
