"""Run lengths: whatever passes is exactly one mask; nothing else reaches pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_samples import rles

from streamavis import masks
from streamavis.errors import SchemaError
from streamavis.types import Rle
from streamavis.wire import check_rle


def _runs(counts: str) -> list[int]:
    """Decode run lengths one character at a time, as COCO's C code does."""
    runs: list[int] = []
    place = 0
    while place < len(counts):
        value, shift, more = 0, 0, True
        while more:
            char = ord(counts[place]) - 48
            value |= (char & 31) << shift
            more, place, shift = bool(char & 32), place + 1, shift + 5
        if char & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
    return runs


@settings(max_examples=100, deadline=None)
@given(rles())
def test_every_encoded_mask_passes(rle):
    check_rle(rle)


def test_the_largest_masks_pass():
    for mask in (np.zeros((4_000, 4_000), dtype=bool), np.ones((1, 16_384), dtype=bool)):
        check_rle(masks.encode(mask))
    check_rle(Rle((16_384, 16_384), "PPPPP8"))


@settings(max_examples=300, deadline=None)
@given(
    st.text(st.characters(min_codepoint=44, max_codepoint=116), max_size=14),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
def test_what_passes_is_one_mask(counts, size):
    try:
        check_rle(Rle(size, counts))
    except SchemaError:
        return
    runs = _runs(counts)
    assert min(runs) >= 0
    assert sum(runs) == size[0] * size[1]
    assert masks.decode(Rle(size, counts)).sum() == sum(runs[1::2])


@settings(max_examples=200, deadline=None)
@given(rles(), st.data())
def test_a_change_that_keeps_no_mask_is_refused(rle, data):
    place = data.draw(st.integers(0, len(rle.counts) - 1))
    char = chr(data.draw(st.integers(48, 111)))
    counts = rle.counts[:place] + char + rle.counts[place + 1 :]
    try:
        runs = _runs(counts)
        good = min(runs) >= 0 and sum(runs) == rle.size[0] * rle.size[1]
    except IndexError:
        good = False
    if good:
        check_rle(Rle(rle.size, counts))
    else:
        with pytest.raises(SchemaError):
            check_rle(Rle(rle.size, counts))


@pytest.mark.parametrize(
    ("size", "counts"),
    [
        ((6, 8), ""),
        ((6, 8), "0"),
        ((6, 8), "`"),  # cut short: pycocotools would read on
        ((6, 8), "`1`"),
        ((6, 8), "`1\0"),
        ((6, 8), "`1 "),
        ((6, 8), "`1\N{DEGREE SIGN}"),
        ((6, 8), "a1"),  # one pixel more than the mask has
        ((6, 8), "_1"),
        ((6, 8), "O`10"),  # negative run
        ((6, 8), "PPPPPPPPPPPPP1"),  # a run of more than 30 bits
        ((0, 8), "0"),
        ((-6, -8), "`1"),
        ((16_385, 1), "0"),
    ],
)
def test_corrupt_run_lengths_are_refused(size, counts):
    check_rle(Rle((6, 8), "`1"))
    with pytest.raises(SchemaError):
        check_rle(Rle(size, counts))
