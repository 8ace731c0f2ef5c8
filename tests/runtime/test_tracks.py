"""Identities over time, from scripted embeddings."""

from __future__ import annotations

import ast
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from track_scenes import CHANNELS, CLASSES, SLOTS, Thing, by_slot, look_of, see

from streamavis.errors import ShapeError
from streamavis.runtime import tracks
from streamavis.runtime.tracks import Sightings, TrackBook, TrackConfig, TrackState


def test_an_object_is_born_at_its_second_confident_step_and_keeps_its_id():
    book = TrackBook()
    assert book.update(0.0, see(Thing(slot=3, look=1))) == []
    ids = {by_slot(book.update(0.1 * n, see(Thing(slot=3, look=1))))[3] for n in range(1, 50)}
    assert ids == {1}


def test_a_flicker_or_a_weak_object_is_never_born():
    book = TrackBook()
    for n in range(20):
        things = [Thing(slot=1, look=1, score=0.49, at=(20, 20))]
        if n % 2:
            things.append(Thing(slot=0, look=2))
        assert book.update(0.1 * n, see(*things)) == []


@given(
    n_init=st.integers(1, 3),
    scores=st.lists(
        st.sampled_from([0.3, 0.49, 0.5, 0.6, 0.69, 0.7, 0.9]), min_size=8, max_size=16
    ),
)
@example(n_init=2, scores=[0.9, 0.9, 0.5, 0.49, 0.5])
def test_a_birth_takes_more_than_staying_in_view(n_init, scores):
    book = TrackBook(TrackConfig(n_init=n_init, score_on=0.7, score_off=0.5))
    in_a_row, born = 0, False
    for n, score in enumerate(scores):
        shown = book.update(0.1 * n, see(Thing(slot=2, look=1, score=score)))
        in_a_row = in_a_row + 1 if score >= 0.7 else 0
        born = born or in_a_row == n_init
        assert by_slot(shown) == ({2: 1} if born and score >= 0.5 else {})


def test_two_of_one_class_cross_while_their_slots_swap():
    book = TrackBook()
    for n in range(29):
        swap = n >= 15  # where they meet, each slot goes on with the other object
        left = Thing(slot=1 if swap else 0, look=1, at=(8, n))
        right = Thing(slot=0 if swap else 1, look=2, at=(16, 28 - n))
        ids = by_slot(book.update(0.1 * n, see(left, right, noise=n)))
        if n == 1:
            first, second = ids[left.slot], ids[right.slot]
        if n >= 1:
            assert ids == {left.slot: first, right.slot: second}


def test_one_hides_behind_its_double_and_returns_in_another_slot():
    book = TrackBook()
    times = np.arange(0, 6, 0.1)
    for n, t in enumerate(times):
        hidden = 2.0 <= t < 5.0
        things = [Thing(slot=0, look=1, at=(8, 8))]
        if not hidden:
            things.append(Thing(slot=1 if t < 2 else 5, look=2, at=(8, 20)))
        ids = by_slot(book.update(t, see(*things, noise=n)))
        if n == 1:
            first, second = ids[0], ids[1]
        elif n > 1:
            assert ids[0] == first
            assert (1 in ids or 5 in ids) != hidden
            assert set(ids.values()) <= {first, second}


@pytest.mark.parametrize(("away_s", "same"), [(3.0, True), (4.9, True), (5.2, False)])
def test_one_that_leaves_is_found_again_for_five_seconds(away_s, same):
    book = TrackBook()
    book.update(0.0, see(Thing(slot=0, look=1)))
    (before,) = book.update(0.1, see(Thing(slot=0, look=1)))
    for t in np.arange(0.2, away_s, 0.1):
        assert book.update(t, see()) == []
    back = [book.update(0.1 + away_s + 0.1 * n, see(Thing(slot=6, look=1))) for n in range(2)]
    assert (back[-1][0].id == before.id) is same
    assert (len(back[0]) == 1) is same, "a known object is reported at once, a new one is not"


