"""VGGish: examples, shapes, weights, and the PCA that only ACVIS has."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from streamavis.audio.log_mel import log_mel
from streamavis.audio.vggish import Postprocessor, VGGish, second_examples
from streamavis.checkpoint import vggish_from_reference
from streamavis.errors import CheckpointError, ShapeError

sys.path.append(str(Path(__file__).parents[1] / "model"))
from reference_weights import manifests

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


def test_names_and_shapes_are_those_of_the_public_weights():
    """An ACVIS checkpoint has torchvggish inside, under its own names."""
    theirs = {
        key.removeprefix("audio_backbone."): shape
        for key, shape, _ in manifests()["ACVIS_SAOC"]
        if key.startswith("audio_backbone.")
    }
    with torch.device("meta"):
        ours = {key: tuple(value.shape) for key, value in VGGish(pca=True).state_dict().items()}
    assert {f"pproc.{k}" if k.startswith("pca") else k: v for k, v in theirs.items()} == ours


@pytest.mark.slow
def test_the_network_is_that_of_the_paper():
    """VGG configuration A without its last group (Hershey et al., section 3.2), in NumPy."""
    rng = np.random.default_rng(0)
    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in VGGish().state_dict().items()}
    state = {
        key: rng.standard_normal(shape, np.float32)
        * np.float32(0.01 if len(shape) == 1 else math.sqrt(2 / math.prod(shape[1:])))
        for key, shape in shapes.items()
    }
    x = rng.standard_normal((1, 96, 64)).astype(np.float32)
    model = vggish_from_reference({key: torch.from_numpy(value) for key, value in state.items()})
    ours = model(torch.from_numpy(x)).numpy()
    index = 0
    for group in ((64,), (128,), (256, 256), (512, 512)):
        for _ in group:
            weight, bias = state[f"features.{index}.weight"], state[f"features.{index}.bias"]
            padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
            patches = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
            x = np.tensordot(weight, patches, ((1, 2, 3), (0, 3, 4))) + bias[:, None, None]
            x, index = np.maximum(x, 0), index + 2
        channels, height, width = x.shape
        x = x.reshape(channels, height // 2, 2, width // 2, 2).max((2, 4))
        index += 1
    flat = x.transpose(1, 2, 0).ravel()  # TensorFlow's order
    for layer in (0, 2, 4):
        weight, bias = state[f"embeddings.{layer}.weight"], state[f"embeddings.{layer}.bias"]
        flat = np.maximum(weight @ flat + bias, 0)
    assert flat.max() > 0.1
    np.testing.assert_allclose(ours[0], flat, rtol=1e-3, atol=1e-4 * flat.max())


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
