"""Masks as polygons and as one picture."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamavis.recordings.outline import label_png, outlines


def filled(loops, size) -> np.ndarray:
    """The mask whose borders are these loops: even-odd rule, one ray for each pixel."""
    width = size[1]
    mask = np.zeros(size, bool)
    for loop in loops:
        for (x0, y0), (x1, y1) in zip(loop, [*loop[1:], loop[0]], strict=True):
            assert (x0 == x1) != (y0 == y1), "sides are straight and have a length"
            if x0 == x1:
                mask[min(y0, y1) : max(y0, y1), x0:width] ^= True
    return mask


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_outlines_are_exactly_the_mask(height, width, seed, share):
    mask = np.random.default_rng(seed).random((height, width)) < share
    loops = outlines(mask)
    assert np.array_equal(filled(loops, mask.shape), mask)
    corners = [corner for loop in loops for corner in loop]
    assert all(0 <= x <= width and 0 <= y <= height for x, y in corners)


def test_a_box_has_four_corners_and_a_hole_goes_the_other_way():
    mask = np.zeros((6, 8), bool)
    mask[1:5, 2:7] = True
    assert outlines(mask) == [[(2, 1), (7, 1), (7, 5), (2, 5)]]
    mask[2, 3] = False
    piece, hole = outlines(mask)
    assert len(piece) == len(hole) == 4
    assert area(piece) == 20
    assert area(hole) == -1


def area(loop) -> float:
    around = zip(loop, [*loop[1:], loop[0]], strict=True)
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in around) / 2


def test_a_mask_of_noise_is_traced_coarsely():
    mask = np.random.default_rng(0).random((400, 500)) < 0.5
    loops = outlines(mask)
    assert 0 < sum(map(len, loops)) <= 1_000
    assert max(x for loop in loops for x, _ in loop) <= 500


@pytest.mark.parametrize("size", [(1, 1), (6, 8), (33, 17)])
def test_a_png_has_each_mask_in_its_colour(size):
    rng = np.random.default_rng(1)
    masks = [rng.random(size) < 0.4 for _ in range(3)]
    colours = [(255, 0, 1), (2, 254, 3), (4, 5, 253)]
    shown = unpacked_png(label_png(masks, colours, size))
    expected = np.zeros((*size, 3), np.uint8)
    for mask, colour in zip(masks, colours, strict=True):
        expected[mask] = colour
    assert np.array_equal(shown, expected)
    assert not unpacked_png(label_png([], [], size)).any()


def unpacked_png(data: bytes) -> np.ndarray:
    """Decode it by hand: OpenCV would do, but the reader here has no engine."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    parts, at = {}, 8
    while at < len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        parts[kind] = data[at + 8 : at + 8 + length]
        crc = data[at + 8 + length : at + 12 + length]
        assert int.from_bytes(crc, "big") == zlib.crc32(kind + parts[kind])
        at += 12 + length
    width, height = (int.from_bytes(parts[b"IHDR"][i : i + 4], "big") for i in (0, 4))
    palette = np.frombuffer(parts[b"PLTE"], np.uint8).reshape(-1, 3)
    rows = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not rows[:, 0].any()
    return palette[rows[:, 1:]]
