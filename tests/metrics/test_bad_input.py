"""Bad files: one error that names file, video, track and frame."""

import pytest
from metric_cases import CATEGORIES, evaluated, rectangle, rle, track, truth_file

from streamavis.errors import InputError
from streamavis.metrics import evaluate_files

MASK = rectangle(2, 2, 8, 8)


def first(truth):
    return truth["annotations"][0]


BAD_TRUTH = {
    "another shape": (lambda t: t.pop("videos"), ["gt.json", "videos"]),
    "unknown video": (lambda t: first(t).update(video_id=9), ["track 0", "video_id 9"]),
    "unknown class": (
        lambda t: first(t).update(category_id=9),
        ["'a'", "track 0", "category_id 9"],
    ),
    "an area that is NaN": (
        lambda t: first(t)["areas"].__setitem__(1, float("nan")),
        ["track 0", "the 1 is NaN"],
    ),
    "an fps without end": (
        lambda t: t["videos"][1].update(fps=float("inf")),
        ["videos.1", "the fps is Infinity"],
    ),
    "same track id": (lambda t: t["annotations"][1].update(id=1), ["'a'", "track id 1"]),
    "same video id": (lambda t: t["videos"][1].update(id=1), ["video id 1"]),
    "same video name": (
        lambda t: t["videos"][1].update(file_names=["a/1.jpg"]),
        ["video name 'a'"],
    ),
    "same category id": (lambda t: t["categories"].append(CATEGORIES[0]), ["category id 1"]),
    "negative id": (lambda t: first(t).update(id=-1), ["'a'", "track 0", "negative"]),
    "no frames": (lambda t: t["videos"][1].update(file_names=[]), ["video 2", "file_names"]),
    "too short": (lambda t: first(t)["segmentations"].pop(), ["'a'", "track 0", "1 entries for 2"]),
    "areas too short": (lambda t: first(t)["areas"].pop(), ["'a'", "track 0", "areas has 1"]),
    "another size": (
        lambda t: [one.update(height=9) for one in t["annotations"]],
        ["'a'", "track 0", "frame 0", "(24, 32)", "(9, 32)"],
    ),
    "sizes differ": (
        lambda t: t["annotations"][1].update(height=9, segmentations=[None, None]),
        ["'a'", "track 1", "(9, 32)"],
    ),
    "empty list": (
        lambda t: first(t).update(segmentations=[None, []]),
        ["track 0", "frame 1", "null"],
    ),
    "polygon": (
        lambda t: first(t).update(segmentations=[None, [[1, 2, 3, 4, 5]]]),
        ["'a'", "track 0", "frame 1", "5 numbers"],
    ),
    "far outside": (
        lambda t: first(t).update(segmentations=[None, [[0, 0, 5, 5, 1e300, 0]]]),
        ["'a'", "track 0", "frame 1", "beyond 3200 pixels"],
    ),
    "no pixels": (lambda t: first(t).update(height=0), ["'a'", "track 0", "must be positive"]),
    "no number": (
        lambda t: first(t).update(segmentations=[None, [[1, 2, 3, 4, 5, "6"]]]),
        ["'a'", "track 0", "frame 1", "str"],
    ),
    "run lengths": (
        lambda t: first(t).update(segmentations=[None, [{"size": [24, 32], "counts": [5, 5]}]]),
        ["'a'", "track 0", "frame 1", "10 of 768"],
    ),
    "compressed": (
        lambda t: first(t).update(segmentations=[None, {"size": [24, 32], "counts": "~"}]),
        ["'a'", "track 0", "frame 1", "'~'"],
    ),
    "fps": (lambda t: t["videos"][0].update(fps=-1), ["'a'", "fps"]),
    "times": (lambda t: t["videos"][0].update(times_s=[1, 1]), ["'a'", "times_s"]),
}
BAD_PREDICTIONS = {
    "another shape": (lambda p: {"annotations": p}, ["pred.json", "list of predictions"]),
    "no score": (lambda p: p[0].pop("score"), ["'a'", "track 0", "score"]),
    "too short": (lambda p: p[1]["segmentations"].pop(), ["'a'", "track 1", "1 entries for 2"]),
    "too long": (lambda p: p[1]["segmentations"].append(None), ["'a'", "track 1", "3 entries"]),
    "another size": (
        lambda p: p[1]["segmentations"].__setitem__(1, rle(rectangle(0, 0, 2, 2, (32, 24)))),
        ["'a'", "track 1", "frame 1", "(32, 24)"],
    ),
    "run lengths": (
        lambda p: p[1]["segmentations"][1].update(counts="PPTl0"),
        ["'a'", "track 1", "frame 1", "of 768 pixels"],
    ),
    "characters": (
        lambda p: p[1]["segmentations"][1].update(counts="~~"),
        ["'a'", "track 1", "frame 1", "'~~'"],
    ),
    "no text": (
        lambda p: p[1]["segmentations"][1].update(counts=[1, 2]),
        ["'a'", "track 1", "frame 1", "array"],
    ),
    "a score that is NaN": (
        lambda p: p[1].update(score=float("nan")),
        ["'a'", "track 1", "the score is NaN"],
    ),
    "a score without end": (
        lambda p: p[0].update(score=float("-inf")),
        ["'a'", "track 0", "the score is -Infinity"],
    ),
    "an id with a fraction": (lambda p: p[1].update(video_id=1.5), ["track 1", "video_id"]),
    "no counts": (
        lambda p: p[1]["segmentations"][1].pop("counts"),
        ["'a'", "track 1", "frame 1", "counts"],
    ),
}


