"""The geometry of microphone arrays."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from streamavis.bearing import MicArray, read_array, wrapped
from streamavis.bearing.channels import orders
from streamavis.errors import ArgumentError, InputError


def test_sound_from_the_right_reaches_the_right_microphone_first() -> None:
    left, right = MicArray.stereo(0.1).delays(np.array([90.0]))[0]
    assert right < left
    assert left - right == pytest.approx(0.1 / 343, rel=1e-9)


def test_a_ring_hears_all_round_and_a_line_the_half_in_front() -> None:
    assert MicArray.ring(4, 0.05).all_round
    assert len(MicArray.ring(3, 0.05).azimuths(2)) == 180
    stereo = MicArray.stereo(0.1)
    assert not stereo.all_round
    assert stereo.azimuths(2)[[0, -1]].tolist() == [-90, 90]
    backwards = MicArray(((0.05, 0, 0), (-0.05, 0, 0)))
    assert backwards.azimuths(2)[[0, -1]].tolist() == [-90, 90], "of the same line"


@pytest.mark.parametrize("yaw", [30.0, -120.0])
def test_yaw_turns_the_array_with_its_half(yaw: float) -> None:
    turned = MicArray(MicArray.stereo(0.1).positions, yaw_deg=yaw)
    assert turned.azimuths(2).mean() == pytest.approx(yaw)
    left, right = turned.delays(np.array([yaw]))[0]
    assert left == pytest.approx(right), "its front is at the yaw"
    left, right = turned.delays(np.array([yaw + 90]))[0]
    assert left - right == pytest.approx(0.1 / 343, rel=1e-9)


def test_a_slanting_line_has_the_front_that_is_nearer_to_the_cameras() -> None:
    slanting = MicArray(((0.0, 0.0, 0.0), (0.1, 0.0, 0.1)))  # towards 45 degrees right
    assert wrapped(float(slanting.azimuths(2).mean())) == pytest.approx(-45)


@pytest.mark.parametrize(
    ("positions", "says"),
    [
        (((0, 0, 0),), "has 1 microphones"),
        (((0, 0, 0), (0.001, 0, 0)), "0.001 m apart"),
        (((0, 0, 0), (100, 0, 0)), "positions are in metres"),
        (((0, 0, 0), (float("nan"), 0, 0)), "finite"),
    ],
)
def test_an_impossible_array_is_refused(positions: tuple, says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        MicArray(positions)


def test_microphones_above_each_other_give_no_azimuth() -> None:
    with pytest.raises(ArgumentError, match="above each other"):
        MicArray(((0, 0, 0), (0, 0.1, 0))).azimuths()


def test_a_file_gives_positions_and_yaw(tmp_path: Path) -> None:
    fields = {"positions": [[-0.05, 0, 0], [0.05, 0, 0]], "yaw_deg": 10, "name": "bar"}
    (tmp_path / "a.json").write_text(json.dumps(fields))
    (tmp_path / "a.toml").write_text(
        'positions = [[-0.05, 0, 0], [0.05, 0, 0]]\nyaw_deg = 10\nname = "bar"'
    )
    expected = MicArray(((-0.05, 0, 0), (0.05, 0, 0)), 10, "bar")
    assert read_array(tmp_path / "a.json") == read_array(tmp_path / "a.toml") == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1", "unknown key 'x'"),
        ("yaw_deg = 1", "'positions' is missing"),
        ("positions = [[1, 2], [3, 4]]", "positions ="),
        ("positions = 3", "positions ="),
        ("nothing", "neither TOML nor JSON"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        read_array(path)


def test_only_orders_that_sound_can_tell_apart_are_tried() -> None:
    assert list(orders(MicArray.stereo(0.1))) == [], "left and right are mirrored"
    assert list(orders(MicArray.ring(3, 0.05))) == []
    # 24 orders of a square, 8 of which are the square turned or mirrored.
    assert len(list(orders(MicArray.ring(4, 0.05)))) == 2
    uneven = MicArray(((0, 0, 0), (0.03, 0, 0), (0.1, 0, 0)))
    assert len(list(orders(uneven))) == 5
