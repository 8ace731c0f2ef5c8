"""COCO's run lengths as pycocotools reads them, and what it must never be given."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_cases import rectangle, rle, uncompressed
from pycocotools import mask as coco

from streamavis.metrics.data import MaskTrack
from streamavis.metrics.runs import MaskError, areas, content_key, run_lengths

pictures = st.integers(1, 9).flatmap(
    lambda width: st.lists(
        st.lists(st.integers(0, 1), min_size=width, max_size=width), min_size=1, max_size=9
    )
)


def counts(mask):
    return rle(mask)["counts"].encode()


@settings(max_examples=25, deadline=None)
@given(st.lists(pictures, min_size=1, max_size=4))
def test_areas_and_runs_are_those_of_the_masks(found):
    for one in found:
        mask = np.array(one, np.uint8)
        assert areas([counts(mask)] * 3, mask.size).tolist() == [mask.sum()] * 3
        assert run_lengths(counts(mask)) == uncompressed(mask)[0]["counts"]


def test_many_sizes_at_once_and_long_runs():
    masks = [rectangle(x, 3, 700, 350, (720, 1280)) for x in (0, 100, 580)]
    assert areas([counts(mask) for mask in masks], 921_600).tolist() == [700 * 350] * 3


def test_runs_of_no_length_inside_are_left_out():
    odd = coco.frPyObjects({"size": [2, 4], "counts": [0, 0, 2, 3, 0, 1, 2, 0]}, 2, 4)["counts"]
    assert run_lengths(odd) == [2, 4, 2]


@pytest.mark.parametrize("bad", [b"", b"P", b"a b", b"\xff0", b"PPPPPPPP0", b"P`00", b"2O4"])
def test_what_is_malformed_is_refused(bad):
    good = counts(rectangle(0, 0, 4, 4))
    with pytest.raises(MaskError) as caught:
        areas([good, good, bad, good], 24 * 32)
    assert caught.value.index == 2


masks = st.builds(
    rectangle, st.integers(0, 30), st.integers(0, 22), st.integers(0, 32), st.integers(0, 24)
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.none() | masks, min_size=2, max_size=2), max_size=5))
def test_content_orders_by_frames_then_runs(found):
    """A mask without a pixel is no mask."""

    def made(pair):
        sizes = np.array([-1 if mask is None else int(mask.sum()) for mask in pair])
        return MaskTrack(0, 1, [None if mask is None else counts(mask) for mask in pair], sizes)

    def content(place):
        return [[] if m is None or not m.any() else run_lengths(counts(m)) for m in found[place]]

    key = content_key([made(pair) for pair in found])
    assert sorted(range(len(found)), key=key) == sorted(range(len(found)), key=content)
