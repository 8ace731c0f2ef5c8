import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamavis.audio_ring import NS_PER_SAMPLE, AudioRing, level_dbfs
from streamavis.errors import ShapeError, StreamStateError
from streamavis.types import WINDOW_SAMPLES, AudioChunk

S = 1_000_000_000
RATE = 16_000


def ramp(start, stop):
    """Samples that know their own number: sample n is n + 1 (0 is what was not heard)."""
    return np.arange(start + 1, stop + 1, dtype=np.float32)


def write(ring, start, stop, jitter_ns=0):
    ring.write(AudioChunk(ramp(start, stop), start * NS_PER_SAMPLE + jitter_ns))


def at(sample):
    return sample * NS_PER_SAMPLE


chunkings = st.lists(st.integers(1, 4000), min_size=1, max_size=40)


@settings(max_examples=40)
@given(chunkings, st.integers(0, 10**14), st.data())
def test_windows_do_not_depend_on_the_chunks(sizes, first, data):
    total = sum(sizes)
    whole, pieces = AudioRing(), AudioRing()
    samples = np.random.default_rng(0).standard_normal(total).astype(np.float32)
    whole.write(AudioChunk(samples, at(first)))
    begin = 0
    for size in sizes:
        jitter_ns = data.draw(st.integers(-4_900_000, 4_900_000)) if begin else 0
        pieces.write(AudioChunk(samples[begin : begin + size], at(first + begin) + jitter_ns))
        begin += size
    for _ in range(3):
        end_ns = at(first) + data.draw(st.integers(0, at(total + RATE)))
        ours, theirs = pieces.window(end_ns), whole.window(end_ns)
        assert ours.state == theirs.state
        np.testing.assert_array_equal(ours.samples, theirs.samples)


@settings(max_examples=40)
@given(st.integers(0, 10**17), st.integers(0, 160_000 - 1))
def test_a_window_ends_with_the_last_whole_sample_and_never_later(first, end_offset_samples):
    ring = AudioRing()
    samples = ramp(0, 160_000)
    ring.write(AudioChunk(samples, at(first)))
    end = first + end_offset_samples
    for within in (0, 1, NS_PER_SAMPLE - 1):  # until the next sample is complete
        window = ring.window(at(end) + within)
        heard = samples[max(0, end_offset_samples - WINDOW_SAMPLES) : end_offset_samples]
        assert window.samples.shape == (WINDOW_SAMPLES,)
        np.testing.assert_array_equal(window.samples[WINDOW_SAMPLES - len(heard) :], heard)
        assert not window.samples[: WINDOW_SAMPLES - len(heard)].any()
        assert window.state == "ok"


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 6000)), max_size=25), st.data())
def test_gaps_are_where_nothing_was_heard(steps, data):
    """Against a plain list of what was heard."""
    ring = AudioRing()
    heard = np.zeros(200_000, np.float32)
    position = 0
    write(ring, 0, 1)
    heard[0] = 1
    position = 1
    for gap, size in steps:
        if gap <= 80:  # 5 ms: joined without a seam
            gap = 0
        start = position + gap
        write(ring, start, start + size)
        heard[start : start + size] = ramp(start, start + size)
        position = start + size
    end = data.draw(st.integers(max(0, position - 100_000), position + 20_000))
    window = ring.window(at(end))
    expected = np.concatenate([np.zeros(WINDOW_SAMPLES, np.float32), heard])[end:][:WINDOW_SAMPLES]
    np.testing.assert_array_equal(window.samples, expected)
    lately = heard[max(0, end - 8000) : end]
    missing = np.count_nonzero(heard[max(0, end - WINDOW_SAMPLES) : end] == 0)
    if end > 8000 and not lately.any():
        assert window.state == "lost"
    else:
        assert window.state == ("gap" if missing > 80 else "ok")


def test_nothing_later_is_read_when_the_future_changes():
    one, other = AudioRing(), AudioRing()
    for ring in (one, other):
        write(ring, 0, 20_000)
    one.write(AudioChunk(np.ones(5000, np.float32), at(20_000)))
    other.write(AudioChunk(-np.ones(5000, np.float32), at(20_000)))
    np.testing.assert_array_equal(one.window(at(20_000)).samples, other.window(at(20_000)).samples)
    assert (one.window(at(20_001)).samples != other.window(at(20_001)).samples).sum() == 1


