"""Bytes and numbers of the viewer: pictures, sound, settings, the feed's messages, clocks."""

import base64
import json
import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtime_fakes import CLASSES, picture
from streamavis_apps.web import feed, messages
from streamavis_apps.web.hearing import FLOOR_DBFS, Hearing, level_dbfs
from streamavis_apps.web.offsets import ClockOffset
from streamavis_apps.web.pictures import MAX_PIXELS, from_jpeg, read_jpeg, to_jpeg
from streamavis_apps.web.settings import Controls, Settings
from streamavis_apps.web.steering import Strided
from web_rig import shot, track

from streamavis.errors import SchemaError
from streamavis.types import SAMPLE_RATE, AudioChunk, Heard, VideoFrame
from streamavis.viz import colour_of


def unpack(message):
    (length,) = struct.unpack_from("!I", message)
    return json.loads(message[4 : 4 + length]), message[4 + length :]


def test_a_picture_travels_with_its_own_result_and_the_palettes_colours():
    frame, result = shot(3, track(1, (10, 10, 40, 30), sounding=0.9))
    header, jpeg = unpack(messages.picture(frame, result, Settings()))
    assert header["result"]["seq"] == 3
    assert header["result"]["tracks"][0]["rle"]["size"] == [90, 160]
    assert header["colours"] == {"1": list(colour_of(1))}
    image = from_jpeg(jpeg)
    assert image.shape == frame.image.shape
    assert np.abs(image[15:35, 15:45].mean((0, 1)) - (255, 0, 0)).max() < 12


NESTED = '{"kind": "begin", "camera": null, "microphone": null, "x": ' + "[" * 30_000


def test_a_text_that_is_nested_deeply_is_refused():
    with pytest.raises(SchemaError, match="a text from the browser is refused"):
        feed.parse_text(NESTED)
    with pytest.raises(SchemaError, match="these settings are refused"):
        Controls().change('{"hidden": ' + "[" * 30_000)


def test_a_large_picture_is_made_smaller_for_viewers():
    header = read_jpeg(to_jpeg(np.zeros((1080, 1920, 3), np.uint8), 960))
    assert (header.height, header.width) == (540, 960)
    header = read_jpeg(to_jpeg(np.zeros((3000, 10, 3), np.uint8), 960))
    assert (header.height, header.width) == (960, 3)


def test_hidden_classes_and_low_scores_are_not_shown():
    red = track(1, (0, 0, 20, 20), sounding=0.9)
    green = track(2, (50, 0, 20, 20), label=CLASSES[1], sounding=None)
    green.score = 0.3

    def ids(**settings):
        header, _ = unpack(messages.picture(*shot(1, red, green), Settings(**settings)))
        return [t["id"] for t in header["result"]["tracks"]]

    assert ids() == [1, 2]
    assert ids(hidden=(CLASSES[0],)) == [2]
    assert ids(score_from=0.5) == [1]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8",
        b"GIF89a" + bytes(40),
        b"\xff\xd8\xff\xe0\x00\x02\xff\xda" + bytes(20),
        b"\xff\xd8" + b"\xff\xe0\x00\x00" * 50,
    ],
)
def test_what_is_no_jpeg_is_refused(data):
    with pytest.raises(SchemaError):
        from_jpeg(data)


def test_a_picture_that_would_fill_the_memory_is_refused_before_it_is_decoded():
    data = bytearray(to_jpeg(picture((0, 0, 0, 10, 10)), 960))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack("!HH", 65_535, 65_535)
    assert MAX_PIXELS < 65_535**2
    with pytest.raises(SchemaError, match="65535x65535 is refused"):
        from_jpeg(bytes(data))


@given(st.binary(max_size=300), st.integers(0, 2**31))
def test_damaged_jpegs_never_do_more_than_be_refused(noise, place):
    data = bytearray(to_jpeg(picture((0, 5, 5, 60, 40)), 960))
    at = place % len(data)
    data[at : at + len(noise)] = noise
    try:
        image = from_jpeg(bytes(data))
    except SchemaError:
        return
    assert image.ndim == 3
    assert image.shape[0] * image.shape[1] <= MAX_PIXELS


@given(st.binary(max_size=200))
def test_noise_from_a_browser_is_refused_or_understood(data):
    try:
        message = feed.parse(data)
    except SchemaError:
        return
    assert data[0] in (1, 2)
    assert math.isfinite(message.sent_ms)


@given(st.text(max_size=200))
def test_texts_from_a_browser_are_refused_or_understood(text):
    with pytest.raises(SchemaError):
        feed.parse_text(text)


def block(first=0.0, rate=48_000, samples=960, latency=0.01, arrived=100.0, sent=100.0):
    head = struct.pack("<BBdddIf", 2, 0, first, arrived, sent, rate, latency)
    return head + np.arange(samples, dtype="<i2").tobytes()


def test_sound_of_a_browser_is_read_as_it_was_written():
    read = feed.parse(block(first=48_000))
    assert (read.first, read.rate, read.arrived_ms, read.sent_ms) == (48_000, 48_000, 100, 100)
    assert read.latency_s == pytest.approx(0.01)
    np.testing.assert_array_equal(read.samples, np.arange(960))


@pytest.mark.parametrize(
    "data",
    [
        block(rate=1),
        block(rate=4_000_000_000),
        block(first=-1),
        block(first=0.5),
        block(first=math.nan),
        block(latency=7),
        block(latency=math.nan),
        block(samples=48_001),
        block(sent=math.inf),
        block(arrived=-1),
        block()[:-1],
        block()[:20],
        struct.pack("<BBdd", 1, 0, math.nan, 0) + b"jpeg",
        b"\1\0\0",
        b"\3" + bytes(40),
        bytes(feed.MAX_MESSAGE + 1),
    ],
)
def test_values_out_of_range_are_refused(data):
    with pytest.raises(SchemaError):
        feed.parse(data)


