"""Published VGGish weights into ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from streamavis.audio.vggish import VGGish
from streamavis.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["holds_vggish", "vggish_from_reference"]

_PREFIX = "audio_backbone."  # in an ACVIS checkpoint
_PCA = ("pca_eigen_vectors", "pca_means")


def holds_vggish(state_dict: Mapping[str, Tensor]) -> bool:
    """True for a checkpoint of ACVIS, which has VGGish beside the rest."""
    return any(key.startswith(_PREFIX) for key in state_dict)


def vggish_from_reference(state_dict: Mapping[str, Tensor]) -> VGGish:
    """Load VGGish from its public PyTorch weights or out of an ACVIS checkpoint.

    With PCA weights among them (`pca_eigen_vectors`, `pca_means`, with or without `pproc.`) the
    network ends in the PCA, as ACVIS's does; without, in the ReLU, as AVISM's features do.

    Raises:
        CheckpointError: a weight is missing or has the wrong shape; names the first.
    """
    inside = holds_vggish(state_dict)
    weights = {
        key.removeprefix(_PREFIX): value
        for key, value in state_dict.items()
        if not inside or key.startswith(_PREFIX)
    }
    weights = {f"pproc.{k}" if k in _PCA else k: v for k, v in weights.items()}
    with torch.device("meta"):
        model = VGGish(pca="pproc.pca_means" in weights)
    for key, expected in model.state_dict().items():
        if key not in weights:
            raise CheckpointError(f"not the weights of VGGish: {key} is missing")
        if key == "pproc.pca_means":
            weights[key] = weights[key].reshape(-1, 1)
        if weights[key].shape != expected.shape:
            found, wanted = tuple(weights[key].shape), tuple(expected.shape)
            raise CheckpointError(f"{key} has shape {found}, expected {wanted}")
    model.load_state_dict({key: weights[key] for key in model.state_dict()}, assign=True)
    return model.eval().requires_grad_(False)
