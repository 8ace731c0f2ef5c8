"""What a perfect prediction reaches under the official protocol."""

import json

import numpy as np
import pytest
from metric_cases import GOLDEN, evaluated, golden, rectangle, rle, track, truth_file

from streamavis.errors import InputError
from streamavis.metrics import oracle, read_truth

LEFT, RIGHT = rectangle(0, 0, 8, 8), rectangle(16, 8, 8, 8)


def of(folder, truth):
    (folder / "gt.json").write_text(json.dumps(truth))
    return oracle(read_truth(folder / "gt.json")).summary


@pytest.mark.parametrize("name", GOLDEN)
def test_no_fixture_is_above_it(name, tmp_path):
    best = of(tmp_path, golden(name, "gt"))
    found = evaluated(tmp_path, golden(name, "gt"), golden(name, "pred")).official.summary
    for key in ("FSLA", "FSLAn", "HOTA", "mAP"):
        assert np.isnan(best[key]) or found[key] <= best[key] + 1e-9, key


def test_it_is_100_where_all_sound_all_the_time(tmp_path):
    assert of(tmp_path, golden("S4_48x64_perfect_always_on", "gt"))["FSLA"] == 100


@pytest.mark.parametrize("empty", ["null", "zeros"])
def test_it_is_not_below_either_plain_way_of_writing(tmp_path, empty):
    size = (720, 1280)
    here, there = rectangle(0, 0, 64, 64, size), rectangle(100, 100, 64, 64, size)
    world = [(1, [here, here, None]), (1, [there, None, None]), (2, [None, None, here])]
    truth = truth_file({"a": (3, world)}, size)
    plain = [track(1, category, masks, empty=empty) for category, masks in world]
    found = evaluated(tmp_path, truth, plain).official
    best = of(tmp_path, truth)["FSLA"]
    assert found is None or found.summary["FSLA"] <= best
    assert best == pytest.approx(100 / 3)


def test_the_order_that_serves_most_frames_is_found(tmp_path):
    """Two that never sound together: only the first in the file is looked up at the right place."""
    truth = truth_file({"a": (3, [(1, [LEFT, None, None]), (2, [None, RIGHT, RIGHT])])})
    assert of(tmp_path, truth)["FSLA"] == pytest.approx(200 / 3)


def test_what_the_evaluator_cannot_read_has_none(tmp_path):
    truth = truth_file({"a": (1, [(1, [LEFT])])})
    truth["annotations"][0]["segmentations"] = [rle(LEFT)]
    with pytest.raises(InputError, match="takes lists"):
        of(tmp_path, truth)