def test_the_first_second_of_a_clip_is_ok():
    ring = AudioRing()
    assert ring.window(0).state == "ok"
    write(ring, 300, 1000)  # begins 19 ms after the picture
    assert ring.window(at(900)).state == "ok"


def test_sound_that_never_comes_is_lost_after_half_a_second():
    ring = AudioRing()
    states = [ring.window(at(n)).state for n in (0, 8000, 8001, 10**9)]
    assert states == ["ok", "ok", "lost", "lost"]


def test_sound_that_starts_late_leaves_a_gap_until_it_fills_the_window():
    ring = AudioRing()
    ring.window(0)
    write(ring, 16_000, 40_000)
    states = [ring.window(at(n)).state for n in (16_000, 16_001, 16_000 + WINDOW_SAMPLES)]
    assert states == ["lost", "gap", "ok"]


@pytest.mark.parametrize(("late", "state"), [(RATE // 2, "ok"), (RATE // 2 + 1, "gap")])
def test_sound_may_start_half_a_second_late(late, state):
    ring = AudioRing()
    ring.window(0)
    write(ring, late, late + 100)
    assert ring.window(at(late + 100)).state == state


def test_sound_that_stops_is_a_gap_then_lost_and_then_comes_back():
    ring = AudioRing()
    write(ring, 0, 20_000)
    states = [ring.window(at(20_000 + n)).state for n in (0, 80, 81, 7999, 8000, 10**8)]
    assert states == ["ok", "ok", "gap", "gap", "lost", "lost"]
    write(ring, 40_000, 60_000)
    states = [ring.window(at(40_000 + n)).state for n in (0, 1, WINDOW_SAMPLES)]
    assert states == ["lost", "gap", "ok"]


def test_what_was_heard_first_stays_where_chunks_overlap():
    ring = AudioRing()
    write(ring, 0, 1000)
    ring.write(AudioChunk(np.full(2000, -1, np.float32), at(500)))
    samples = ring.window(at(2500)).samples[-2500:]
    np.testing.assert_array_equal(samples[:1000], ramp(0, 1000))
    assert (samples[1000:] == -1).all()
    ring.write(AudioChunk(np.full(100, 1e6, np.float32), at(1000)))  # late altogether
    assert not (ring.window(at(2500)).samples == 1e6).any()


def test_time_that_starts_anew_starts_the_ring_anew():
    ring = AudioRing()
    write(ring, 0, 50_000)
    write(ring, 0, 1000)
    window = ring.window(at(1000))
    assert window.state == "ok"
    np.testing.assert_array_equal(window.samples[-1000:], ramp(0, 1000))
    assert not window.samples[:-1000].any()


@pytest.mark.parametrize(("back", "anew"), [(RATE - 1, False), (RATE, True)])
def test_one_second_back_is_where_a_clock_began_anew(back, anew):
    ring = AudioRing()
    write(ring, 0, 50_000)
    write(ring, 50_000 - back, 50_100 - back)
    assert ring.end_time_ns == at(50_100 - back if anew else 50_000)


@pytest.mark.parametrize(("off", "joined"), [(80, True), (81, False), (-80, True), (-81, False)])
def test_start_times_are_trusted_to_five_milliseconds(off, joined):
    ring = AudioRing()
    write(ring, 0, 20_000)
    write(ring, 20_000 + off, 21_000 + off)
    assert (ring.end_time_ns == at(21_000)) is joined


def test_what_has_been_overwritten_is_missing_not_wrong():
    ring = AudioRing(seconds=1.0)
    write(ring, 0, 40_000)
    window = ring.window(at(30_000))
    assert window.state == "gap"
    np.testing.assert_array_equal(window.samples[-6000:], ramp(24_000, 30_000))
    assert not window.samples[:-6000].any()
    assert ring.window(at(20_000)).state == "lost"


def test_a_gap_longer_than_the_ring():
    ring = AudioRing(seconds=1.0)
    write(ring, 0, 16_000)
    write(ring, 10**9, 10**9 + 100)
    window = ring.window(at(10**9 + 100))
    assert window.state == "gap"
    assert np.count_nonzero(window.samples) == 100


def test_samples_that_are_not_finite_are_a_gap():
    ring = AudioRing()
    write(ring, 0, 16_000)
    broken = np.full(1000, np.nan, np.float32)
    broken[0] = np.inf
    ring.write(AudioChunk(broken, at(16_000)))
    window = ring.window(at(17_000))
    assert window.state == "gap"
    assert np.isfinite(window.samples).all()
    size = len(ring.to_bytes())
    for n in range(17_000, 18_000):  # a microphone that stays broken takes no more memory
        ring.write(AudioChunk(broken[:1], at(n)))
    assert len(ring.to_bytes()) == size


@pytest.mark.parametrize("samples", [np.zeros((2, 5), np.float32), np.zeros(5)])
def test_other_shapes_and_types_are_refused(samples):
    with pytest.raises(ShapeError, match="float32"):
        AudioRing().write(AudioChunk(samples, 0))


def test_the_caller_owns_the_window():
    ring = AudioRing()
    write(ring, 0, 20_000)
    ring.window(at(20_000)).samples[:] = 0
    assert ring.window(at(20_000)).samples.all()


def test_a_saved_ring_goes_on_as_if_nothing_had_happened():
    ring = AudioRing()
    write(ring, 0, 200_000)
    write(ring, 201_000, 203_000)
    restored = AudioRing.from_bytes(ring.to_bytes())
    for each in (ring, restored):
        write(each, 203_000, 207_000)
    for end in (203_000, 207_000, 220_000):
        ours, theirs = ring.window(at(end)), restored.window(at(end))
        assert ours.state == theirs.state
        np.testing.assert_array_equal(ours.samples, theirs.samples)
    with pytest.raises(StreamStateError, match="to_bytes"):
        AudioRing.from_bytes(b"something else")


def test_memory_stays_the_same_over_a_day_of_gaps():
    ring = AudioRing(seconds=1.0)
    size = None
    for n in range(0, 24 * 3600 * RATE, 50 * RATE):
        write(ring, n, n + 10)
        write(ring, n + 200, n + 210)
        size = size or len(ring.to_bytes())
    assert len(ring.to_bytes()) <= size + 100


def test_a_ring_shorter_than_a_window_is_refused():
    with pytest.raises(ValueError, match=r"0\.5"):
        AudioRing(seconds=0.5)


@settings(max_examples=40)
@given(st.integers(0, 10**14), st.data())
def test_any_stretch_can_be_read_and_what_was_not_heard_is_silence(first, data):
    """Against a plain array in which every heard sample has its place."""
    ring, length = AudioRing(2.0), 48_000
    truth, heard, at_sample = np.zeros(length, np.float32), np.zeros(length, bool), 0
    while at_sample < length - 8000:
        at_sample += data.draw(st.sampled_from([0, 0, 400, 3000]))
        size = data.draw(st.integers(100, 4000))
        piece = np.random.default_rng(at_sample).uniform(0.1, 1, size).astype(np.float32)
        ring.write(AudioChunk(piece, at(first + at_sample)))
        truth[at_sample : at_sample + size], heard[at_sample : at_sample + size] = piece, True
        at_sample += size
    assert ring.end_time_ns == at(first + at_sample)
    heard[: max(0, at_sample - 32_000)] = False  # no longer kept
    for _ in range(5):
        begin = data.draw(st.integers(0, length - 5000))
        count = data.draw(st.integers(1, 5000))
        part = ring.read(at(first + begin), count)
        kept = heard[begin : begin + count]
        assert part.heard == kept.sum()
        np.testing.assert_array_equal(part.samples, truth[begin : begin + count] * kept)


def test_nothing_heard_reads_as_silence_without_beginning_the_stream():
    ring = AudioRing()
    assert ring.end_time_ns is None
    part = ring.read(at(5), 100)
    assert (part.heard, part.samples.any()) == (0, False)
    ring.write(AudioChunk(ramp(0, 100), at(-40_000)))
    assert ring.end_time_ns == at(-39_900)


def test_a_level_is_that_of_full_scale_and_unknown_where_nothing_was_heard():
    ring = AudioRing()
    ring.write(AudioChunk(np.full(16_000, 0.1, np.float32), 0))
    assert level_dbfs(ring, at(16_000)) == pytest.approx(-20, abs=0.01)
    assert level_dbfs(ring, at(16_800)) == pytest.approx(-20, abs=0.01), "of what was heard"
    assert level_dbfs(ring, at(17_600)) is None
    ring.write(AudioChunk(np.zeros(3200, np.float32), at(16_000)))
    assert level_dbfs(ring, at(19_200)) == -100.0
