"""What one expects of a metric, and the corrected protocol keeps."""

import random
import tempfile
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_cases import CATEGORIES, different, evaluated, rectangle, rle, track, truth_file

from streamavis.metrics import SUMMARY

IDS = [category["id"] for category in CATEGORIES]
masks = st.builds(
    rectangle, st.integers(0, 20), st.integers(0, 15), st.integers(2, 12), st.integers(2, 9)
)
WRITINGS = ["null", "zeros"]
quick = settings(max_examples=12, deadline=None)


@st.composite
def tracks(draw, length, most, masks=masks):
    """(category, masks) of up to `most` tracks that are visible at least once."""
    found = []
    for _ in range(draw(st.integers(0, most))):
        shown = draw(st.lists(st.none() | masks, min_size=length, max_size=length))
        shown[draw(st.integers(0, length - 1))] = draw(masks)
        found.append((draw(st.sampled_from(IDS)), shown))
    return found


@st.composite
def worlds(draw, masks=masks):
    """Ground truth of two videos: name -> (length, tracks)."""
    lengths = {name: draw(st.integers(1, 5)) for name in ("b", "a")}
    return {name: (length, draw(tracks(length, 3, masks))) for name, length in lengths.items()}


@st.composite
def predicted(draw, world):
    """Some of the truth, shaken, and some that is not in it; scores that tie now and then."""
    found = []
    for number, (length, shown) in enumerate(world.values(), start=1):
        copies = [
            (category, [m if m is None else np.roll(m, draw(st.integers(-2, 2))) for m in one])
            for category, one in shown
            if draw(st.booleans())
        ]
        for category, one in copies + draw(tracks(length, 2)):
            score = draw(st.sampled_from([0.3, 0.5, 0.9]))
            found.append(track(number, category, one, score, draw(st.sampled_from(WRITINGS))))
    return found


def corrected(truth, predictions):
    with tempfile.TemporaryDirectory() as folder:
        return evaluated(Path(folder), truth, predictions, protocols=["corrected"]).corrected


def shuffled(truth, predictions, seed):
    """The same content with ids renamed, and everything in another place."""
    truth, predictions = deepcopy(truth), deepcopy(predictions)
    order = random.Random(seed)
    videos = {video["id"]: 100 + place for place, video in enumerate(truth["videos"])}
    ids = {annotation["id"]: i for i, annotation in enumerate(truth["annotations"])}
    for i in order.sample(sorted(ids), len(ids)):
        ids[i] = order.randrange(1000) * 10 + ids[i] % 10
    for video in truth["videos"]:
        video["id"] = videos[video["id"]]
    for entry in [*truth["annotations"], *predictions]:
        entry["video_id"] = videos[entry["video_id"]]
    for annotation in truth["annotations"]:
        annotation["id"] = ids[annotation["id"]]
    for entries in (*truth.values(), predictions):
        order.shuffle(entries)
    return truth, predictions


@quick
@given(worlds(), st.sampled_from(WRITINGS))
def test_a_perfect_prediction_gives_100_in_every_form_of_writing(world, empty):
    predictions = [
        track(number, category, shown, 0.5 + 0.01 * i, empty)
        for number, (_, found) in enumerate(world.values(), start=1)
        for i, (category, shown) in enumerate(found)
    ]
    summary = corrected(truth_file(world), predictions).summary
    known = {name: value for name, value in summary.items() if not np.isnan(value)}
    assert all(abs(value - 100) < 1e-9 for value in known.values()), known
    assert "FSLA" in known
    assert not predictions or {"HOTA", "mAP", "AR", "LocA"} <= known.keys()


@quick
@given(st.data())
def test_order_and_ids_change_nothing(data):
    world = data.draw(worlds())
    truth, predictions = truth_file(world), data.draw(predicted(world))
    before = corrected(truth, predictions)
    after = corrected(*shuffled(truth, predictions, data.draw(st.integers(0, 99))))
    assert list(before.summary) == list(SUMMARY)
    np.testing.assert_array_equal([*before.summary.values()], [*after.summary.values()])


