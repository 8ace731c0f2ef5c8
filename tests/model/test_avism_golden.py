"""Stages of AVISM against numbers of the reference code; `make parity` compares all of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from reference_weights import DATA, full_state, tensor, weight

from streamavis.checkpoint import avism_from_reference
from streamavis.model.avism import AVISM
from streamavis.model.pixel_decoder import PixelFeatures
from streamavis.model.swin import Swin, SwinConfig

TOLERANCE = 1e-4  # of the largest value


@pytest.fixture(scope="module")
def model() -> AVISM:
    parts = ("sem_seg_head.", "avism_module.")
    return avism_from_reference(full_state("R50_IN", parts))


@pytest.fixture(scope="module")
def golden():
    with np.load(DATA / "golden.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def assert_same(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert found.shape == expected.shape
    assert float((found - expected).abs().max()) <= TOLERANCE * float(expected.abs().max())


def test_pixel_decoder(model, golden):
    shapes = {"res2": (256, 24, 40), "res3": (512, 12, 20), "res4": (1024, 6, 10)}
    pyramid = [tensor(f"iso.{k}", (2, *v)).relu() for k, v in shapes.items()]
    pyramid.append(tensor("iso.res5", (2, 2048, 3, 5)).relu())
    features = model.pixel_decoder(pyramid)
    coarse = features.level(0).transpose(1, 2).unflatten(2, (3, 5))
    assert_same(coarse, golden["pixel.multi_scale.0"])
    expected = golden["pixel.mask_features"]
    every = int(golden["pixel.mask_features.every"])
    assert_same(features.mask_features.flatten()[::every][: len(expected)], expected)


def test_localizer(model, golden):
    sizes = ((3, 5), (6, 10), (12, 20))
    maps = [tensor(f"iso.ms{i}", (2, 256, *size)) for i, size in enumerate(sizes)]
    tokens = torch.cat([m.flatten(2).transpose(1, 2) for m in maps], 1)
    masks = tensor("iso.mf", (2, 256, 24, 40), 0.7)
    features = PixelFeatures(tokens, sizes, maps[-1], masks, masks)
    found = model.localizer(features, tensor("iso.audio", (2, 128), 0.8).relu(), keep=10)
    assert_same(found.queries[0][:, ::10], golden["decoder.fused"])
    assert_same(found.predictions[-1].class_logits, golden["decoder.class_logits"])


@pytest.mark.parametrize("frames", [1, 7, 13])
def test_tracker(model, golden, frames):
    queries = tensor(f"iso.trk.fq.T{frames}", (1, frames, 100, 256))
    audio = tensor(f"iso.trk.audio.T{frames}", (frames, 128), 0.8).relu()
    heard = []
    layer = model.object_encoder.audio_layers[-1]
    handle = layer.register_forward_hook(lambda module, inputs, out: heard.append(out[0, :, 0]))
    video = model.track(queries, audio[None])
    handle.remove()
    assert_same(heard[0], golden[f"tracker.T{frames}.vlavfm"])
    assert_same(model.read(video).class_logits[0], golden[f"tracker.T{frames}.class_logits"])


def test_swin(golden):
    swin = Swin(SwinConfig(48, (2, 2, 4, 2), (2, 4, 8, 16))).eval().requires_grad_(False)
    for name, value in swin.state_dict().items():
        value.copy_(weight(f"backbone.{name}", tuple(value.shape)))
    *_, res4, res5 = swin(tensor("iso.swin.96x160", (1, 3, 96, 160)))
    assert_same(res4, golden["swin.res4"])
    assert_same(res5, golden["swin.res5"])
