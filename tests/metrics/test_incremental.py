"""Frame by frame gives what the file gives."""

import json

import numpy as np
import pytest
from metric_cases import GOLDEN, golden, rectangle, rle

from streamavis.errors import InputError
from streamavis.metrics import (
    Category,
    Sight,
    StreamingEvaluator,
    evaluate,
    read_predictions,
    read_truth,
)
from streamavis.types import Rle

CLASSES = [Category(1, "person"), Category(2, "violin")]


def sights(tracks, frame, size):
    return [
        Sight(t.id, t.category_id, Rle(size, t.masks[frame].decode()), t.score, t.crowd)
        for t in tracks
        if t.masks[frame] is not None
    ]


def first_frame(track):
    return next((t for t, mask in enumerate(track.masks) if mask is not None), len(track.masks))


def feed(evaluator, truth, predictions, close):
    """All videos in turn, a frame of each at a time, as live streams come."""
    for frame in range(max(len(video.frames) for video in truth.videos)):
        for video in truth.videos:
            if frame < len(video.frames):
                predicted = predictions.tracks.get(video.id, [])
                evaluator.add(
                    video.name,
                    float(video.times_s[frame]),
                    sights(video.tracks, frame, video.size),
                    sights(predicted, frame, video.size),
                )
                if close and frame == len(video.frames) - 1:
                    evaluator.close(video.name)


@pytest.mark.parametrize("close", [True, False])
@pytest.mark.parametrize("name", GOLDEN)
def test_equal_to_the_file(name, close, tmp_path):
    for part in ("gt", "pred"):
        (tmp_path / f"{part}.json").write_text(json.dumps(golden(name, part)))
    truth = read_truth(tmp_path / "gt.json")
    predictions = read_predictions(tmp_path / "pred.json", truth)
    # A stream knows tracks by their first appearance, and none that never appears.
    for tracks in [video.tracks for video in truth.videos] + [*predictions.tracks.values()]:
        tracks[:] = [one for one in tracks if (one.areas >= 0).any()]
        tracks.sort(key=first_frame)
    evaluator = StreamingEvaluator(truth.categories)
    feed(evaluator, truth, predictions, close)
    streamed, whole = evaluator.result(), evaluate(truth, predictions)
    for protocol in ("official", "corrected"):
        one, other = getattr(streamed, protocol), getattr(whole, protocol)
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_allclose(
                [*one.summary.values()], [*other.summary.values()], rtol=0, atol=1e-9
            )
            assert one.videos == pytest.approx(other.videos, nan_ok=True)
    assert streamed.official_error == whole.official_error
    assert streamed.streaming == pytest.approx(whole.streaming, nan_ok=True)
    assert streamed.confusion == whole.confusion


def seen(track=1, category=1, x=0, size=(24, 32)):
    packed = rle(rectangle(x, 0, 8, 8, size))
    return Sight(track, category, Rle(size, packed["counts"]))


def test_result_in_the_middle_of_a_stream_changes_nothing():
    asked, silent = StreamingEvaluator(CLASSES), StreamingEvaluator(CLASSES)
    for t in range(5):
        for evaluator in (asked, silent):
            evaluator.add("a", t / 10, [seen(x=t)], [seen(track=9, x=2 * t)])
        asked.result()
    assert asked.result().corrected.summary == pytest.approx(
        silent.result().corrected.summary, nan_ok=True
    )


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        ((0.0, [], []), "frame 1: time"),
        ((1.0, [seen(), seen()], []), "more than once"),
        ((1.0, [], [seen(category=2)]), "changes its category"),
        ((1.0, [seen(category=5)], []), "category_id, not 5"),
        ((1.0, [seen(size=(8, 9))], []), "size (8, 9)"),
        ((1.0, [Sight(1, 1, Rle((24, 32), "?"))], []), "frame 1"),
    ],
)
def test_a_frame_that_does_not_fit_is_refused_and_not_taken(frame, says):
    evaluator = StreamingEvaluator(CLASSES)
    evaluator.add("a", 0.0, [seen()], [seen()])
    with pytest.raises(InputError) as caught:
        evaluator.add("a", *frame)
    assert says in str(caught.value)
    assert "'a'" in str(caught.value)
    evaluator.add("a", 1.0, [seen()], [seen()])
    assert evaluator.result().corrected.summary["FSLA"] == 100


def test_a_closed_video_takes_no_frame():
    evaluator = StreamingEvaluator(CLASSES)
    evaluator.add("a", 0.0, [], [])
    evaluator.close("a")
    with pytest.raises(InputError, match="closed"):
        evaluator.add("a", 1.0, [], [])
    with pytest.raises(InputError, match="not open"):
        evaluator.close("a")