@quick
@given(st.data())
def test_how_nothing_is_written_changes_nothing(data):
    world = data.draw(worlds())
    truth, predictions = truth_file(world), data.draw(predicted(world))
    nulls, blank = deepcopy(predictions), rle(np.zeros((24, 32), np.uint8))
    for prediction in nulls:
        prediction["segmentations"] = [
            None if one == blank else one for one in prediction["segmentations"]
        ]
    before, after = corrected(truth, predictions), corrected(truth, nulls)
    np.testing.assert_array_equal([*before.summary.values()], [*after.summary.values()])


left = st.builds(rectangle, st.integers(0, 8), st.integers(0, 15), st.integers(2, 8), st.just(6))
few = st.sampled_from([rectangle(0, 0, 8, 6), rectangle(4, 0, 8, 6), rectangle(0, 3, 8, 6)])


@quick
@given(st.data())
def test_a_track_that_overlaps_nothing_never_helps(data):
    world = data.draw(worlds(left | few))  # columns 0 to 15; `few` make ties
    predictions = data.draw(predicted(world))
    length, shown = world["a"]
    right = [rectangle(17, y % 20, 9, 4) for y in range(length)]
    category = data.draw(st.sampled_from([*IDS, 99]))
    added = track(2, category, right, data.draw(st.floats(0, 1)))
    before = corrected(truth_file(world), predictions).summary
    after = corrected(truth_file(world), [*predictions, added]).summary
    for name in ("FSLA", "HOTA"):
        assert np.isnan(before[name]) or after[name] <= before[name] + 1e-9, name
    if category in (listed for listed, _ in shown):
        for name in ("DetRe", "AssRe", "LocA"):  # what is matched stays matched
            assert after[name] == pytest.approx(before[name], abs=1e-9), name


@quick
@given(st.data())
def test_every_number_is_a_share(data):
    world = data.draw(worlds())
    summary = corrected(truth_file(world), data.draw(predicted(world))).summary
    assert all(np.isnan(value) or -1e-9 <= value <= 100 + 1e-9 for value in summary.values())


def test_two_of_a_class_are_both_needed(tmp_path):
    """Sets of classes would let one of two violins pass for both."""
    here, there = rectangle(0, 0, 8, 8), rectangle(16, 8, 8, 8)
    truth = truth_file({"a": (1, [(2, [here]), (2, [there])])})
    both = evaluated(tmp_path, truth, [track(1, 2, [here]), track(1, 2, [there])]).corrected
    one = evaluated(tmp_path, truth, [track(1, 2, [here])]).corrected
    half = {"FSLA": 100, "FSLAn": None, "FSLAs": None, "FSLAm": 100}
    assert not different({name: both.summary[name] for name in half}, half)
    assert one.summary["FSLA"] == 0


def test_fsla_takes_the_best_worst_pair_not_the_best_sum(tmp_path):
    """Two of a class: (1.0, 0.3) has the greater sum than (0.6, 0.6), but fails from 0.3 on."""
    long, wide = rectangle(0, 0, 20, 3), rectangle(0, 0, 12, 5)
    truth = truth_file({"a": (1, [(2, [long]), (2, [wide])])})
    crossed = [track(1, 2, [wide], 0.9), track(1, 2, [long], 0.8)]
    assert evaluated(tmp_path, truth, crossed).corrected.summary["FSLA"] == 100


def test_thresholds_are_exact(tmp_path):
    """An IoU of exactly 3/20 passes HOTA's threshold 3/20 and fails FSLA's."""
    whole, part = rectangle(0, 0, 20, 4), rectangle(0, 0, 3, 4)
    found = evaluated(tmp_path, truth_file({"a": (1, [(1, [whole])])}), [track(1, 1, [part])])
    assert found.corrected.summary["FSLA"] == 100 * (2 / 19)
    assert found.corrected.summary["DetA"] == 100 * (3 / 19)


def test_who_touches_nothing_does_not_decide_between_equals(tmp_path):
    """Two tracks align equally well in frame 0; the silent third stands before or after them."""
    here, half = rectangle(12, 4, 8, 8), rectangle(12, 4, 8, 4)
    predictions = [track(1, 1, [here, here, None]), track(1, 1, [here, None, half])]
    found = []
    for aside in (rectangle(0, 0, 4, 4), rectangle(28, 0, 4, 4)):
        truth = truth_file({"a": (3, [(1, [here] * 3), (1, [aside, None, None])])})
        found.append(evaluated(tmp_path, truth, predictions).corrected.summary["AssA"])
    assert found[0] == found[1]
