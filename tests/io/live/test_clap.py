import numpy as np
import pytest

from streamavis.clock import ManualClock
from streamavis.errors import InputError
from streamavis.io.live import ClapMeter, FakeDevice, LiveSource
from streamavis.types import AudioChunk, VideoFrame

NS = 1_000_000_000


def claps(offset_s, *, fps=30.0, count=6, noise=0.002, seed=0, seen=True, heard=True):
    """Bursts of noise, and a flash that begins `offset_s` before each, at irregular times."""
    random = np.random.default_rng(seed)
    at_s = 1.0 + np.cumsum(random.uniform(0.8, 1.3, count))
    seconds = at_s[-1] + 1.5
    samples = random.normal(0, noise, int(seconds * 16_000)).astype(np.float32)
    for clap_s in at_s if heard else ():
        start = round(clap_s * 16_000)
        decay = np.exp(-np.arange(1600) / 300)
        samples[start : start + 1600] += (random.normal(0, 0.3, 1600) * decay).astype(np.float32)
    for start in range(0, len(samples), 1000):
        yield AudioChunk(samples[start : start + 1000], start * 62_500)
    for number in range(int(seconds * fps)):
        time_s = number / fps
        since = time_s - (at_s - offset_s)
        flash = seen and bool(((since >= 0) & (since < 0.15)).any())
        image = random.integers(0, 8, (36, 64, 3)) + (150 if flash else 60)
        yield VideoFrame(image.astype(np.uint8), round(time_s * NS), number, "pts")


def measured(items):
    meter = ClapMeter()
    for item in items:
        meter.feed(item)
    return meter.measure()


@pytest.mark.parametrize("offset_s", [-0.12, 0.0, 0.035, 0.2])
@pytest.mark.parametrize("fps", [15.0, 30.0])
def test_the_offset_is_found_within_its_uncertainty(offset_s, fps):
    for seed in range(5):
        found = measured(claps(offset_s, fps=fps, count=8, seed=seed))
        assert abs(found.offset_s - offset_s) <= found.uncertainty_s
        assert found.uncertainty_s < 0.6 / fps
        assert found.claps >= 7  # of one, the end of the flash before it was taken


def test_more_claps_tell_more():
    few, many = (measured(claps(0.05, count=n)).uncertainty_s for n in (4, 16))
    assert many < 0.6 * few


def test_other_sounds_and_other_movement_do_not_matter_much():
    items = list(claps(0.05, count=10))
    door = np.zeros(4000, np.float32)
    door[:800] = 0.3
    end_ns = max(i.start_time_ns for i in items if isinstance(i, AudioChunk)) + NS
    items.append(AudioChunk(door, end_ns + 5 * NS))  # heard, not seen
    found = measured(items)
    assert abs(found.offset_s - 0.05) <= found.uncertainty_s
    assert (found.claps, found.heard) == (10, 11)


@pytest.mark.parametrize("missing", [{"seen": False}, {"heard": False}, {"count": 2}])
def test_too_few_claps_are_told(missing):
    with pytest.raises(InputError, match="clap five times"):
        measured(claps(0.0, **missing))


def test_nothing_at_all():
    with pytest.raises(InputError, match="0 claps were heard"):
        ClapMeter().measure()


def test_a_measured_offset_is_taken_out_by_the_source():
    eyes, ears = FakeDevice(), FakeDevice("audio")
    eyes.put(VideoFrame(np.zeros((8, 8, 3), np.uint8), 0, 0, "pts"))
    ears.put(AudioChunk(np.zeros(160, np.float32), NS))
    with LiveSource(eyes.device, ears.device, ManualClock(), sound_offset_s=0.03) as source:
        eyes.end()
        (chunk,) = [item for item in source if isinstance(item, AudioChunk)]
    assert source.join(60)
    assert chunk.start_time_ns == NS - 30_000_000
