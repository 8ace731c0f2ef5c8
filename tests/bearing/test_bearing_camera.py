"""Pixels to degrees and back, with and without distortion, against OpenCV."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamavis.bearing import Camera, read_camera
from streamavis.errors import ArgumentError, InputError

LENS = (-0.31, 0.12, 0.001, -0.0007, -0.02)
DISTORTED = Camera((480, 640), 410.0, 405.0, 322.5, 236.0, LENS)


def test_the_edges_of_the_picture_are_half_the_field_of_view_apart() -> None:
    camera = Camera.from_hfov(70, (360, 640))
    assert camera.bearing(-0.5, 179.5) == pytest.approx((-35, 0))
    assert camera.bearing(639.5, 179.5) == pytest.approx((35, 0))
    right, up = camera.bearing(500, 20) or (0, 0)
    assert right > 0
    assert up > 0, "y is down in pixels, elevation is up"


@pytest.mark.parametrize("plane", [(-0.7, -0.5), (0.65, 0.55), (0, 0), (-0.5, 0.3), (0.6, -0.4)])
def test_undistortion_agrees_with_opencv(plane: tuple[float, float]) -> None:
    matrix = np.array([[410, 0, 322.5], [0, 405, 236], [0, 0, 1.0]])
    none = np.zeros(3)
    pixel, _ = cv2.projectPoints(np.array([[*plane, 1.0]]), none, none, matrix, np.array(LENS))
    assert DISTORTED.undistorted(*pixel[0, 0]) == pytest.approx(plane, abs=1e-7)


def test_a_direction_and_its_pixel_are_one() -> None:
    for azimuth in (-35, -10, 0, 20, 33):
        for elevation in (-20, 0, 15):
            pixel = DISTORTED.pixel(azimuth, elevation)
            assert pixel is not None
            assert DISTORTED.bearing(*pixel) == pytest.approx((azimuth, elevation), abs=1e-6)
    assert DISTORTED.pixel(120) is None, "behind the camera"


def test_a_lens_that_folds_over_has_no_bearing_there() -> None:
    folding = Camera((480, 640), 300, 300, 320, 240, (-0.6, 0, 0, 0, 0))
    assert folding.bearing(320, 240) == pytest.approx((0, 0))
    assert folding.bearing(639, 479) is None


def test_another_resolution_keeps_every_bearing() -> None:
    half = DISTORTED.scaled((240, 320))
    # The middle of a pixel of the small picture lies between four of the large one.
    assert half.bearing(100, 50) == pytest.approx(DISTORTED.bearing(200.5, 100.5), abs=1e-9)
    with pytest.raises(ArgumentError, match="another shape"):
        DISTORTED.scaled((360, 640))


@pytest.mark.parametrize("angle", [0, 180, math.nan])
def test_an_impossible_field_of_view_is_refused(angle: float) -> None:
    with pytest.raises(ArgumentError, match="expected 1 to 179"):
        Camera.from_hfov(angle, (480, 640))


OURS = {
    "width": 640, "height": 480, "fx": 410, "fy": 405, "cx": 322.5, "cy": 236,
    "k1": -0.31, "k2": 0.12, "p1": 0.001, "p2": -0.0007, "k3": -0.02,
}  # fmt: skip
ROS = """\
image_width: 640
image_height: 480
camera_name: front
camera_matrix:
  rows: 3
  cols: 3
  data: [410.0, 0.0, 322.5, 0.0, 405.0, 236.0, 0.0, 0.0, 1.0]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.31, 0.12, 0.001,
         -0.0007, -0.02]
"""


def write_opencv(path: Path, coefficients: tuple[float, ...]) -> None:
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    storage.write("image_width", 640)
    storage.write("image_height", 480)
    storage.write("camera_matrix", np.array([[410, 0, 322.5], [0, 405, 236], [0, 0, 1.0]]))
    storage.write("distortion_coefficients", np.array([coefficients]))
    storage.release()


def test_every_kind_of_file_gives_the_same_camera(tmp_path: Path) -> None:
    (tmp_path / "ours.toml").write_text("\n".join(f"{k} = {v}" for k, v in OURS.items()))
    (tmp_path / "ours.json").write_text(json.dumps(OURS))
    (tmp_path / "ros.yaml").write_text(ROS)
    write_opencv(tmp_path / "opencv.yml", LENS)
    for path in sorted(tmp_path.iterdir()):
        assert read_camera(path) == DISTORTED, path.name


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.toml", "width = 640", "'height' is missing"),
        ("a.toml", "width = 640\nfocal = 3", "unknown key 'focal'"),
        ("a.toml", "no calibration", "expected width"),
        ("a.json", "[1, 2]", "holds a list"),
        ("a.yaml", "image_width: 640\n", "'camera_matrix' is missing"),
        ("a.yaml", ROS.replace("plumb_bob", "equidistant"), "'equidistant' is not supported"),
        ("a.yaml", ROS.replace("image_width", "w"), "'image_width' is missing"),
        ("a.yaml", ROS.replace("410.0", "-410.0"), "must be positive"),
        ("a.yaml", ROS.replace("-0.02]", "-0.02, 0.1, 0, 0]"), "8 distortion coefficients"),
    ],
)
def test_a_wrong_file_is_refused_with_what_is_expected(
    tmp_path: Path, name: str, text: str, says: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError, match=says) as caught:
        read_camera(path)
    assert str(path) in str(caught.value)


def test_what_is_no_text_and_what_is_not_there_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is no text"):
        read_camera(path)
    with pytest.raises(InputError, match="No such file"):
        read_camera(tmp_path / "none.toml")
