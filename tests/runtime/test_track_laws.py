"""Where one object ends, who makes room, who chooses whom and what dip is held: by definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from track_scenes import Thing, by_slot, see

from streamavis.runtime import tracks
from streamavis.runtime.tracks import TrackBook, TrackConfig

rectangles = st.tuples(*[st.integers(0, 4)] * 2, *[st.integers(1, 4)] * 2)


@given(one=rectangles, other=rectangles)
@example(one=(0, 0, 1, 2), other=(0, 0, 1, 1))  # half of both is the limit
@example(one=(0, 0, 4, 4), other=(1, 1, 1, 1))  # a bell in a hand
def test_two_slots_show_one_object_where_half_of_both_is_common(one, other):
    cells = []
    seen = see(Thing(slot=0, look=1), Thing(slot=1, look=2))
    for slot, (row, column, height, width) in enumerate((one, other)):
        seen.masks[slot] = False
        seen.masks[slot, row : row + height, column : column + width] = True
        cells.append({*map(tuple, np.argwhere(seen.masks[slot]))})
    doubled = 2 * len(cells[0] & cells[1]) >= len(cells[0] | cells[1])
    book = TrackBook()
    book.update(0.0, seen)
    assert len(book.update(0.1, seen)) == (1 if doubled else 2)


@pytest.mark.parametrize(("visible", "in_view"), [(0.49, False), (0.5, True), (0.51, True)])
def test_half_visible_is_in_view(visible, in_view):
    book = TrackBook()
    for n in range(3):
        shown = book.update(0.1 * n, see(Thing(slot=0, look=1, visible=visible)))
    assert bool(shown) is in_view


@given(seed=st.integers(0, 1000), shape=st.tuples(st.integers(1, 5), st.integers(1, 5)))
def test_slots_choose_among_rows_as_rows_choose_among_slots(seed, shape):
    draw = np.random.default_rng(seed)
    logits, pair = draw.normal(0, 3, shape).astype(np.float32), draw.random(shape) < 0.7
    both = tracks._bisoftmax(logits, pair)
    np.testing.assert_allclose(both, tracks._bisoftmax(logits.T, pair.T).T, rtol=1e-5)
    # Each row and each column of a softmax sums to 1, or to 0 where there is nobody to choose.
    choosers = pair.any(1).sum() + pair.any(0).sum()
    assert both.sum() == pytest.approx(choosers / 2, rel=1e-5)


@given(leaving=st.permutations(range(4)), newcomers=st.integers(1, 4))
def test_of_the_lost_the_longest_lost_make_room_first(leaving, newcomers):
    book = TrackBook(TrackConfig(max_tracks=4))
    there = [Thing(slot=s, look=s, at=(0, 6 * s)) for s in range(4)]
    for t in (0.0, 0.1):
        ids = by_slot(book.update(t, see(*there)))
    for n in range(4):
        left = [thing for thing in there if thing.slot not in leaving[: n + 1]]
        book.update(0.2 + 0.1 * n, see(*left))
    fresh = [Thing(slot=4 + n, look=50 + n, at=(16, 6 * n)) for n in range(newcomers)]
    book.update(1.0, see(*fresh))
    assert book.state is not None
    kept = {ids[slot] for slot in leaving[newcomers:]}
    assert {int(number) for number in book.state.ids if number} == kept


@given(st.lists(st.sampled_from([0.0, 0.29, 0.3, 0.4, 0.49, 0.5, 0.9]), max_size=12))
def test_only_a_dip_after_a_true_sound_is_held_and_only_once(levels):
    book = TrackBook(TrackConfig(n_init=1))
    sounded = False  # in the frame before, and by itself
    for n, level in enumerate(np.float32(levels)):
        (shown,) = book.update(0.1 * n, see(Thing(slot=0, look=1, sounding=level)))
        held = sounded and 0.3 <= level < 0.5
        assert shown.sounding == (0.5 if held else level)
        sounded = level >= 0.5
