"""Run lengths to boxes, against COCO's own decoder."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamavis.masks import encode
from streamavis.types import Rle
from streamavis.viz.patch import patch


@given(
    st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 60), st.sampled_from([0.05, 0.5, 1])
)
def test_a_patch_is_the_mask_cut_to_its_box(seed, height, width, density):
    mask = np.random.default_rng(seed).random((height, width)) < density
    cut = patch(encode(mask))
    if not mask.any():
        assert cut is None
        return
    rebuilt = np.zeros_like(mask)
    h, w = cut.mask.shape
    rebuilt[cut.y : cut.y + h, cut.x : cut.x + w] = cut.mask
    assert np.array_equal(rebuilt, mask)
    assert cut.mask.any(0)[[0, -1]].all()
    assert cut.mask.flags.c_contiguous


@pytest.mark.parametrize("x", [0, 300])
def test_long_runs_take_several_characters(x):
    mask = np.zeros((700, 400), np.bool_)
    mask[:, x : x + 90] = True
    mask[100:600, 20] ^= True
    cut = patch(encode(mask))
    ys, xs = np.nonzero(mask)
    assert (cut.x, cut.y) == (xs.min(), ys.min())
    assert cut.mask.sum() == mask.sum()
    assert np.array_equal(cut.mask, mask[: ys.max() + 1, xs.min() : xs.max() + 1])


def test_an_empty_mask_has_no_patch():
    assert patch(encode(np.zeros((4, 5), np.bool_))) is None
    assert patch(Rle((4, 5), "d0")) is None
