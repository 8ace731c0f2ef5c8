"""The public evaluator's slips, one by one: they must stay, or published tables cannot be met."""

import numpy as np
import pytest
from metric_cases import evaluated, golden, rectangle, rle, track, truth_file

LEFT, RIGHT = rectangle(0, 0, 8, 8), rectangle(16, 8, 8, 8)


def official(folder, truth, predictions):
    return evaluated(folder, truth, predictions, protocols=["official"]).official.summary


def test_a_null_prediction_can_abort_the_evaluator_and_only_it(tmp_path):
    """Two that take turns: the second one's place is beyond the end of every frame's list."""
    truth = truth_file({"a": (2, [(1, [None, LEFT]), (1, [RIGHT, None])])})
    found = evaluated(tmp_path, truth, [track(1, 1, [None, LEFT]), track(1, 1, [RIGHT, None])])
    assert found.official is None
    assert "video 'a', frame 0" in found.official_error
    assert found.corrected.summary["FSLA"] == 100


@pytest.mark.parametrize(("size", "fsla"), [((720, 1280), 100), ((360, 640), 50)])
def test_an_empty_mask_is_none_at_720p_only(tmp_path, size, fsla):
    here = rectangle(0, 0, 64, 64, size)
    there = rectangle(100, 100, 64, 64, size)
    truth = truth_file({"a": (2, [(1, [here, here]), (1, [there, None])])}, size)
    predictions = [track(1, 1, [here, here]), track(1, 1, [there, None], empty="zeros")]
    assert official(tmp_path, truth, predictions)["FSLA"] == fsla


def test_a_silent_frame_is_wrong_where_an_empty_mask_stands_for_nothing(tmp_path):
    truth = truth_file({"a": (2, [(1, [LEFT, None])])})
    assert official(tmp_path, truth, [track(1, 1, [LEFT, None])])["FSLAn"] == 100
    assert official(tmp_path, truth, [track(1, 1, [LEFT, None], empty="zeros")])["FSLAn"] == 0


def test_a_single_source_is_looked_up_backwards(tmp_path):
    """Which of two predictions is listed first decides, not which one fits."""
    size = (720, 1280)
    here, there = rectangle(0, 0, 64, 64, size), rectangle(100, 100, 64, 64, size)
    truth = truth_file({"a": (2, [(1, [here, here])])}, size)
    fits = track(1, 1, [here, here])
    other = track(1, 1, [there, None], empty="zeros")
    other["segmentations"][0] = other["segmentations"][1]
    assert official(tmp_path, truth, [fits, other])["FSLAs"] == 100
    assert official(tmp_path, truth, [other, fits])["FSLAs"] == 0


def test_the_first_prediction_of_all_leaves_its_truth_free(tmp_path):
    """Its id 0 reads as "nobody": a copy becomes a second hit, and recall passes 100."""
    truth = truth_file({"a": (1, [(1, [LEFT])]), "b": (1, [(1, [RIGHT])])})
    twice = [track(1, 1, [LEFT], 0.9), track(1, 1, [LEFT], 0.8), track(2, 1, [RIGHT], 0.7)]
    assert official(tmp_path, truth, twice)["AR"] == 150
    later = [track(1, 1, [LEFT], 0.9), track(2, 1, [RIGHT], 0.8), track(2, 1, [RIGHT], 0.7)]
    assert official(tmp_path, truth, later)["AR"] == 100
    assert evaluated(tmp_path, truth, twice).corrected.summary["AR"] == 100


def test_listed_classes_that_nothing_shows_count_as_zero(tmp_path):
    truth = truth_file({"a": (1, [(1, [LEFT])])})
    found = evaluated(tmp_path, truth, [track(1, 1, [LEFT])])
    assert found.official.summary["HOTA"] == pytest.approx(100 / 3)
    assert found.official.summary["LocA"] == pytest.approx(100)
    assert found.corrected.summary["HOTA"] == pytest.approx(100)


def test_areas_come_from_the_file(tmp_path):
    truth = truth_file({"a": (1, [(1, [LEFT])])})
    truth["annotations"][0]["areas"] = [1000 * 1000]
    found = evaluated(tmp_path, truth, [track(1, 1, [LEFT])])
    assert found.official.summary["AP_s"] == -100
    assert found.official.summary["AP_l"] == pytest.approx(100)
    assert found.corrected.summary["AP_s"] == pytest.approx(100)
    assert np.isnan(found.corrected.summary["AP_l"])


def test_what_is_beyond_the_end_counts_in_the_union(tmp_path):
    truth = truth_file({"a": (1, [(1, [LEFT])])})
    longer = track(1, 1, [LEFT, LEFT])  # IoU of the track: 1/2
    summary = official(tmp_path, truth, [longer])
    assert summary["mAP"] == pytest.approx(10)  # 1 of 10 thresholds
    assert summary["DetA"] == pytest.approx(100 / 3)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"areas": None}, "needs areas"),
        ({"segmentations": [rle(LEFT)]}, "takes lists"),
        ({"segmentations": [[rle(LEFT)]]}, "takes lists"),
        ({"segmentations": [[[0, 0, 8, 8]]]}, "takes lists"),
        ({"sounding": [True]}, "'sounding'"),
    ],
)
def test_ground_truth_it_cannot_read_has_corrected_numbers(tmp_path, change, reason):
    truth = truth_file({"a": (1, [(1, [LEFT])])})
    truth["annotations"][0].update(change)
    found = evaluated(tmp_path, truth, [track(1, 1, [LEFT])])
    assert found.official is None
    assert reason in found.official_error
    assert found.corrected.summary["FSLA"] == 100


def test_it_fails_on_ground_truth_without_videos(tmp_path):
    found = evaluated(tmp_path, truth_file({}), [])
    assert "no video" in found.official_error
    assert np.isnan([*found.corrected.summary.values()]).all()


def test_reversing_predictions_moves_fsla_alone(tmp_path):
    truth, predictions = golden("S1_720p_model_style", "gt"), golden("S1_720p_model_style", "pred")
    one = official(tmp_path, truth, predictions)
    other = official(tmp_path, truth, predictions[::-1])
    assert abs(other["FSLAs"] - one["FSLAs"]) > 1
    assert other["HOTA"] == pytest.approx(one["HOTA"], abs=1e-9)
