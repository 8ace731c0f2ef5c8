"""How networks are trained: a recipe is a frozen dataclass with its phases, found by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamavis_training.recipes.nano import NanoRecipe, audio_recipe
from streamavis_training.recipes.real import RealRecipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamavis_training.recipes.base import Recipe

__all__ = ["RECIPES"]

# The one place where recipes are registered: `streamavis train NAME`.
RECIPES: dict[str, Callable[[], Recipe]] = {
    "nano": NanoRecipe,
    "audio": audio_recipe,
    "real": RealRecipe,
}
