"""Pictures and sound of any kind that a program may have; what is none is named."""

from __future__ import annotations

import av
import numpy as np
import pytest
import torch

from streamavis.errors import ArgumentError, ShapeError
from streamavis.pushing import PushedSound, rgb_picture, time_ns_of

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (12, 16, 3), np.uint8)


@pytest.mark.parametrize(
    ("image", "bgr"),
    [
        (IMAGE, False),
        (np.asfortranarray(IMAGE), False),
        (IMAGE[..., ::-1], True),
        (torch.from_numpy(IMAGE), False),
        (torch.from_numpy(IMAGE).permute(2, 0, 1).contiguous().permute(1, 2, 0), False),
        (av.VideoFrame.from_ndarray(IMAGE, "rgb24"), False),
        (av.VideoFrame.from_ndarray(np.ascontiguousarray(IMAGE[..., ::-1]), "bgr24"), False),
        (np.frombuffer(IMAGE.tobytes(), np.uint8).reshape(IMAGE.shape), False),  # read-only
    ],
)
def test_a_picture_of_any_kind_is_the_same_picture(image, bgr):
    picture = rgb_picture(image, bgr=bgr)
    assert (picture == IMAGE).all()
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous
    assert picture.flags.writeable


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (
            IMAGE / np.float32(255),
            r"float32 \(12, 16, 3\); expected uint8.*255 \* image",
        ),
        (IMAGE[..., 0], r"\(12, 16\).*np\.stack"),
        (np.zeros((12, 16, 4), np.uint8), r"\(12, 16, 4\).*image\[\.\.\., :3\]"),
        (IMAGE.transpose(2, 0, 1), r"\(3, 12, 16\).*image\.transpose\(1, 2, 0\)"),
        (np.zeros((0, 16, 3), np.uint8), r"\(0, 16, 3\)"),
        (torch.zeros(12, 16, 3, dtype=torch.int64), "int64"),
        ([[0]], "image is a list; expected"),
        (None, "image is a NoneType"),
    ],
)
def test_what_is_no_picture_is_named_with_its_cure(image, message):
    with pytest.raises(ShapeError, match=message):
        rgb_picture(image)


def test_a_pyav_frame_knows_its_pixels():
    with pytest.raises(ArgumentError, match="knows its own"):
        rgb_picture(av.VideoFrame.from_ndarray(IMAGE, "rgb24"), bgr=True)


def tone(rate: int, seconds: float = 1.0) -> np.ndarray:
    times_s = np.arange(round(rate * seconds)) / rate
    return (0.5 * np.sin(2 * np.pi * 440 * times_s)).astype(np.float32)


def heard(sound: PushedSound, samples: np.ndarray, rate: int, piece: int) -> np.ndarray:
    """All of `samples` in pieces; what comes out is in its place."""
    out = []
    for start in range(0, len(samples), piece):
        out += sound.feed(samples[start : start + piece], start / rate)
    end_ns = 0
    for chunk in out:
        assert abs(chunk.start_time_ns - end_ns) < 100_000
        end_ns = chunk.start_time_ns + len(chunk.samples) * 62_500
    return np.concatenate([chunk.samples for chunk in out])


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [None, 1, 2, 6, 16])
def test_sound_of_any_rate_and_channels_becomes_16_khz_mono(rate, channels):
    samples = tone(rate)
    if channels is not None:
        samples = np.repeat(samples[:, None], channels, axis=1)
    mono = heard(PushedSound(rate), samples, rate, 480)
    assert 15_900 < len(mono) <= 16_000
    middle = slice(1000, 14_000)
    assert np.abs(mono[middle] - tone(16_000)[middle]).max() < 5e-3


def test_borders_between_pieces_are_not_heard():
    samples = tone(48_000)
    whole = heard(PushedSound(48_000), samples, 48_000, len(samples))
    pieces = heard(PushedSound(48_000), samples, 48_000, 333)
    assert (whole[: len(pieces)] == pieces[: len(whole)]).all()


def test_whole_numbers_are_full_scale_at_32768():
    samples = tone(48_000)
    whole = heard(PushedSound(48_000), samples, 48_000, 480)
    short = heard(PushedSound(48_000), (32768 * samples).astype(np.int16), 48_000, 480)
    many = np.repeat((32768 * samples).astype(np.int16)[:, None], 12, axis=1)
    assert np.abs(short - whole).max() < 1e-4
    assert np.abs(heard(PushedSound(48_000), many, 48_000, 480) - whole).max() < 1e-4
    assert (heard(PushedSound(48_000), torch.from_numpy(samples), 48_000, 480) == whole).all()


def test_a_hole_in_the_times_stays_a_hole():
    sound = PushedSound(16_000)
    samples = tone(16_000, 0.1)
    sound.feed(samples, 0.0)
    (chunk,) = [c for c in sound.feed(samples, 5.0) if c.start_time_ns > 1e9]
    assert chunk.start_time_ns == 5_000_000_000


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(10), r"float64 \(10,\); expected float32 or int16.*astype\(np\.float32\)"),
        (np.zeros(10, np.uint8), "uint8"),
        (np.zeros((1, 2, 3), np.float32), r"\(1, 2, 3\)"),
        (np.zeros((2, 480), np.float32), r"\(2, 480\).*channels come last: samples\.T"),
        (np.zeros((480, 0), np.float32), r"\(480, 0\)"),
        ([0.0, 0.1], "samples are a list"),
    ],
)
def test_what_is_no_sound_is_named(samples, message):
    with pytest.raises(ShapeError, match=message):
        PushedSound(16_000).feed(samples, 0.0)


@pytest.mark.parametrize("rate", [0, -1, 10_000_000])
def test_a_rate_that_no_sound_has_is_refused(rate):
    with pytest.raises(ArgumentError, match=f"sample_rate is {rate}; expected 100 to"):
        PushedSound(rate)


def test_sound_that_goes_back_is_refused():
    sound = PushedSound(16_000)
    sound.feed(tone(16_000, 0.5), 1.0)
    sound.feed(tone(16_000, 0.1), 1.45)  # jitter
    with pytest.raises(ArgumentError, match=r"is 0\.9, but .* ends at 1\.55.*restart"):
        sound.feed(tone(16_000, 0.1), 0.9)


@pytest.mark.parametrize("time_s", [-0.1, float("nan"), float("inf"), 1e12])
def test_a_time_is_a_number_of_seconds(time_s):
    with pytest.raises(ArgumentError, match="expected seconds, 0 or more"):
        time_ns_of(time_s, None, "the picture")
    with pytest.raises(ArgumentError, match="expected seconds, 0 or more"):
        PushedSound(16_000).feed(np.zeros(16, np.float32), time_s)


def test_a_picture_that_goes_back_is_refused():
    assert time_ns_of(1.5, 1_500_000_000, "the picture") == 1_500_000_000
    with pytest.raises(ArgumentError, match=r"is 1\.4, before the latest one's 1\.5; times may"):
        time_ns_of(1.4, 1_500_000_000, "the picture")
