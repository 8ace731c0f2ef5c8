"""Several sources as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streamavis.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamavis_training.data.sample import ClipShape, Sample, Source

__all__ = ["Mix"]


class Mix:
    """A source that draws each clip from one of several, by weight."""

    def __init__(self, sources: Sequence[tuple[Source, float]]) -> None:
        """Mix `(source, weight)` pairs; weights need not add up to 1, a weight of 0 is never drawn.

        Raises:
            InputError: the classes differ, there is no source, or a weight is negative.
        """
        if not sources:
            raise InputError("a mix needs at least one source of clips; none is given")
        weights = np.array([weight for _, weight in sources], float)
        if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0):
            raise InputError(
                f"the weights of a mix are {weights.tolist()}; each must be >= 0 and one above 0"
            )
        self._sources = [source for source, _ in sources]
        self._shares = weights / weights.sum()
        self._classes = self._sources[0].classes
        for source in self._sources[1:]:
            if source.classes != self._classes:
                raise InputError(
                    f"sources of a mix have different classes: {', '.join(self._classes)} and"
                    f" {', '.join(source.classes)}; read every data set with the same classes"
                )

    @property
    def classes(self) -> tuple[str, ...]:
        return self._classes

    def draw(self, shape: ClipShape, rng: np.random.Generator) -> Sample:
        """Draw a clip of one of the sources."""
        chosen = int(rng.choice(len(self._sources), p=self._shares))
        return self._sources[chosen].draw(shape, rng)
