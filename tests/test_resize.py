"""Resizing against a triangle filter written out in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from streamavis.errors import ShapeError
from streamavis.resize import MAX_ASPECT, network_size, prepare


def triangle(size: int, out: int) -> np.ndarray:
    """(out, size) rows of an antialiased bilinear filter, as PIL defines it."""
    scale = size / out
    support = max(scale, 1.0)
    centres = (np.arange(out) + 0.5) * scale
    distance = np.abs(np.arange(size)[None] + 0.5 - centres[:, None]) / support
    weights = np.maximum(1 - distance, 0)
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize(
    ("height", "width", "short_side"), [(180, 320, 48), (97, 61, 40), (30, 50, 48), (256, 64, 32)]
)
def test_resizing_is_antialiased_bilinear_to_one_grey_level(height, width, short_side):
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    frames = prepare(image, short_side)
    h, w = network_size(height, width, short_side)
    expected = triangle(height, h) @ image.transpose(2, 0, 1) @ triangle(width, w).T
    assert frames.shape == (1, 3, h, w)
    assert frames.dtype == torch.uint8
    assert np.abs(frames[0].numpy() - expected).max() <= 1.0


def test_a_picture_of_network_size_is_passed_on():
    image = np.random.default_rng(0).integers(0, 256, (48, 80, 3), np.uint8)
    assert np.array_equal(prepare(image, 48)[0].permute(1, 2, 0).numpy(), image)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((720, 1280), (192, 341)),
        ((1280, 720), (341, 192)),
        ((192, 192), (192, 192)),
        ((100, 1000), (46, 461)),  # MAX_ASPECT * 192 = 460.8
        ((1, 1), (192, 192)),
        ((1, 5000), (1, 461)),
    ],
)
def test_network_size(size, expected):
    assert MAX_ASPECT == 2.4
    assert network_size(*size, short_side=192) == expected


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 0, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
    ],
)
def test_anything_else_is_refused(image):
    with pytest.raises(ShapeError, match="uint8 picture"):
        prepare(image, 32)
