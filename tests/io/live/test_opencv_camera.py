"""Cameras of macOS and Windows, with OpenCV and the list of cameras replaced."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import pytest

from streamavis.clock import ManualClock
from streamavis.errors import InputError, MissingExtraError
from streamavis.io.live.address import parse_camera
from streamavis.io.live.cameras import list_cameras
from streamavis.io.live.devices import camera_device


class Camera:
    """OpenCV's capture: two pictures, green and blue, then nothing."""

    opened: tuple = ()
    there = True

    def __init__(self, number, backend):
        type(self).opened = number, backend
        self.modes, self.released, self.left = {}, False, 2

    def isOpened(self):
        return self.there

    def set(self, key, value):
        self.modes[key] = value

    def get(self, key):
        return self.modes.get(key, 0.0)

    def read(self):
        self.left -= 1
        image = np.zeros((4, 6, 3), np.uint8)
        image[..., self.left % 2] = 255
        return self.left >= 0, image

    def release(self):
        type(self).last = self


@pytest.fixture(params=["darwin", "win32"])
def system(request, monkeypatch):
    monkeypatch.setattr(sys, "platform", request.param)
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    return request.param


def test_a_camera_is_opened_by_its_number_and_read_until_it_gives_nothing(system):
    clock = ManualClock(5)
    capture = camera_device("camera:1?size=16x12&fps=25").open(clock)
    pictures = iter(capture)
    first = next(pictures)
    assert next(pictures).image[0, 0].tolist() == [0, 0, 255], "blue"
    with pytest.raises(InputError, match=r"camera:1.* gives no more pictures"):
        next(pictures)
    assert Camera.opened == (1, cv2.CAP_AVFOUNDATION if system == "darwin" else cv2.CAP_DSHOW)
    assert capture.fps == 25
    modes = Camera.last.modes
    assert (modes[cv2.CAP_PROP_FRAME_WIDTH], modes[cv2.CAP_PROP_FRAME_HEIGHT]) == (16, 12)
    assert first.image[0, 0].tolist() == [0, 255, 0], "RGB of OpenCV's BGR"
    assert (first.capture_time_ns, first.clock) == (5, "arrival")


def test_one_that_is_not_there_is_told(system, monkeypatch):
    monkeypatch.setattr(Camera, "there", False)
    with pytest.raises(InputError, match="cannot be opened"):
        list(camera_device("camera:0").open(ManualClock()))


def test_cameras_are_listed_by_name(system, monkeypatch):
    module = ModuleType("cv2_enumerate_cameras")
    found = [SimpleNamespace(index=0, name="FaceTime HD"), SimpleNamespace(index=1, name="C920")]
    module.enumerate_cameras = lambda backend: found
    monkeypatch.setitem(sys.modules, "cv2_enumerate_cameras", module)
    assert [(camera.address, camera.name) for camera in list_cameras()] == [
        ("camera:0", "FaceTime HD"),
        ("camera:1", "C920"),
    ]


def test_without_the_package_the_cure_is_named(system, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2_enumerate_cameras", None)
    with pytest.raises(MissingExtraError, match="engine"):
        list_cameras()


def test_a_node_is_of_linux_alone(system):
    assert parse_camera("v4l2:/dev/v4l/x").target == "/dev/v4l/x"
    with pytest.raises(InputError, match="camera:0"):
        camera_device("v4l2:/dev/v4l/x")
