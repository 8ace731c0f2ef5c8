"""Asking whether a device is there: no answer is a reason, and a doubt is none."""

from __future__ import annotations

import socket

import pytest

from streamavis.io.live.address import parse_camera
from streamavis.io.live.devices import camera_device
from streamavis.io.live.probe import is_waited_for, network_problem


@pytest.fixture
def port():
    """Of this machine, where somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def problem(url: str) -> str:
    return network_problem(parse_camera(url), 5.0)


@pytest.mark.parametrize("scheme", ["rtsp", "http", "https", "tcp", "rtmp"])
def test_who_answers_at_the_port_is_there(port, scheme):
    assert problem(f"{scheme}://me:secret@127.0.0.1:{port}/x") == ""


def test_who_does_not_is_not_and_no_secret_is_told():
    told = problem("http://me:secret@127.0.0.1:1/x.mjpeg?pwd=hidden")
    assert "connection refused" in told
    assert "secret" not in told
    assert "hidden" not in told


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(), "no answer within 5 s"),
        (socket.gaierror(-2, "Name or service not known"), "no such host"),
        (UnicodeError("label too long"), "no such host"),
        (OSError(113, "No route to host"), "no route to host"),
    ],
)
def test_every_reason_is_a_sentence(monkeypatch, error, words):
    asked = []

    def connect(address, timeout):
        asked.append(address)
        raise error

    monkeypatch.setattr(socket, "create_connection", connect)
    assert words in problem("rtsp://camera/x")
    assert asked == [("camera", 554)]


@pytest.mark.parametrize(
    ("url", "waits"),
    [
        ("udp://@:5000", True),
        ("udp://10.0.0.1:5000", True),
        ("tcp://127.0.0.1:5000?listen=1", True),
        ("tcp://127.0.0.1:5000?listen=0", False),
        ("rtsp://camera/x", False),
    ],
)
def test_nobody_is_called_where_the_other_side_calls(monkeypatch, url, waits):
    monkeypatch.setattr(socket, "create_connection", None)  # to call it would be an error
    assert is_waited_for(parse_camera(url)) is waits
    assert (camera_device(url).longest_pause_s < 1) is waits
    if waits:
        assert problem(url) == ""


def test_behind_a_proxy_nothing_can_be_said(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert problem("http://127.0.0.1:1/x.mjpeg") == ""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert "refused" in problem("http://127.0.0.1:1/x.mjpeg")


def test_a_node_of_the_machine_is_there_or_not():
    assert "no such device" in camera_device("camera:77").problem(1.0)
    assert camera_device("v4l2:/dev/null").problem(1.0) == ""
