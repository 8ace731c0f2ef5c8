"""What a result offers besides its fields."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from streamavis.masks import encode
from streamavis.types import FrameResult, Track


def track(number: int, label: str, sounding: float | None, box: tuple[int, int, int, int]) -> Track:
    mask = np.zeros((6, 8), np.bool_)
    x, y, width, height = box
    mask[y : y + height, x : x + width] = True
    area = width * height
    return Track(number, label, 0, 0.9, sounding, 0.9, box, (x, y), area, encode(mask))


def result(*tracks: Track) -> FrameResult:
    return FrameResult("main", 0, 0, 0, (6, 8), "ok", 0.0, "ok", "pts", list(tracks))


SPEAKER = track(1, "person", 0.9, (0, 0, 3, 2))
LISTENER = track(2, "person", 0.1, (4, 1, 2, 2))
UNKNOWN = track(3, "cat", None, (0, 4, 8, 2))


def test_masks_are_one_array_in_the_order_of_the_tracks():
    found = result(SPEAKER, LISTENER, UNKNOWN)
    assert (found.masks.shape, found.masks.dtype) == ((3, 6, 8), np.bool_)
    assert found.masks.sum((1, 2)).tolist() == [6, 4, 16]
    assert found.masks[1, 1, 4]
    assert (found.masks[2] == UNKNOWN.mask).all()


def test_no_tracks_are_no_masks_of_the_picture_s_size():
    assert result().masks.shape == (0, 6, 8)
    assert result().masks.dtype == np.bool_
    assert not result().masks.any(0).any()


def test_sounding_leaves_out_what_is_silent_or_unknown():
    assert result(SPEAKER, LISTENER, UNKNOWN).sounding == [SPEAKER]
    assert result(LISTENER, UNKNOWN).sounding == []


def test_tracks_by_their_label_and_one_after_the_other():
    found = result(SPEAKER, UNKNOWN, LISTENER)
    assert found["person"] == [SPEAKER, LISTENER]
    assert found["dog"] == []
    assert list(found) == found.tracks
    assert bool(result()), "a result without tracks is a result"


def test_a_robot_needs_no_torch_for_them():
    code = """
import sys
from streamavis.types import FrameResult, Rle, Track
rle = Rle((2, 2), "04")
one = Track(1, "cat", 0, 0.9, 0.8, None, (0, 0, 2, 2), (0.5, 0.5), 4, rle)
result = FrameResult("main", 0, 0, 0, (2, 2), "ok", 0.0, "ok", "pts", [one])
assert result.masks.sum() == 4 and result.sounding == result["cat"] == [one]
assert not {"torch", "av", "cv2"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
