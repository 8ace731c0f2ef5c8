"""VGGish: examples, shapes, weights, and the PCA that only ACVIS has."""

from __future__ import annotations

import math

import pytest
import torch

from streamavis.audio.log_mel import log_mel
from streamavis.audio.vggish import Postprocessor, VGGish, second_examples
from streamavis.checkpoint import vggish_from_reference
from streamavis.errors import CheckpointError, ShapeError

RATE = 16_000


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    """As light as 72 M weights can be: one number, seen everywhere."""
    torch.manual_seed(0)
    with torch.device("meta"):
        shapes = VGGish().state_dict()
    return {
        key: torch.full((1,) * len(value.shape), 1 / math.sqrt(value[0].numel())).expand(
            value.shape
        )
        for key, value in shapes.items()
    }


def noise(seconds: float, seed: int = 0) -> torch.Tensor:
    return torch.rand(int(seconds * RATE), generator=torch.Generator().manual_seed(seed)) - 0.5


def test_an_example_is_the_first_96_spectra_of_its_second():
    sound = noise(3)
    examples, whole = second_examples(sound, 3)
    assert whole.all()
    assert torch.equal(examples[1], log_mel(sound[RATE : 2 * RATE])[:96])


@pytest.mark.parametrize(("length", "whole"), [(2.0, 2), (2.97, 2), (2.975, 3), (0.5, 0)])
def test_seconds_that_are_not_whole_are_zeros(length, whole):
    examples, there = second_examples(noise(length), 4)
    assert there.tolist() == [i < whole for i in range(4)]
    assert not examples[whole:].any()


def test_a_second_does_not_hear_the_next():
    sound = noise(3)
    changed = torch.cat([sound[:RATE], noise(2, 1)])
    assert torch.equal(second_examples(sound, 3)[0][0], second_examples(changed, 3)[0][0])


def test_features_are_in_tensorflows_order(weights):
    """One weight of the first linear layer meets the channel-last position it was trained for."""
    model = vggish_from_reference(weights)
    seen = []
    handle = model.embeddings[0].register_forward_hook(
        lambda m, inputs, out: seen.append(inputs[0])
    )
    maps = []
    model.features.register_forward_hook(lambda m, inputs, out: maps.append(out))
    features = model(second_examples(noise(1), 1)[0])
    handle.remove()
    assert features.shape == (1, 128)
    assert (features >= 0).all()
    assert torch.equal(seen[0][0, 512 * 5 + 7], maps[0][0, 7, 1, 1])


def test_weights_load_alone_or_from_acvis_with_pca(weights):
    assert vggish_from_reference(weights).pproc is None
    pca = {"pca_eigen_vectors": torch.eye(128), "pca_means": torch.zeros(128)}
    inside = {f"audio_backbone.{k}": v for k, v in weights.items()}
    inside |= {f"audio_backbone.pproc.{k}": v for k, v in pca.items()}
    model = vggish_from_reference(inside | {"avism_module.other": torch.zeros(1)})
    assert model.pproc is not None
    assert vggish_from_reference(weights | pca).pproc is not None


@pytest.mark.parametrize("key", ["features.3.weight", "embeddings.4.bias"])
def test_the_first_wrong_weight_is_named(weights, key):
    with pytest.raises(CheckpointError, match=f"{key} is missing"):
        vggish_from_reference({k: v for k, v in weights.items() if k != key})
    with pytest.raises(CheckpointError, match=f"{key} has shape"):
        vggish_from_reference(weights | {key: torch.zeros(3)})


def test_the_pca_turns_clips_and_rounds():
    post = Postprocessor()
    post.pca_means[:] = 1
    post.pca_eigen_vectors[0] = 0
    post.pca_eigen_vectors[0, 1] = -1
    features = torch.ones(1, 128)
    features[0, 1:3] = torch.tensor([0.5, 9.0])
    out = post(features)
    assert out[0, 0] == round((0.5 + 2) * 255 / 4)
    assert out[0, 2] == 255
    assert out[0, 3] == 128  # 127.5, to the even number


def test_wrong_examples_are_named():
    with torch.device("meta"):
        model = VGGish()
    with pytest.raises(ShapeError, match=r"\(N, 96, 64\)"):
        model(torch.zeros(2, 64, 96))
