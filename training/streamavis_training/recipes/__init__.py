"""How networks are trained: a recipe is a frozen dataclass with its phases, found by name."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from streamavis_training.recipes.avism import (
    avism_drawn_recipe,
    avism_light_recipe,
    avism_recipe,
)
from streamavis_training.recipes.distill import (
    adopted_recipe,
    distill_recipe,
    drawn_recipe,
    light_recipe,
    preset_recipe,
)
from streamavis_training.recipes.nano import NanoRecipe, nano_gpu_recipe
from streamavis_training.recipes.nano_drawn import NanoDrawnRecipe, audio_recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamavis_training.recipes.base import Recipe

__all__ = ["RECIPES"]

# The one place where recipes are registered: `streamavis train NAME`.
RECIPES: dict[str, Callable[[], Recipe]] = {
    "nano": NanoRecipe,
    "nano_gpu": nano_gpu_recipe,
    "nano_drawn": NanoDrawnRecipe,
    "audio": audio_recipe,
    # The offline teacher, as the paper has it; small; small and on the procedural world.
    "avism": functools.partial(avism_recipe, "r50"),
    "avism_r101": functools.partial(avism_recipe, "r101"),
    "avism_swin_l": functools.partial(avism_recipe, "swin_l"),
    "avism_light": avism_light_recipe,
    "avism_drawn": avism_drawn_recipe,
    # From a teacher to a causal network: `nano`, one of the small teacher's dimensions, a preset,
    # or the teacher's own shape.
    "distill": distill_recipe,
    "distill_light": light_recipe,
    "distill_drawn": drawn_recipe,
    "distill_r50": functools.partial(preset_recipe, "r50"),
    "distill_swin_l": functools.partial(preset_recipe, "swin_l"),
    "distill_adopted": adopted_recipe,
}
