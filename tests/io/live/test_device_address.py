import traceback

import pytest

from streamavis.clock import MonotonicClock
from streamavis.errors import InputError
from streamavis.io.live import Kind, LiveSource, parse_camera, parse_sound
from streamavis.io.live.devices import camera_device


@pytest.mark.parametrize(
    ("text", "kind", "target"),
    [
        ("0", Kind.V4L2, "/dev/video0"),
        ("camera:12", Kind.V4L2, "/dev/video12"),
        ("v4l2:/dev/video3", Kind.V4L2, "/dev/video3"),
        ("/dev/video1", Kind.V4L2, "/dev/video1"),
        ("rtsp://u:p@cam/1", Kind.NETWORK, "rtsp://u:p@cam/1"),
        ("http://cam/stream.mjpeg", Kind.NETWORK, "http://cam/stream.mjpeg"),
        ("udp://@:1234", Kind.NETWORK, "udp://@:1234"),
        ("tcp://127.0.0.1:5000", Kind.NETWORK, "tcp://127.0.0.1:5000"),
        ("lavfi:testsrc2[out0]", Kind.LAVFI, "lavfi:testsrc2[out0]"),
    ],
)
def test_what_a_camera_may_be(text, kind, target):
    address = parse_camera(text)
    assert (address.kind, address.target) == (kind, target)


def test_a_mode_is_asked_for_behind_a_question_mark():
    address = parse_camera("camera:0?size=1280x720&fps=30&format=mjpeg")
    assert address.target == "/dev/video0"
    assert dict(address.options) == {"size": "1280x720", "fps": "30", "format": "mjpeg"}


def test_a_file_is_a_camera(tmp_path):
    path = tmp_path / "clip.mp4"
    path.touch()
    assert parse_camera(str(path)).kind is Kind.FILE
    assert parse_camera(f"file://{path}").target == str(path)


@pytest.mark.parametrize(
    ("text", "kind", "target"),
    [
        ("mic:default", Kind.MICROPHONE, "default"),
        ("default", Kind.MICROPHONE, "default"),
        ("mic:USB Audio", Kind.MICROPHONE, "USB Audio"),
        ("none", Kind.NONE, ""),
        ("rtsp://cam/1", Kind.NETWORK, "rtsp://cam/1"),
    ],
)
def test_what_a_microphone_may_be(text, kind, target):
    address = parse_sound(text)
    assert (address.kind, address.target) == (kind, target)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the address is empty; expected camera:0"),
        ("camera:front", "expected a number"),
        ("camera:0?size=big", "does not understand size=big"),
        ("camera:0?zoom=2", "does not understand zoom=2"),
        ("v4l2:video0", "expected a device node"),
        ("webcam", "webcam: no such file; expected camera:0"),
        ("gopher://cam/1", "gopher:// is not known"),
        ("rtsp:///1", "names no host"),
        ("udp://127.0.0.1", "names no port"),
        ("http://cam:port/", "is not a valid address"),
        ("lavfi:", "names no filter graph"),
    ],
)
def test_what_is_no_camera_is_told_with_what_would_be(text, sentence):
    with pytest.raises(InputError, match=sentence.replace("?", r"\?")):
        parse_camera(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("mic:", "names no microphone"), ("camera:0", "a camera without sound")],
)
def test_what_is_no_microphone(text, sentence):
    with pytest.raises(InputError, match=sentence):
        parse_sound(text)


SECRETS = [
    ("rtsp://admin:s3cr%40t@cam.local:554/1?x=1", ["s3cr%40t", "s3cr@t", "admin"]),
    ("http://cam/video.cgi?user=bob77&pwd=hunter2&size=640x480", ["bob77", "hunter2"]),
    ("https://token99@cam/live", ["token99"]),
    ("rtmp://host/app?streamkey=abcdef", ["abcdef"]),
]


@pytest.mark.parametrize(("text", "secrets"), SECRETS)
def test_credentials_are_in_no_name_repr_or_message(text, secrets):
    address = parse_camera(text)
    said = address.scrub(f"cannot open '{text}' for {secrets[-1]}")
    for secret in secrets:
        for shown in (address.name, str(address), repr(address), said):
            assert secret not in shown
    assert "size=640x480" in address.name or "size" not in text  # what is no secret stays


@pytest.mark.parametrize(
    "text",
    [
        "http://bob77:hunter2@127.0.0.1:1/v?pwd=hunter2",
        "ftp://bob77:hunter2@x/",
        "http://bob77:hunter2@h:x/",
    ],
)
def test_credentials_are_in_no_error(text, capfd):
    with pytest.raises(InputError) as caught:
        LiveSource(text, "none")
    said = "".join(traceback.format_exception(caught.value)) + "".join(capfd.readouterr())
    said = said.replace(f"LiveSource({text!r}", "")
    assert "hunter2" not in said and "bob77" not in said


def test_the_cause_of_an_error_does_not_name_the_address_in_full():
    capture = camera_device("http://bob77:hunter2@127.0.0.1:1/v").open(MonotonicClock())
    with pytest.raises(InputError) as caught:
        next(iter(capture))
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