@pytest.mark.parametrize(("gone_s", "expected"), [(5.0, 1), (5.125, 2)])
def test_the_fifth_second_belongs_to_those_that_may_return(gone_s, expected):
    book = TrackBook()
    for t in (0.0, 0.5):  # halves and eighths are exact
        book.update(t, see(Thing(slot=0, look=1)))
    book.update(0.5 + gone_s, see())
    for t in (6.0, 6.5):
        ids = by_slot(book.update(t, see(Thing(slot=0, look=1))))
    assert ids == {0: expected}


def test_of_two_lost_doubles_the_one_seen_last_returns():
    def show(*things: Thing) -> Sightings:
        seen = see(*things)
        seen.embeddings[:] = np.eye(1, CHANNELS)  # exactly equal, whatever averages do
        return seen

    book = TrackBook()
    early, late = Thing(slot=0, look=1), Thing(slot=1, look=1, at=(0, 20))
    for first, last in ((early, late), (late, early)):
        book.new_epoch()
        for t in (0.0, 0.1):
            ids = by_slot(book.update(t, show(early, late)))
        book.update(0.2, show(last))
        book.update(0.3, show())
        back = replace(first, slot=5, at=(20, 10))
        assert by_slot(book.update(0.4, show(back))) == {5: ids[last.slot]}


def test_a_repeated_time_does_not_keep_what_has_left():
    book = TrackBook()
    for t in (0.0, 0.1):
        book.update(t, see(Thing(slot=0, look=1)))
    assert book.update(0.1, see()) == []


def test_another_class_does_not_take_an_id_over():
    book = TrackBook()
    for t in (0.0, 0.1):
        book.update(t, see(Thing(slot=0, look=1, class_id=0)))
    for t in (1.0, 1.1):
        ids = by_slot(book.update(t, see(Thing(slot=4, look=1, class_id=2))))
    assert ids == {4: 2}


def test_one_wrong_class_changes_neither_label_nor_id():
    book = TrackBook()
    for n in range(20):
        tracked = book.update(0.1 * n, see(Thing(slot=0, look=1, class_id=1 if n == 9 else 0)))
    assert [(seen.id, seen.class_id) for seen in tracked] == [(1, 0)]


@pytest.mark.parametrize("knows_visible", [True, False])
def test_thirty_silent_seconds_change_nothing(knows_visible):
    book = TrackBook()
    ids = set()
    for t in np.arange(0, 40, 0.2):
        sounds = t < 5 or t > 35
        seen = see(Thing(slot=2, look=1, sounding=0.9 if sounds else 0.05))
        if not knows_visible:
            seen = replace(seen, visible=None)
        for tracked in book.update(t, seen):
            ids.add(tracked.id)
            assert (tracked.sounding >= 0.5) is bool(sounds)
            assert (tracked.visible is None) is not knows_visible
    assert ids == {1}


@pytest.mark.parametrize(("away_s", "same"), [(4.5, True), (5.5, False)])
def test_where_nobody_knows_what_is_visible_a_missing_mask_ages(away_s, same):
    book = TrackBook()
    for t in (0.0, 0.1):
        book.update(t, replace(see(Thing(slot=0, look=1)), visible=None))
    for t in np.arange(0.2, away_s, 0.1):
        assert book.update(t, replace(see(), visible=None)) == []
    for t in (0.1 + away_s, 0.2 + away_s):
        ids = by_slot(book.update(t, replace(see(Thing(slot=0, look=1)), visible=None)))
    assert (ids == {0: 1}) is same


def test_what_the_model_calls_hidden_is_not_in_view_and_ages():
    book = TrackBook()
    for t in (0.0, 0.1):
        book.update(t, see(Thing(slot=0, look=1)))
    for t in np.arange(0.2, 5.0, 0.2):
        assert book.update(t, see(Thing(slot=0, look=1, visible=0.2))) == []
    assert by_slot(book.update(5.0, see(Thing(slot=0, look=1)))) == {0: 1}
    for t in np.arange(5.2, 11.0, 0.2):
        book.update(t, see(Thing(slot=0, look=1, visible=0.2)))
    book.update(11.0, see(Thing(slot=0, look=1)))
    assert by_slot(book.update(11.1, see(Thing(slot=0, look=1)))) == {0: 2}


