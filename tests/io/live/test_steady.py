from itertools import pairwise

import numpy as np
import pytest

from streamavis.io.live.steady import SteadySound
from streamavis.types import SAMPLE_RATE, AudioChunk, AudioGap

NS = 1_000_000_000
HERTZ = 440


def tone(times_s):
    return (0.5 * np.sin(2 * np.pi * HERTZ * times_s)).astype(np.float32)


def run(rate, ppm, seconds, *, block=480, hertz_error_known=True):
    """A card that is `ppm` fast plays a tone; what comes out, with its times."""
    steady, hertz, items = SteadySound(rate), rate * (1 + ppm * 1e-6), []
    for start in range(0, int(seconds * rate), block):
        samples = tone((start + np.arange(block)) / hertz)
        period = NS / hertz if hertz_error_known else NS / rate
        items += steady.feed(samples, round(start * NS / hertz), period)
    return items


def joined(items):
    """(samples,) of chunks that follow each other exactly, and when the first began."""
    chunks = [item for item in items if isinstance(item, AudioChunk)]
    for one, following in pairwise(chunks):
        assert following.start_time_ns == one.start_time_ns + len(one.samples) * 62_500
    return np.concatenate([chunk.samples for chunk in chunks]), chunks[0].start_time_ns


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("ppm", [0, 200, -200])
def test_a_card_that_runs_off_comes_out_on_the_engines_clock_without_a_seam(rate, ppm):
    items = run(rate, ppm, 20.0)
    assert not [item for item in items if isinstance(item, AudioGap)]
    heard, start_ns = joined(items)
    times = start_ns / NS + np.arange(len(heard)) / SAMPLE_RATE
    error = heard - tone(times)
    edge = 200
    assert np.abs(error[edge:-edge]).max() < 0.01  # 0.5 would be 2.5 % of a period: 57 us
    assert len(heard) == pytest.approx(20 * SAMPLE_RATE / (1 + ppm * 1e-6), abs=400)


def test_a_rate_that_is_not_known_is_followed():
    heard, start_ns = joined(run(48_000, 200, 10.0, hertz_error_known=False))
    times = start_ns / NS + np.arange(len(heard)) / SAMPLE_RATE
    assert np.abs((heard - tone(times))[200:-200]).max() < 0.01


def test_a_loss_is_a_gap_of_its_length_and_what_follows_keeps_its_time():
    steady, items = SteadySound(48_000), []
    for number in range(100):
        start = number * 480 + (4800 if number >= 50 else 0)
        samples = tone((start + np.arange(480)) / 48_000)
        items += steady.feed(samples, start * NS // 48_000, NS / 48_000)
    (gap,) = [item for item in items if isinstance(item, AudioGap)]
    assert (gap.start_time_ns, gap.duration_ns) == (NS // 2, NS // 10)
    after = next(
        item
        for item in items
        if isinstance(item, AudioChunk) and item.start_time_ns >= gap.start_time_ns
    )
    assert after.start_time_ns == NS // 2 + NS // 10


def test_a_known_loss_of_one_block_is_a_gap_however_short():
    steady = SteadySound(48_000)
    steady.feed(np.zeros(128, np.float32), 0, NS / 48_000)
    items = steady.feed(np.zeros(128, np.float32), 5_333_333, NS / 48_000, "overflow")
    (gap,) = [item for item in items if isinstance(item, AudioGap)]
    assert gap.cause == "overflow"
    assert gap.duration_ns == pytest.approx(2_666_667, abs=2)


def test_sound_that_comes_twice_is_taken_once():
    steady, items = SteadySound(48_000), []
    for number in range(100):
        start_ns = number * 10_000_000 - (100_000_000 if number >= 50 else 0)
        items += steady.feed(np.ones(480, np.float32), start_ns, NS / 48_000)
    heard = sum(len(item.samples) for item in items if isinstance(item, AudioChunk))
    assert not [item for item in items if isinstance(item, AudioGap)]
    # The last 20 ms are not cut but drifted into, 0.2 s of which is over.
    assert heard / SAMPLE_RATE == pytest.approx(0.9 + 0.02 - 0.005 * 0.4, abs=0.005)


def test_a_small_correction_is_drifted_into_at_half_a_percent():
    steady, rate = SteadySound(48_000), 48_000
    lengths = []
    for number in range(400):
        late = 10_000_000 if number >= 100 else 0
        items = steady.feed(np.zeros(480, np.float32), number * 10_000_000 + late, NS / rate)
        lengths.append(sum(len(item.samples) for item in items))
    assert sum(lengths[:100]) == pytest.approx(16_000, abs=40)
    assert sum(lengths[100:300]) == pytest.approx(32_000 + 160, abs=5)  # 10 ms in 2 s
    assert sum(lengths[300:]) == pytest.approx(16_000, abs=5)
