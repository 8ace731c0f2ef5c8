"""Calibration files of cameras: our TOML or JSON, OpenCV's YAML, ROS's camera_info YAML."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Any, Final

from streamavis.bearing.camera import Camera
from streamavis.errors import ArgumentError, InputError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_camera"]

_LONGEST: Final = 1 << 20  # bytes: a calibration file is a few hundred
_OURS: Final = ("width", "height", "fx", "fy", "cx", "cy")
_LENS: Final = ("k1", "k2", "p1", "p2", "k3")
_NUMBER: Final = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_MATRIX: Final = re.compile(
    r"^(\w+):[^\n]*\n(?:[ \t]+(?:rows|cols|dt):[^\n]*\n)*[ \t]+data:\s*\[([^\]]*)\]", re.MULTILINE
)
_SCALAR: Final = re.compile(rf"^(\w+):\s*({_NUMBER})\s*$", re.MULTILINE)
_WORD: Final = re.compile(r"^(\w+):\s*[\"']?([A-Za-z_]+)[\"']?\s*$", re.MULTILINE)
_MODELS: Final = ("plumb_bob", "rational_polynomial")
_EXPECTED: Final = (
    "expected width, height, fx, fy, cx, cy and, if the lens distorts, k1, k2, p1, p2, k3 "
    "(TOML, JSON), or camera_matrix and distortion coefficients (YAML of OpenCV or ROS)"
)


def read_camera(path: Path) -> Camera:
    """Read a camera's calibration.

    Raises:
        InputError: the file cannot be read, or is no calibration of a pinhole camera with at most
            five distortion coefficients.
    """
    try:
        if path.stat().st_size > _LONGEST:
            raise InputError(f"{path}: has over {_LONGEST} bytes, which no calibration has")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is no text; {_EXPECTED}") from error
    try:
        suffix = path.suffix.lower()
        if suffix in (".yaml", ".yml") or text.startswith("%YAML"):
            return _from_matrices(_yaml(text))
        fields = json.loads(text) if suffix == ".json" else tomllib.loads(text)
        if not isinstance(fields, dict):
            raise ArgumentError(f"holds a {type(fields).__name__}")
        return _from_matrices(fields) if "camera_matrix" in fields else _from_ours(fields)
    except KeyError as error:
        raise InputError(f"{path}: the key {error} is missing; {_EXPECTED}") from error
    except (ArgumentError, TypeError, ValueError) as error:
        raise InputError(f"{path}: {error}; {_EXPECTED}") from error


def _from_ours(fields: dict[str, Any]) -> Camera:
    unknown = fields.keys() - {*_OURS, *_LENS, "name"}
    if unknown:
        raise ArgumentError(f"unknown key {sorted(unknown)[0]!r}")
    width, height, fx, fy, cx, cy = (float(fields[name]) for name in _OURS)
    return _camera(width, height, (fx, fy, cx, cy), [float(fields.get(name, 0)) for name in _LENS])


def _from_matrices(fields: dict[str, Any]) -> Camera:
    """As OpenCV and ROS have it: a 3x3 matrix and a list of coefficients."""
    matrix = _numbers(fields["camera_matrix"])
    if len(matrix) != 9:
        raise ArgumentError(f"camera_matrix has {len(matrix)} numbers, expected 9")
    model = fields.get("distortion_model", fields.get("camera_model", "plumb_bob"))
    if model not in (*_MODELS, "pinhole"):
        raise ArgumentError(f"the distortion model {model!r} is not supported")
    names = ("distortion_coefficients", "dist_coeffs", "dist_coeff", "distortion")
    given: Any = next((fields[name] for name in names if name in fields), [])
    width, height = (
        float(fields[name] if name in fields else fields[f"image_{name}"])
        for name in ("width", "height")
    )
    place = (matrix[0], matrix[4], matrix[2], matrix[5])
    return _camera(width, height, place, _numbers(given))


def _camera(
    width: float, height: float, place: tuple[float, ...], distortion: list[float]
) -> Camera:
    if any(distortion[5:]):
        raise ArgumentError(
            f"the lens has {len(distortion)} distortion coefficients, supported are 5 "
            "(k1, k2, p1, p2, k3); calibrate without the rational or thin-prism model"
        )
    k1, k2, p1, p2, k3 = (*distortion[:5], *[0.0] * (5 - len(distortion[:5])))
    fx, fy, cx, cy = place
    return Camera((round(height), round(width)), fx, fy, cx, cy, (k1, k2, p1, p2, k3))


def _numbers(value: Any) -> list[float]:
    """A matrix as a flat list: nested lists, or a map with `data`."""
    if isinstance(value, dict):
        value = value["data"]
    if isinstance(value, list):
        return [number for item in value for number in _numbers(item)]
    return [float(value)]


def _yaml(text: str) -> dict[str, Any]:
    """The matrices, numbers and words of a YAML file as OpenCV and ROS write it.

    No general YAML reader: only keys at the left edge are looked at.
    """
    fields: dict[str, Any] = dict(_WORD.findall(text))
    fields |= {name: float(number) for name, number in _SCALAR.findall(text)}
    for name, data in _MATRIX.findall(text):
        words = [word for word in re.split(r"[\s,]+", data) if word]
        fields[name.lower()] = [float(word) for word in words]
    return fields
