"""What a JPEG's markers say, read before anything is decoded, strictly."""

from __future__ import annotations

import contextlib
import struct

import av
import cv2
import numpy as np
import pytest
from streamavis_apps.web import pictures
from streamavis_apps.web.pictures import MAX_SCANS, from_jpeg, read_jpeg

from streamavis.errors import SchemaError

SOI, EOI = b"\xff\xd8", b"\xff\xd9"


def jpeg(width=64, height=48, *flags, grey=False):
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    image = image[:, :, 0] if grey else image
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 60, *flags])[1].tobytes()


def progressive(width=64, height=48):
    return jpeg(width, height, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)


def place_of(data, markers):
    """Where the first segment of one of these markers begins."""
    at = 2
    while data[at + 1] not in markers:
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return at


def sized(data, width, height):
    at = place_of(data, {0xC0, 0xC1, 0xC2}) + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def with_fill_bytes_that_hide_the_size(width, height):
    """Libjpeg skips the FF FF; who takes it for a marker with a length finds a small header."""
    big = sized(jpeg(), width, height)
    skip, length = 0xFEFF, 0xFFF0
    out = bytearray(SOI + b"\xff\xff\xfe" + struct.pack(">H", length))
    out += bytes(5 + length - len(out))
    small = b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", 48, 64) + b"\x03" + b"\x01\x11\0" * 3
    out[4 + skip : 4 + skip + len(small)] = small
    return bytes(out) + big[2:]


def scan_bomb(scans):
    """A progressive picture with this many scans of a few bytes more."""
    data = progressive()
    table = b"\xff\xc4" + struct.pack(">H", 20) + b"\x10" + bytes([1] + [0] * 15) + b"\xe0"
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x3f\x3f\x00" + b"\x7f\xff\x00"
    at = place_of(data, {0xDA})
    return data[:at] + table + scan * scans + data[at:]


@pytest.mark.parametrize("data", [jpeg(), progressive(), jpeg(33, 17), jpeg(grey=True)])
def test_what_encoders_make_is_read_and_decoded(data):
    header = read_jpeg(data)
    assert (header.height, header.width) in {(48, 64), (17, 33)}
    assert header.components in {1, 3}
    assert 1 <= header.scans <= 12
    assert from_jpeg(data).shape == (header.height, header.width, 3)


@pytest.mark.parametrize("restart", [1, 4])
def test_restart_markers_and_fill_bytes_are_allowed(restart):
    data = jpeg(64, 48, cv2.IMWRITE_JPEG_RST_INTERVAL, restart)
    assert b"\xff\xd0" in data
    filled = data[:2] + b"\xff\xff" + data[2:-2] + b"\xff\xff" + data[-2:]
    assert np.array_equal(from_jpeg(filled), from_jpeg(data))


def refuse_decoding(monkeypatch):
    def decoded(*_):
        raise AssertionError("decoded")

    monkeypatch.setattr(pictures, "_decoded", decoded)


@pytest.mark.parametrize("side", [2_000, 20_000, 32_700, 65_500])
def test_fill_bytes_hide_no_size(monkeypatch, side):
    refuse_decoding(monkeypatch)
    with pytest.raises(SchemaError, match=f"a picture of {side}x{side} is refused"):
        from_jpeg(with_fill_bytes_that_hide_the_size(side, side))


def test_scans_are_counted_before_they_are_decoded(monkeypatch):
    few = read_jpeg(scan_bomb(10)).scans
    assert few == 10 + read_jpeg(progressive()).scans
    refuse_decoding(monkeypatch)
    for scans in (MAX_SCANS, 10_000):
        with pytest.raises(SchemaError, match="more than 64 scans"):
            from_jpeg(scan_bomb(scans))


def changed(place, data):
    whole = jpeg()
    at = place_of(whole, {0xC0}) + place
    return whole[:at] + data + whole[at + len(data) :]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        SOI,
        SOI + EOI,
        jpeg()[:-2],
        jpeg()[:-200],
        jpeg()[:300],
        jpeg()[2:],
        cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes(),
        sized(jpeg(), 0, 48),
        sized(jpeg(), 64, 0),
        sized(jpeg(), 65_535, 57),
        changed(4, b"\x0c"),  # bits
        changed(9, b"\x04"),  # components
        changed(11, b"\x00"),  # sampling
        changed(11, b"\x51"),
        SOI + b"\xff\xc9\x00\x02" + jpeg()[2:],  # arithmetic coding
        SOI + b"\xff\xdc\x00\x04\x00\x08" + jpeg()[2:],  # the height comes later
        SOI + b"\xff\x01" + jpeg()[2:],
        SOI + b"junk" + jpeg()[2:],
        SOI + b"\xff\xe1\x00\x01" + jpeg()[2:],
        SOI + jpeg()[place_of(jpeg(), {0xC0}) :][:19] + jpeg()[2:],  # two sizes
        SOI + b"\xff\xfe\x00\x02" * 300 + jpeg()[2:],
    ],
)
def test_what_a_browser_does_not_make_is_refused_before_decoding(monkeypatch, data):
    refuse_decoding(monkeypatch)
    with pytest.raises(SchemaError):
        from_jpeg(data)


@pytest.mark.parametrize(
    "error", [ValueError("no format"), av.error.InvalidDataError(1, "damaged")]
)
def test_a_decoder_that_gives_up_is_a_refusal(monkeypatch, error):
    def broken(*_):
        raise error

    monkeypatch.setattr(pictures, "_decoded", broken)
    with pytest.raises(SchemaError, match="cannot be decoded"):
        from_jpeg(jpeg())


def test_a_decoder_that_sees_another_size_is_a_refusal(monkeypatch):
    monkeypatch.setattr(pictures, "_decoded", lambda data: np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(SchemaError, match="cannot be decoded"):
        from_jpeg(jpeg())


def test_the_decoder_has_a_bound_of_its_own():
    with pytest.raises(av.error.FFmpegError):
        pictures._decoded(sized(jpeg(), 4_000, 4_000))


@pytest.mark.parametrize("whole", [jpeg(), progressive(), jpeg(grey=True)])
def test_a_damaged_picture_prints_nothing(capfd, whole):
    """A visitor sends 30 a second; libjpeg prints a line for each."""
    damage = [whole[:-120] + EOI, whole[:-60] + bytes(40) + whole[-20:], whole[:-2] + b"junk" + EOI]
    for data in damage:
        with contextlib.suppress(SchemaError):
            from_jpeg(data)
    assert capfd.readouterr() == ("", "")