def test_after_a_hard_cut_the_slots_carry_new_ids():
    book = TrackBook()
    for t in (0.0, 0.1, 0.2):
        before = book.update(t, see(*(Thing(slot=s, look=s, at=(0, 6 * s)) for s in range(4))))
    for t in (0.3, 0.4):
        after = book.update(t, see(*(Thing(slot=s, look=50 + s, at=(0, 6 * s)) for s in range(4))))
    assert len(before) == len(after) == 4
    assert {seen.id for seen in before}.isdisjoint(seen.id for seen in after)
    # The cut back: the first scene is known again, at once and in whatever slots it comes.
    back = book.update(0.5, see(*(Thing(slot=7 - s, look=s, at=(0, 6 * s)) for s in range(4))))
    assert by_slot(back) == {7 - seen.slot: seen.id for seen in before}


@pytest.mark.parametrize("count", [2, 3, 7])
def test_where_embeddings_say_nothing_slots_do(count):
    book = TrackBook()
    things = [Thing(slot=s, look=1, at=(8 * (s // 4), 8 * (s % 4))) for s in range(count)]
    first = None
    for n in range(30):
        ids = by_slot(book.update(0.1 * n, see(*things, noise=n)))
        first = first or ids
        assert ids == first
    assert len(first) == count


def test_one_of_several_doubles_returns_to_the_only_id_that_is_free():
    book = TrackBook()
    things = [Thing(slot=s, look=1, at=(0, 8 * s)) for s in range(4)]
    for t in (0.0, 0.1):
        before = by_slot(book.update(t, see(*things)))
    book.update(0.2, see(*things[:3]))
    after = by_slot(book.update(0.3, see(*things[:3], replace(things[3], slot=6))))
    assert after == {0: before[0], 1: before[1], 2: before[2], 6: before[3]}


def test_an_object_that_turns_slowly_is_known_by_its_new_side():
    book = TrackBook()
    for n in range(100):
        seen = see(Thing(slot=0, look=1))
        turn = n / 99
        seen.embeddings[0] = (1 - turn) * look_of(1) + turn * look_of(2)
        book.update(0.1 * n, seen)
    for n in range(30):
        book.update(10 + 0.1 * n, see(Thing(slot=0, look=2)))
    assert by_slot(book.update(14.0, see(Thing(slot=5, look=2)))) == {5: 1}


def test_an_unlike_view_does_not_change_what_an_object_looks_like():
    book = TrackBook(TrackConfig(jump_cosine=-1.0))
    for t in (0.0, 0.1):
        book.update(t, see(Thing(slot=0, look=1)))
    assert book.state is not None
    before = book.state.embeddings.copy()
    for n in range(30):
        seen = see(Thing(slot=0, look=2))
        seen.embeddings[0] -= (seen.embeddings[0] @ before[0]) * before[0]  # not alike at all
        assert by_slot(book.update(0.2 + 0.1 * n, seen)) == {0: 1}
    np.testing.assert_allclose(book.state.embeddings, before, atol=1e-6)


def test_two_slots_on_one_object_are_one_track_and_the_first_keeps_it():
    book = TrackBook()
    for t in (0.0, 0.1):
        book.update(t, see(Thing(slot=4, look=1, score=0.8)))
    for t in (0.2, 0.3, 0.4):
        both = see(Thing(slot=4, look=1, score=0.8), Thing(slot=1, look=1, score=0.95))
        assert by_slot(book.update(t, both)) == {4: 1}
    # The first slot lets go: the other one goes on under the same id.
    assert by_slot(book.update(0.5, see(Thing(slot=1, look=1)))) == {1: 1}


def crowd(count: int, *, weakest: int = 0) -> Sightings:
    side = 4 * int(np.ceil(np.sqrt(count)))
    seen = Sightings(
        scores=np.linspace(0.55, 0.95, count, dtype=np.float32),
        class_probs=np.full((count, 1), 0.9, np.float32),
        masks=np.zeros((count, side, side), np.bool_),
        embeddings=np.stack([look_of(n) for n in range(count)]),
        sounding=None,
        visible=None,
    )
    for n in range(count):
        row, column = divmod(n, side // 4)
        seen.masks[n, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = True
    seen.scores[:weakest] = 0
    return seen


def test_of_two_hundred_the_strongest_fifty_are_kept():
    book = TrackBook()
    for n in range(5):
        tracked = book.update(0.1 * n, crowd(200))
    assert {seen.slot for seen in tracked} == set(range(150, 200))
    assert {seen.id for seen in tracked} == set(range(1, 51))
    assert len(book.state.ids) == 50


def test_a_stronger_newcomer_takes_the_weakest_place_and_no_id_comes_twice():
    book = TrackBook(TrackConfig(max_tracks=3))
    weak = [Thing(slot=s, look=s, score=0.8, at=(0, 5 * s)) for s in range(3)]
    equal = Thing(slot=5, look=5, score=0.83, at=(20, 0))
    strong = Thing(slot=6, look=6, score=0.97, at=(20, 10))
    for t in (0.0, 0.1):
        book.update(t, see(*weak))
    for t in (0.2, 0.3):
        assert set(by_slot(book.update(t, see(*weak, equal))).values()) == {1, 2, 3}
    for t in (0.4, 0.5):
        ids = by_slot(book.update(t, see(*weak, strong)))
    assert ids[6] == 4
    assert len(ids) == 3


def test_ids_start_anew_with_an_epoch_and_only_then():
    book = TrackBook()
    seen_ids = []
    for n in range(10):  # ten objects, one after the other
        for t in (n, n + 0.1):
            seen_ids += [seen.id for seen in book.update(t, see(Thing(slot=0, look=n)))]
    assert seen_ids == list(range(1, 11))
    book.new_epoch()
    book.update(20.0, see(Thing(slot=0, look=3)))
    assert by_slot(book.update(20.1, see(Thing(slot=0, look=3)))) == {0: 1}


def test_a_dip_in_sound_is_held_for_one_frame():
    book = TrackBook()
    levels = [0.0, 0.9, 0.4, 0.4, 0.9, 0.2, 0.4, 0.6, 0.4, 0.6]
    said = []
    for n, level in enumerate([0.0, *levels]):
        for tracked in book.update(0.1 * n, see(Thing(slot=0, look=1, sounding=level))):
            said.append(tracked.sounding >= 0.5)
    #                       0.0    0.9   0.4   0.4    0.9   0.2    0.4    0.6   0.4   0.6
    assert said == [False, True, True, False, True, False, False, True, True, True]


def test_sound_is_not_held_over_a_frame_out_of_view():
    book = TrackBook()
    for t in (0.0, 0.1):
        book.update(t, see(Thing(slot=0, look=1, sounding=0.9)))
    book.update(0.2, see())
    (back,) = book.update(0.3, see(Thing(slot=0, look=1, sounding=0.4)))
    assert back.sounding == pytest.approx(0.4)


def test_unknown_sound_stays_unknown():
    book = TrackBook()
    for t in (0.0, 0.1):
        book.update(t, see(Thing(slot=0, look=1, sounding=0.9)))
    mute = replace(see(Thing(slot=0, look=1)), sounding=None)
    assert [seen.sounding for seen in book.update(0.2, mute)] == [None]
    (back,) = book.update(0.3, see(Thing(slot=0, look=1, sounding=0.4)))
    assert back.sounding == pytest.approx(0.4), "what was unknown is not held"


def random_scene(rng: np.random.Generator, steps: int) -> list[Sightings]:
    """Objects that come, go, swap slots and overlap."""
    scene = []
    for n in range(steps):
        slots = rng.permutation(SLOTS)[: rng.integers(0, 6)]
        looks = rng.permutation(6)[: len(slots)] if n % 5 == 0 else np.arange(len(slots))
        scene.append(
            see(
                *(
                    Thing(
                        slot=int(slot),
                        look=int(look),
                        class_id=int(look) % CLASSES,
                        score=float(rng.uniform(0.2, 1)),
                        at=(int(rng.integers(28)), int(rng.integers(28))),
                        sounding=float(rng.uniform()),
                        visible=float(rng.uniform(0.4, 1)),
                    )
                    for slot, look in zip(slots, looks, strict=True)
                ),
                noise=n,
            )
        )
    return scene


def permuted(seen: Sightings, order: np.ndarray) -> Sightings:
    return Sightings(**{f.name: getattr(seen, f.name)[order] for f in fields(Sightings)})


@settings(max_examples=12)
@given(st.integers(0, 10_000))
def test_slot_numbers_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    scene = random_scene(rng, 25)
    order = rng.permutation(SLOTS)  # row n of the permuted scene is slot order[n]
    plain, shuffled = TrackBook(), TrackBook()
    for n, seen in enumerate(scene):
        expected = plain.update(0.3 * n, seen)
        got = shuffled.update(0.3 * n, permuted(seen, order))
        assert [replace(t, slot=int(order[t.slot])) for t in got] == expected


@settings(max_examples=8)
@given(st.integers(0, 10_000), st.integers(1, 20))
def test_a_restored_book_goes_on_as_if_nothing_had_happened(seed, cut):
    scene = random_scene(np.random.default_rng(seed), 25)
    whole, moved = TrackBook(), TrackBook()
    for n, seen in enumerate(scene):
        if n == cut:
            arrays = moved.state.to_arrays()
            moved = TrackBook()
            moved.state = TrackState.from_arrays(arrays)
        assert moved.update(0.3 * n, seen) == whole.update(0.3 * n, seen)


def test_it_is_deterministic_and_pure_numpy():
    scene = random_scene(np.random.default_rng(3), 60)
    books = (TrackBook(), TrackBook())
    first, second = ([book.update(0.3 * n, s) for n, s in enumerate(scene)] for book in books)
    assert first == second
    tree = ast.walk(ast.parse(Path(tracks.__file__).read_text()))
    imports = [node for node in tree if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {node.module for node in imports if isinstance(node, ast.ImportFrom)}
    names |= {one.name for node in imports if isinstance(node, ast.Import) for one in node.names}
    known = {"__future__", "collections", "dataclasses", "typing", "numpy", "streamavis"}
    assert {name.partition(".")[0] for name in names} <= known


def test_an_id_is_never_given_to_two_objects():
    rng = np.random.default_rng(7)
    book = TrackBook(TrackConfig(max_tracks=4))
    for n, seen in enumerate(random_scene(rng, 300)):
        tracked = book.update(0.4 * n, seen)
        known = book.state.ids[book.state.ids > 0]
        assert len(set(known)) == len(known) <= 4
        bound = book.state.slots[book.state.slots >= 0]
        assert len(set(bound)) == len(bound)
        assert len({t.slot for t in tracked}) == len(tracked)
        assert len({t.id for t in tracked}) == len(tracked)


def test_wrong_shapes_are_named():
    seen = see(Thing(slot=0, look=1))
    with pytest.raises(ShapeError, match="'scores': 7"):
        TrackBook().update(0.0, replace(seen, scores=seen.scores[:7]))
    book = TrackBook()
    book.update(0.0, seen)
    with pytest.raises(ShapeError, match="new_epoch"):
        book.update(0.1, replace(seen, embeddings=seen.embeddings[:, :5]))


@pytest.mark.parametrize(("class_id", "shown"), [(0, {0}), (1, {0, 1})])
def test_a_part_of_an_object_is_no_object_of_its_class(class_id, shown):
    """A mask inside another of its class is a part of it; of another class it stays."""
    book = TrackBook()
    for n in range(4):
        seen = see(Thing(slot=0, look=1), Thing(slot=1, look=2, class_id=class_id, score=0.8))
        seen.masks[0, :12, :12] = True
        seen.masks[1] = False
        seen.masks[1, 8:12, 8:13] = True  # 16 of 20 cells lie inside
        ids = by_slot(book.update(0.1 * n, seen))
    assert set(ids) == shown