def files():
    world = {"a": (2, [(1, [MASK, MASK]), (2, [None, MASK])]), "b": (2, [])}
    return truth_file(world), [track(1, 1, [MASK, MASK]), track(1, 2, [None, MASK])]


def refused(folder, truth, predictions, **options):
    with pytest.raises(InputError) as caught:
        evaluated(folder, truth, predictions, **options)
    return str(caught.value)


@pytest.mark.parametrize("name", BAD_TRUTH)
def test_bad_ground_truth(name, tmp_path):
    truth, predictions = files()
    change, words = BAD_TRUTH[name]
    change(truth)
    message = refused(tmp_path, truth, predictions)
    assert str(tmp_path / "gt.json") in message
    assert all(word in message for word in words), message


@pytest.mark.parametrize("name", BAD_PREDICTIONS)
def test_bad_predictions(name, tmp_path):
    truth, predictions = files()
    change, words = BAD_PREDICTIONS[name]
    changed = change(predictions)
    message = refused(tmp_path, truth, changed if name == "another shape" else predictions)
    assert str(tmp_path / "pred.json") in message
    assert all(word in message for word in words), message


def test_bad_ground_truth_in_workers(tmp_path):
    truth, predictions = files()
    BAD_TRUTH["polygon"][0](truth)
    assert "frame 1" in refused(tmp_path, truth, predictions, jobs=2)


def test_no_file_and_no_json(tmp_path):
    with pytest.raises(InputError, match=r"missing\.json"):
        evaluate_files(tmp_path / "missing.json", [])
    (tmp_path / "gt.json").write_text("{")
    with pytest.raises(InputError, match=r"gt\.json"):
        evaluate_files(tmp_path / "gt.json", [])


def test_unknown_videos_are_ignored_and_unknown_classes_count_in_fsla_alone(tmp_path):
    truth, predictions = files()
    right = evaluated(tmp_path, truth, predictions)
    predictions.append(track(99, 1, [MASK, MASK]))
    assert evaluated(tmp_path, truth, predictions).corrected.summary == pytest.approx(
        right.corrected.summary, nan_ok=True
    )
    predictions.append(track(1, 99, [MASK, MASK]))
    found = evaluated(tmp_path, truth, predictions).corrected.summary
    assert found["HOTA"] == right.corrected.summary["HOTA"]
    assert found["mAP"] == right.corrected.summary["mAP"]
    assert (right.corrected.summary["FSLA"], found["FSLA"]) == (100, 50)


def test_ground_truth_reads_every_way_of_writing_a_mask(tmp_path):
    """A box, a polygon, run lengths in a list or bare, and silent frames by flag: one picture."""
    box = [[2, 2, 8, 8]]
    polygon = [[2, 2, 10, 2, 10, 10, 2, 10]]
    ways = [box, polygon, [rle(MASK)], rle(MASK)]
    truth = truth_file({"a": (5, [(1, [MASK] * 5)])})
    truth["annotations"][0].update(
        segmentations=[*ways, rle(MASK)], sounding=[True, True, True, True, False]
    )
    found = evaluated(tmp_path, truth, [track(1, 1, [MASK] * 4 + [None])])
    assert found.corrected.summary["FSLA"] == 100


def test_two_parts_of_a_polygon_are_one_mask(tmp_path):
    parts = [[2, 2, 10, 2, 10, 10, 2, 10], [12, 2, 20, 2, 20, 10, 12, 10]]
    truth = truth_file({"a": (1, [(1, [MASK])])})
    truth["annotations"][0]["segmentations"] = [parts]
    both = MASK | rectangle(12, 2, 8, 8)
    found = evaluated(tmp_path, truth, [track(1, 1, [both])])
    assert found.corrected.summary["FSLA"] == 100
    assert found.official.summary["FSLA"] == 100


def test_jobs_change_nothing(tmp_path):
    truth, predictions = files()
    done = []
    one = evaluated(tmp_path, truth, predictions)
    two = evaluated(
        tmp_path, truth, predictions, jobs=2, progress=lambda at, of: done.append((at, of))
    )
    assert one.official.summary == pytest.approx(two.official.summary, rel=0, abs=0, nan_ok=True)
    assert done == [(1, 2), (2, 2)]
