"""Sizes, counts and edges are checked before pycocotools computes with them.

Each case ended in a crash of the process, in an internal error or in minutes of work.
"""

import json

import pytest

from streamavis.errors import InputError
from streamavis.metrics import evaluate_files, limits, read_truth

TRIANGLE = [0, 0, 9, 0, 9, 9]
LONG = [0, 0, 6400, 6400] * 1_000  # 2,000 corners, 12.8 M pixels of edges


def truth_of(mask, height=48, width=64, **more):
    return {
        "categories": [{"id": 1, "name": "dog"}],
        "videos": [{"id": 1, "file_names": ["v/0.jpg"], "height": height, "width": width}],
        "annotations": [
            {"video_id": 1, "category_id": 1, "id": 7, "segmentations": [mask], **more}
        ],
    }


def refused(folder, truth):
    path = folder / "gt.json"
    path.write_text(truth if isinstance(truth, str) else json.dumps(truth))
    with pytest.raises(InputError) as caught:
        read_truth(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        ([[0, 0, 1e9, 1e9]], "beyond 6400 pixels"),
        ([[0, 0, 4e8, 1]], "beyond 6400 pixels"),
        ([[-1e9, 0, 5, 5]], "beyond 6400 pixels"),
        ([[6399, 0, 5, 5]], "beyond 6400 pixels"),
        ([[0, 0, -5, 5]], "negative side"),
        ([[0, 0, 5, -1e9]], "negative side"),
        ([[0, 0, 5, 5], [0, 0, 5]], "3 numbers"),
        ([LONG], "at most 1048576"),
        ([TRIANGLE * 20_000], "120000 numbers in a polygon, at most 100000"),
        ([TRIANGLE] * 1_025, "1025 parts of one mask, at most 1024"),
    ],
)
def test_a_mask_that_asks_for_too_much_is_refused_by_name(mask, words, tmp_path):
    message = refused(tmp_path, truth_of(mask))
    assert words in message
    assert "video 'v', track 0 (id 7): frame 0" in message


@pytest.mark.parametrize("sides", [(10**8, 10**8), (16_385, 8), (8, 2**70), (-4, -4)])
def test_a_frame_that_is_too_large_is_refused(sides, tmp_path):
    far = [[0, 0, max(sides), 0, max(sides), max(sides)]]
    assert "video 'v'" in refused(tmp_path, truth_of(far, *sides))


def test_a_size_that_only_a_prediction_states_is_checked(tmp_path):
    truth = truth_of(None)
    del truth["annotations"][0], truth["videos"][0]["height"]
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    mask = {"size": [-3, -3], "counts": "9"}
    rows = [{"video_id": 1, "category_id": 1, "score": 0.5, "segmentations": [mask]}]
    (tmp_path / "pred.json").write_text(json.dumps(rows))
    with pytest.raises(InputError, match=r"video 'v', track 0: frame 0: .* must be positive"):
        evaluate_files(tmp_path / "gt.json", [tmp_path / "pred.json"])


def test_the_largest_frame_and_its_box_are_read(tmp_path):
    side = limits.MAX_SIDE
    (tmp_path / "gt.json").write_text(json.dumps(truth_of([[0, 0, side, side]], side, side)))
    (track,) = read_truth(tmp_path / "gt.json").videos[0].tracks
    assert track.areas.tolist() == [side * side]


@pytest.mark.parametrize("place", ["file", "entry", "mask"])
def test_a_file_that_is_nested_too_deeply_is_refused(place, tmp_path):
    deep = "[" * 100_000 + "]" * 100_000
    truth = json.dumps(truth_of(None))
    changed = {
        "file": f'{{"more": {deep}}}',
        "entry": truth.replace('"id": 7', f'"more": {deep}'),
        "mask": truth.replace("[null]", f"[{deep}]"),
    }[place]
    assert "nested too deeply" in refused(tmp_path, changed)


def test_finding_a_repeated_id_takes_one_pass(tmp_path):
    """100,000 ids; comparing each with all before it takes minutes."""
    counted = 0

    class Id(int):
        def __eq__(self, other):
            nonlocal counted
            counted += 1
            return int(self) == int(other)

        __hash__ = int.__hash__

    ids = [Id(n) for n in range(100_000)] + [Id(99_999)]
    assert limits.first_repeated(ids) == 99_999
    assert counted < 2 * len(ids)


def test_too_many_categories_are_refused(tmp_path):
    truth = truth_of(None)
    truth["categories"] = [{"id": n, "name": str(n)} for n in range(10_001)]
    assert "10001 categories, at most 10000" in refused(tmp_path, truth)


@pytest.mark.parametrize("fps", [1e-320, float("1e308") * -1])
def test_times_stay_finite(fps, tmp_path):
    truth = truth_of(None)
    truth["videos"][0].update(fps=fps, file_names=["v/0.jpg", "v/1.jpg"])
    assert "fps must be positive" in refused(tmp_path, truth)


def test_an_id_beyond_64_bits_is_refused(tmp_path):
    assert "category 0" in refused(
        tmp_path, truth_of(None) | {"categories": [{"id": 2**64, "name": "x"}]}
    )
