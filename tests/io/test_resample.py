import itertools
from fractions import Fraction

import av
import numpy as np
import pytest
from clips import sine
from hypothesis import given, settings
from hypothesis import strategies as st

from streamavis.io.resample import MonoConverter, MonoResampler

RATE = 44_100


def frame(samples, rate=RATE):
    made = av.AudioFrame.from_ndarray(np.atleast_2d(samples), "fltp", "mono")
    made.sample_rate = rate
    return made


def resample(pieces):
    """Feed (samples, start in s) pieces; returns all chunks."""
    resampler, chunks = MonoResampler(), []
    for samples, start_s in pieces:
        chunks += resampler.feed(frame(samples), start_s)
    return chunks + resampler.flush()


def joined(chunks):
    return np.concatenate([np.empty(0, np.float32), *(c.samples for c in chunks)])


@settings(max_examples=20)
@given(st.lists(st.integers(1, 3000), min_size=1, max_size=12), st.integers(0, 10**9))
def test_frame_borders_are_not_heard(sizes, start_ms):
    samples = np.random.default_rng(0).uniform(-1, 1, sum(sizes)).astype(np.float32)
    begin_s = Fraction(start_ms, 1000)
    borders = np.cumsum([0, *sizes])
    pieces = [
        (samples[a:b], begin_s + Fraction(int(a), RATE)) for a, b in itertools.pairwise(borders)
    ]
    chunks = resample(pieces)
    np.testing.assert_array_equal(joined(chunks), joined(resample([(samples, begin_s)])))
    due_ns = start_ms * 1_000_000
    for chunk in chunks:
        assert chunk.start_time_ns == due_ns
        due_ns += len(chunk.samples) * 62_500


def test_rounded_stamps_are_smoothed_and_missing_ones_follow():
    size = 1024
    exact = [(sine(n * size, size, RATE), Fraction(n * size, RATE)) for n in range(20)]
    rounded = [(samples, Fraction(round(s * 1000), 1000)) for samples, s in exact]
    missing = [(samples, s if n == 0 else None) for n, (samples, s) in enumerate(exact)]
    for pieces in (rounded, missing):
        np.testing.assert_array_equal(joined(resample(pieces)), joined(resample(exact)))


@pytest.mark.parametrize("jump_s", [Fraction(11, 100), Fraction(-9, 80), Fraction(10**6)])
def test_a_jump_starts_anew_at_its_own_time(jump_s):
    second_s = Fraction(1, 5) + jump_s
    chunks = resample([(sine(0, 8820, RATE), Fraction(0)), (sine(0, 8820, RATE), second_s)])
    starts = [c.start_time_ns for c in chunks]
    assert round(second_s * 10**9) in starts
    assert sum(len(c.samples) for c in chunks) == 6400


def test_stamps_that_are_off_for_a_moment_do_not_tear_the_sound():
    """Vorbis with short blocks: one stamp 10 ms late, the next one right again."""
    size = 576
    due = [Fraction(n * size, RATE) for n in range(40)]
    off = [s + Fraction(n % 3 == 1, 100) for n, s in enumerate(due)]
    pieces = [sine(n * size, size, RATE) for n in range(40)]
    expected = joined(resample(list(zip(pieces, due, strict=True))))
    np.testing.assert_array_equal(joined(resample(list(zip(pieces, off, strict=True)))), expected)


@pytest.mark.parametrize("jump_s", [Fraction(1, 100), Fraction(-1, 100)])
def test_stamps_that_stay_off_are_believed_after_a_quarter_of_a_second(jump_s):
    size, begin = 441, 20
    stamps = [Fraction(n, 100) + (jump_s if n >= begin else 0) for n in range(100)]
    pieces = [(sine(n * size, size, RATE), s) for n, s in enumerate(stamps)]
    starts = [Fraction(c.start_time_ns, 10**9) for c in resample(pieces)]
    assert stamps[begin + 25] in starts
    assert stamps[begin] not in starts


@pytest.mark.parametrize("format", ["s16p", "fltp", "s32p", "dblp", "u8p", "s16", "flt"])
@pytest.mark.parametrize("channels", [1, 2, 7, 8, 9, 12, 16, 24, 32])
def test_any_number_of_channels_is_read_without_touching_planes(channels, format):
    """PyAV's planes of a planar frame with 8 channels or more lie beyond the frame."""
    packed = np.zeros((1, 800 * channels), np.int16)
    packed[0, ::channels] = 16384
    made = av.AudioFrame.from_ndarray(packed, "s16", f"{channels} channels")
    made.sample_rate = 16_000
    (planar,) = av.AudioResampler(format=format, rate=16_000).resample(made)
    assert planar.format.name == format
    chunks = MonoResampler().feed(planar, Fraction(0))
    np.testing.assert_allclose(joined(chunks), np.full(800, 0.5 / channels), atol=0.005)
    converted = MonoConverter().convert(planar)
    np.testing.assert_allclose(converted, np.full(800, 0.5 / channels), atol=0.005)


def test_what_is_no_sound_is_refused():
    for rate, samples in ((0, 100), (2**31 - 1, 100), (48_000, 0)):
        made = av.AudioFrame("s16", "mono", samples)
        made.sample_rate = rate
        with pytest.raises(ValueError, match="no sound"):
            MonoResampler().feed(made, None)


def test_no_sound_begins_before_time_0():
    chunks = resample([(sine(0, 4410, RATE), Fraction(-1, 20))])
    assert chunks[0].start_time_ns == 0
    assert len(joined(chunks)) == 800


def test_the_kind_of_sound_may_change_in_the_middle():
    resampler = MonoResampler()
    chunks = resampler.feed(frame(sine(0, 4410, RATE)), Fraction(0))
    chunks += resampler.feed(frame(sine(800, 800, 8000), 8000), Fraction(1, 10))
    chunks += resampler.flush()
    heard = joined(chunks)
    np.testing.assert_allclose(heard[100:1500], sine(100, 1400, 16_000), atol=2e-3)
    np.testing.assert_allclose(heard[1700:3100], sine(1700, 1400, 16_000), atol=2e-3)


def test_mono_is_the_mean_of_the_channels():
    left, right = np.full((2, 1600), [[0.5], [-0.25]], np.float32)
    stereo = av.AudioFrame.from_ndarray(np.stack([left, right]), "fltp", "stereo")
    stereo.sample_rate = 16_000
    (chunk,) = MonoResampler().feed(stereo, Fraction(0))
    np.testing.assert_allclose(chunk.samples, 0.125)
    assert chunk.samples.dtype == np.float32


def test_flushing_nothing_gives_nothing():
    assert MonoResampler().flush() == []
