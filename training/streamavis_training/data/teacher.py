"""What AVISM is trained on, as the paper has it: AVISeg's videos and some of COCO's pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from streamavis.errors import InputError
from streamavis_training.data.vggish import read_features

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np

    from streamavis_training.data.pictures import PictureSource
    from streamavis_training.data.sample import ClipShape, Sample
    from streamavis_training.data.sampling import ClipSampler, SamplingConfig

__all__ = ["SampledSource"]

_ASPECT = 4 / 3  # of the clips that are made of pictures: most of COCO's have it


class SampledSource:
    """Clips whose size varies as the published code varies it; a batch holds one of them."""

    def __init__(
        self,
        sampler: ClipSampler,
        sampling: SamplingConfig,
        *,
        features: Mapping[Path, Path] | None = None,
        pictures: PictureSource | None = None,
        share: float = 0.0,
    ) -> None:
        """Put them together.

        Args:
            sampler: of the videos; sampling: its configuration.
            features: file of ready audio features by sound file. None: clips hold sound.
            pictures: of the same classes, to make clips without sound from.
            share: of the clips that are made from pictures.

        Raises:
            InputError: the classes differ, or clips with several frames at one time are wanted
                with sound.
        """
        if pictures is not None and pictures.classes != sampler.classes:
            raise InputError("the videos and the pictures must be read with the same classes")
        self._sampler, self._sampling, self._features = sampler, sampling, features
        self._pictures, self._share = pictures, share if pictures is not None else 0.0

    @property
    def classes(self) -> tuple[str, ...]:
        return self._sampler.classes

    def draw(self, shape: ClipShape, rng: np.random.Generator) -> Sample:
        """Draw a clip. Of `shape` only the rates count, for clips that are made from pictures.

        Raises:
            InputError: a file does not decode or an annotation is malformed.
        """
        s = self._sampling
        if self._pictures is not None and rng.random() < self._share:
            height = int(rng.choice(s.short_sides))
            width = min(round(height * _ASPECT), s.long_side)
            shape = replace(shape, frames=s.frames, height=height, width=width)
            return self._pictures.draw(shape, rng)
        drawn = self._sampler.draw(rng)
        if self._features is None or drawn.video.wav is None:
            return drawn.sample
        rows = read_features(self._features[drawn.video.wav], drawn.frames)
        return replace(drawn.sample, features=rows)
