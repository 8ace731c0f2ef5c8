"""The operators inside torch.compile: one graph, the same numbers."""

import subprocess
import sys

import pytest
import streamavis_kernels as kernels
import torch
from runners import close, needs_compiler
from sampling_inputs import F32, audio_inputs, plain_inputs

SHAPES = ((4, 3), (1, 1))
# `aot_eager` runs all of compilation but the code generator, which would take a minute.
COMPILED = {"backend": "aot_eager", "fullgraph": True}

pytestmark = needs_compiler


@pytest.fixture(autouse=True)
def fresh():
    torch.compiler.reset()


@pytest.mark.parametrize("name", ["deform_attn", "audio_deform_attn"])
def test_sampling_and_its_gradients(name):
    make = plain_inputs if name == "deform_attn" else audio_inputs
    inputs = make(2, 5, 2, 4, 2, SHAPES, F32)

    def loss(value, *rest):
        return (getattr(kernels, name)(value * 2, SHAPES, *rest) + 1).relu().square().sum()

    expected = torch.autograd.grad(loss(*inputs), inputs)
    found = torch.autograd.grad(torch.compile(loss, **COMPILED)(*inputs), inputs)
    for one, other in zip(found, expected, strict=True):
        close(one, other, 1e-6)


def test_importing_the_kernels_does_not_load_the_compiler():
    script = "import sys, torch, streamavis_kernels; print('torch._dynamo' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "False"


def test_frames_in():
    def prepared(frames):
        same = {"mean": (1.0, 2.0, 3.0), "std": (4.0, 5.0, 6.0), "channels_last": True}
        return kernels.frame_prep(frames, (5, 7), padded=(8, 8), **same) + 1

    frames = torch.randint(256, (2, 10, 14, 3), dtype=torch.uint8)
    found = torch.compile(prepared, **COMPILED)(frames)
    assert torch.equal(found, prepared(frames))


def test_masks_out():
    def drawn(logits, kept, scores):
        post = kernels.mask_post(logits * 2, kept, (3.5, 5.0), (13, 21), capacity=32)
        return (
            post.stats[:, 0],
            post.bitmaps,
            kernels.mask_ids(logits, kept, scores, (4, 5), (8, 9)),
        )

    inputs = torch.randn(4, 4, 5), torch.tensor([2, 0]), torch.rand(2)
    found = torch.compile(drawn, **COMPILED)(*inputs)
    for one, other in zip(found, drawn(*inputs), strict=True):
        assert torch.equal(one, other)
