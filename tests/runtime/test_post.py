"""From logits to masks in the source picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from runtime_fakes import CLASSES, FakeOutput

from streamavis.errors import ModelOutputError
from streamavis.runtime.post import report, to_host
from streamavis.runtime.tracks import Tracked


def output(network: tuple[int, int], slots: int = 4, seed: int = 0) -> FakeOutput:
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw)

    cells = [-(-side // 32) * 8 for side in network]
    return FakeOutput(
        class_logits=normal(1, slots, 4),
        mask_logits=normal(1, slots, *cells),
        sounding_logits=normal(1, slots),
        visible_logits=normal(1, slots),
        identity=normal(1, slots, 5),
    )


def everywhere(logits: np.ndarray, network: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Every source pixel by the definition of bilinear sampling, in float64."""
    values = logits.astype(np.float64)
    for axis in (0, 1):
        place = (np.arange(size[axis]) + 0.5) * network[axis] / size[axis] / 4 - 0.5
        place = place.clip(0, logits.shape[axis] - 1)
        low = np.floor(place).astype(int)
        high = np.minimum(low + 1, logits.shape[axis] - 1)
        weight = np.expand_dims(place - low, 1 - axis)
        values = values.take(low, axis) * (1 - weight) + values.take(high, axis) * weight
    return values


def drawn(logits: np.ndarray, network: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """The mask that is reported for a slot with these (h, w) logits; what is padded is loud."""
    out = output(network, slots=1)
    out.mask_logits[:] = 1e6
    out.mask_logits[0, 0, : logits.shape[0], : logits.shape[1]] = torch.from_numpy(logits)
    seen = Tracked(id=1, slot=0, class_id=0, score=0.5, sounding=None, visible=None)
    tracks = report(to_host(out, network), [seen], size, CLASSES)
    return tracks[0].mask if tracks else np.zeros(size, bool)


@settings(max_examples=60)
@given(
    st.integers(0, 1000),
    st.tuples(st.integers(20, 90), st.integers(20, 90)),
    st.tuples(st.integers(1, 200), st.integers(1, 200)),
    st.floats(-3, 1),
)
def test_masks_equal_upsampling_everything(seed, network, size, bias):
    cells = tuple(-(-side // 4) for side in network)
    logits = np.random.default_rng(seed).normal(bias, 1, cells).astype(np.float32)
    mask = drawn(logits, network, size)
    values = everywhere(logits, network, size)
    clear = np.abs(values) > 1e-5
    assert mask.shape == size
    assert np.array_equal(mask[clear], values[clear] > 0)


@given(st.integers(0, 1000), st.floats(-3, 2))
def test_a_score_is_how_sure_of_the_class_times_how_sure_inside_the_mask(seed, bias):
    out = output((40, 56), seed=seed)
    out.mask_logits += bias
    out.mask_logits[0, 0] = 0.0  # no more in than out
    seen = to_host(out, (40, 56)).sightings(hears=True)
    sure = out.class_logits[0].softmax(-1)[:, :-1].amax(-1)
    inside = out.mask_logits[0, :, :10, :14]
    cells = inside > 0
    where = torch.where(cells, inside.sigmoid(), 0.0).sum((1, 2)) / cells.sum((1, 2)).clamp_min(1)
    np.testing.assert_allclose(seen.scores, sure * where, rtol=1e-5)


def test_a_lone_cell_keeps_its_whole_peak():
    logits = np.full((16, 16), -1.0, np.float32)
    logits[7, 9] = 8.0
    mask = drawn(logits, (64, 64), (640, 640))
    assert np.array_equal(mask, everywhere(logits, (64, 64), (640, 640)) > 0)
    assert mask.sum() > 40 * 40, "the peak reaches into the cells around it"


def test_padding_is_never_seen():
    network = (70, 41)  # 96 x 64 padded: cells 18..23 and 11..15 are padding
    out = output(network)
    slots = to_host(out, network)
    out.mask_logits[..., 18:, :] = 1e6
    out.mask_logits[..., :, 11:] = 1e6
    assert np.array_equal(to_host(out, network).mask_logits, slots.mask_logits)
    assert slots.mask_logits.shape == (4, 18, 11)


def test_everything_arrives_on_the_host():
    out = output((64, 64))
    slots = to_host(out, (64, 64))
    expected = out.class_logits[0].softmax(-1)[:, :3].numpy()
    np.testing.assert_allclose(slots.class_probs, expected, rtol=1e-6)
    np.testing.assert_array_equal(slots.mask_logits, out.mask_logits[0].numpy())
    np.testing.assert_array_equal(slots.identity, out.identity[0].numpy())
    np.testing.assert_allclose(slots.sounding, out.sounding_logits[0].sigmoid().numpy())
    np.testing.assert_allclose(slots.visible, out.visible_logits[0].sigmoid().numpy())
    half = to_host(replace(out, class_logits=out.class_logits.bfloat16()), (64, 64))
    assert half.class_probs.dtype == np.float32
    assert to_host(replace(out, visible_logits=None), (64, 64)).visible is None


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["class_logits", "mask_logits", "identity"])
def test_nan_and_infinity_are_refused_by_name(name, bad):
    out = output((64, 64))
    getattr(out, name)[0, 1, 2] = bad
    with pytest.raises(ModelOutputError, match=f"infinity for {name.removesuffix('_logits')};"):
        to_host(out, (64, 64))


def test_scores_are_sure_of_what_and_of_where():
    out = output((64, 64), slots=3)
    out.class_logits[0] = torch.tensor([[3.0, 0, 0, 0]]).expand(3, 4)
    out.mask_logits[0] = torch.tensor([9.0, 0.1, -1.0])[:, None, None]
    sure, unsure, empty = to_host(out, (64, 64)).sightings(hears=True).scores
    p = float(torch.tensor([3.0, 0, 0, 0]).softmax(0)[0])
    assert sure == pytest.approx(p, rel=1e-3)
    assert unsure == pytest.approx(p * 0.525, rel=1e-3)
    assert empty == 0


def test_sound_is_unknown_when_nothing_is_heard():
    slots = to_host(output((64, 64)), (64, 64))
    assert slots.sightings(hears=False).sounding is None
    assert slots.sightings(hears=True).sounding is slots.sounding


def test_a_reported_track_describes_its_mask():
    out = output((64, 96))
    out.mask_logits[0, 2] = -1
    out.mask_logits[0, 2, 4:8, 10:20] = 1
    seen = Tracked(id=7, slot=2, class_id=1, score=0.75, sounding=None, visible=0.5)
    hidden = replace(seen, id=8, slot=3)
    out.mask_logits[0, 3] = -1
    tracks = report(to_host(out, (64, 96)), [seen, hidden], (128, 192), CLASSES)
    (track,) = tracks
    assert (track.id, track.label, track.class_id) == (7, "green thing", 1)
    assert (track.score, track.sounding, track.visible) == (0.75, None, 0.5)
    ys, xs = np.nonzero(track.mask)
    assert track.box == (xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1) == (80, 32, 80, 32)
    assert track.area == len(xs)
    assert track.centroid == pytest.approx((xs.mean(), ys.mean()))
    assert track.rle.size == (128, 192)
    assert all(type(value) is int for value in (*track.box, track.area))
