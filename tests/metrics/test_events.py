"""Switches, fragments, onsets and offsets, counted by hand."""

import numpy as np
import pytest
from metric_cases import evaluated, rectangle, track, truth_file

LEFT, RIGHT, FAR = rectangle(0, 0, 8, 8), rectangle(9, 8, 8, 8), rectangle(22, 15, 8, 8)


def shown(pattern, mask=LEFT):
    """ "x.x" -> mask, None, mask."""
    return [mask if sign == "x" else None for sign in pattern]


def streaming(folder, tracks, predicted, **video):
    length = len(tracks[0][1])
    truth = truth_file({"a": (length, tracks)})
    truth["videos"][0].update(video or {"fps": 10})
    return evaluated(folder, truth, predicted, protocols=["corrected"]).streaming


def test_an_id_that_changes_across_silence_is_a_switch(tmp_path):
    found = streaming(
        tmp_path,
        [(1, shown("xx..xx"))],
        [track(1, 1, shown("xx....")), track(1, 1, shown("....xx"))],
    )
    assert found["hours"] == pytest.approx(0.6 / 3600)
    assert found["id_switches_per_hour"] == pytest.approx(1 / found["hours"])
    assert found["fragments_per_hour"] == 0


def test_a_match_is_kept_while_it_holds(tmp_path):
    """A second track that fits better later is no reason to switch."""
    worse = rectangle(0, 0, 8, 6)
    found = streaming(
        tmp_path,
        [(1, shown("xxxx"))],
        [track(1, 1, shown("xxxx", worse)), track(1, 1, shown("..xx"))],
    )
    assert found["id_switches_per_hour"] == 0


def test_what_is_lost_while_it_sounds_is_a_fragment(tmp_path):
    found = streaming(tmp_path, [(1, shown("xxxxx.xx"))], [track(1, 1, shown("xx.xx.xx"))])
    assert found["fragments_per_hour"] == pytest.approx(1 / found["hours"])


def test_onsets_and_offsets_in_milliseconds(tmp_path):
    found = streaming(
        tmp_path,
        [(1, shown("..xxxx....")), (2, shown("xxxx....xx", RIGHT))],
        [track(1, 1, shown("....xxxx..")), track(1, 2, shown("xxxxx.....", RIGHT))],
    )
    assert (found["onsets"], found["onsets_missed"]) == (1, 1)  # the first frame is no onset
    assert found["onset_p50_ms"] == pytest.approx(200)
    assert (found["offsets"], found["offsets_missed"]) == (2, 0)
    assert found["offset_p50_ms"] == pytest.approx(150)
    assert found["offset_p95_ms"] == pytest.approx(195)


def test_what_never_ends_has_no_latency(tmp_path):
    found = streaming(tmp_path, [(1, shown("xx...x"))], [track(1, 1, shown("xxxxxx"))])
    assert (found["offsets"], found["offsets_missed"]) == (0, 1)
    assert np.isnan(found["offset_p50_ms"])


def test_an_object_that_never_sounds_has_no_event(tmp_path):
    found = streaming(tmp_path, [(1, shown("...")), (1, shown("xxx"))], [])
    assert (found["onsets_missed"], found["offsets_missed"]) == (0, 0)


def test_the_wrong_class_or_place_is_no_onset(tmp_path):
    wrong = [track(1, 2, shown(".xx")), track(1, 1, shown(".xx", FAR))]
    assert streaming(tmp_path, [(1, shown(".xx"))], wrong)["onsets_missed"] == 1


def test_sound_claimed_in_silence_is_timed_by_the_frames(tmp_path):
    found = streaming(
        tmp_path,
        [(1, shown("x...x"))],
        [track(1, 2, shown(".x..x", FAR), empty="zeros")],
        times_s=[0, 1, 3, 7, 8],
    )
    assert found["silence_min"] == pytest.approx(7 / 60)
    assert found["false_sounding_s_per_min"] == pytest.approx(2 / (7 / 60))


def test_aviseg_has_one_frame_per_second(tmp_path):
    truth = truth_file({"a": (3, [(1, shown("xxx"))])})
    assert evaluated(tmp_path, truth, []).streaming["hours"] == pytest.approx(3 / 3600)


def test_confusion_counts_masks(tmp_path):
    truth = truth_file({"a": (2, [(1, shown("xx")), (2, shown("xx", RIGHT))])})
    predictions = [track(1, 7, shown("x.")), track(1, 2, shown("xx", RIGHT))]
    predictions.append(track(1, 1, shown(".x", FAR)))
    found = evaluated(tmp_path, truth, predictions).confusion
    assert found == {(1, 7): 1, (1, None): 1, (2, 2): 2, (None, 1): 1}