def test_settings_change_in_part_and_a_bad_one_changes_nothing():
    controls = Controls()
    told = []
    controls.follow(told.append)
    controls.change(b'{"stride": 4}')
    controls.change('{"hidden": ["drum"], "sounding_from": 0.7}')
    assert controls.settings == Settings(stride=4, hidden=("drum",), sounding_from=0.7)
    assert [s.stride for s in told] == [4, 4]
    for bad in [
        '{"stride": 0}',
        '{"stride": 1.5}',
        '{"stride": 61}',
        '{"sounding_from": 1.1}',
        '{"sounding_from": null}',
        '{"hidden": "drum"}',
        json.dumps({"hidden": ["x" * 257]}),
        json.dumps({"hidden": ["x"] * 1025}),
        '{"colour": "red"}',
        "[1]",
        "{",
        b"\xff\xfe",
    ]:
        with pytest.raises(SchemaError, match="refused"):
            controls.change(bad)
    assert controls.settings == Settings(stride=4, hidden=("drum",), sounding_from=0.7)
    assert len(told) == 2


def test_a_stride_leaves_frames_out_and_no_sound():
    frames = [VideoFrame(picture(), n, n, "pts") for n in range(10)]
    sound = [AudioChunk(np.zeros(160, np.float32), n) for n in range(10)]
    items = [item for pair in zip(sound, frames, strict=True) for item in pair]
    stride = iter([1, 1, 3, 3, 3, 3, 3, 3, 2, 2])
    kept = list(Strided(items, lambda: next(stride)))
    assert [i for i in kept if isinstance(i, AudioChunk)] == sound
    assert [i.index for i in kept if isinstance(i, VideoFrame)] == [0, 1, 3, 6, 8]


def sine(hz, seconds, amplitude=0.5, start=0):
    time_s = np.arange(start, start + round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (amplitude * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)


def test_levels_are_decibels_of_full_scale():
    assert level_dbfs(sine(1000, 1, 1.0)) == pytest.approx(-3.01, abs=0.01)
    assert level_dbfs(sine(1000, 1, 0.1)) == pytest.approx(-23.01, abs=0.01)
    assert level_dbfs(np.zeros(100, np.float32)) == FLOOR_DBFS
    assert level_dbfs(np.zeros(0, np.float32)) == FLOOR_DBFS


def test_the_spectrum_has_a_column_each_10_ms_and_is_brightest_where_the_tone_is():
    hearing = Hearing()
    assert hearing.glimpse() is None
    columns = []
    for n in range(20):  # pieces that are no multiple of a hop
        hearing.hear(AudioChunk(sine(1000, 0.0371, start=n * 594), 0))
        columns.append(hearing.glimpse().spectra)
    spectra = np.concatenate(columns)
    samples = 20 * round(0.0371 * SAMPLE_RATE)
    assert len(spectra) == (samples + 240 - 400) // 160 + 1
    mel = 1127 * np.log1p(np.array([125, 7500, 1000]) / 700)
    band = round((mel[2] - mel[0]) / (mel[1] - mel[0]) * 65) - 1
    assert abs(int(spectra[5].argmax()) - band) <= 1


def test_a_replay_at_full_speed_costs_a_second_of_sound_a_glimpse():
    hearing = Hearing()
    for _ in range(500):
        hearing.hear(AudioChunk(np.full(SAMPLE_RATE, np.nan, np.float32), 0))
    glimpse = hearing.glimpse()
    assert len(glimpse.spectra) <= 101
    assert glimpse.level_dbfs == FLOOR_DBFS


def test_the_likeliest_sounds_are_named_first_and_nobody_guesses_without_a_microphone():
    hearing = Hearing()
    hearing.hear(AudioChunk(sine(500, 0.1), 0))
    glimpse = hearing.glimpse()
    told = json.loads(messages.heard(glimpse, Heard(0, (0.1, 0.9, 0.4)), CLASSES))
    assert [label for label, _ in told["top"]] == [CLASSES[1], CLASSES[2], CLASSES[0]]
    spectra = np.frombuffer(base64.b64decode(told["spectra"]), np.uint8)
    np.testing.assert_array_equal(spectra.reshape(-1, told["bands"]), glimpse.spectra)
    assert json.loads(messages.heard(glimpse, None, CLASSES))["top"] is None


@given(
    st.integers(-(10**15), 10**15),
    st.lists(
        st.tuples(st.integers(0, 200_000_000), st.integers(0, 80_000_000)), min_size=1, max_size=300
    ),
)
def test_a_clock_offset_is_the_true_one_and_the_shortest_delay_of_its_window(true, steps):
    offset, now, seen = ClockOffset(window_s=2.0), 0, []
    for step, delay in steps:
        now += step
        local = now + true + delay
        seen.append((local, delay))
        told = offset.observe(now, local) - true
        recent = [d for at, d in seen if local - at <= 2_000_000_000]
        # Within one grain (1/64 of the window) neighbours may stand for each other.
        assert min(d for _, d in seen) <= told <= delay
        assert told <= max(recent)
        assert len(offset._candidates) <= 66


def test_a_clock_offset_follows_clocks_that_drift():
    offset = ClockOffset()
    for n in range(6000):  # ten minutes at 200 ppm
        sent = n * 100_000_000
        local = sent + round(sent * 200e-6) + 5_000_000 + (n * 7919 % 13) * 1_000_000
        error = sent + offset.observe(sent, local) - (sent + round(sent * 200e-6))
        assert 2_500_000 <= error <= 20_000_000
