"""AVISM computed the way the published code computes it, to compare speed with.

Sampling by `grid_sample`, norms apart from convolutions, attention masks computed at stride 4 and
then resized, one copy of the audio token per query, long chunks, masks of all candidates resized
by PyTorch. The results are those of `AVISM`, to rounding.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from streamavis_kernels.sampling import reference
from torch import nn

from streamavis.masks import encode
from streamavis.model.localizer import Localizer
from streamavis.model.pixel_decoder import DeformableLayer
from streamavis.model.resnet import FoldedConv
from streamavis.model.segmentation import Candidates, Pace, Segmenter
from streamavis.model.window_encoder import WindowedObjectEncoder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from streamavis.model.avism import AVISM
    from streamavis.model.pixel_decoder import PixelFeatures
    from streamavis.model.segmentation import Sizes
    from streamavis.types import Rle

__all__ = ["PublishedSegmenter", "as_published"]

_PACE = Pace(chunk=18, frames=5, masks=100)


def as_published(model: AVISM) -> AVISM:
    """The same weights in a network that computes as the published code does.

    Args:
        model: not changed; its weights are shared.
    """
    shared = {id(x): x for x in (*model.parameters(), *model.buffers())}
    twin = copy.deepcopy(model, shared)
    for part in twin.modules():
        part.__class__ = _WAYS.get(type(part), type(part))
    return twin


class _SeparateNorm(FoldedConv):
    """Convolution, then its frozen norm."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.Sequential.forward(self, x)


class _GridSampling(DeformableLayer):
    """Deformable attention by `grid_sample`."""

    def sample(
        self,
        value: Tensor,
        level_shapes: tuple[tuple[int, int], ...],
        projections: Tensor,
        references: Tensor,
    ) -> Tensor:
        return reference.audio_deform_attn(value, level_shapes, projections, references)


class _WholeMasks(Localizer):
    """Attention masks at stride 4, resized after they are computed."""

    def mask_maps(self, features: PixelFeatures) -> list[Tensor]:
        return [features.mask_features.detach()] * len(features.level_shapes)


class _AudioCopies(WindowedObjectEncoder):
    """As many equal audio tokens as frame queries."""

    def audio_tokens(self, projected: Tensor, object_tokens: Tensor) -> Tensor:
        return projected[:, :, None].expand(-1, -1, object_tokens.shape[2], -1)


_WAYS: dict[type[nn.Module], type[nn.Module]] = {
    FoldedConv: _SeparateNorm,
    DeformableLayer: _GridSampling,
    Localizer: _WholeMasks,
    WindowedObjectEncoder: _AudioCopies,
}


class PublishedSegmenter(Segmenter):
    """All candidates have their masks computed, those of low class probability too."""

    def pace(self, device: torch.device) -> Pace:
        return _PACE

    def candidates(self, class_logits: Tensor) -> tuple[Candidates, NDArray[np.int64]]:
        found = Candidates.of(class_logits, -math.inf, self.top)
        return found, found.queries

    def encode(self, logits: Tensor, sizes: Sizes) -> list[list[Rle]]:
        if sizes.source != sizes.network:
            logits = F.interpolate(logits, sizes.source, mode="bilinear", align_corners=False)
        return [[encode(mask) for mask in frames] for frames in (logits > 0).cpu().numpy()]
