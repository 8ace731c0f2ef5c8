"""Recordings to masks: the same in any chunks, on disk or not, and as the definition says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from streamavis_benchmarks.offline.published import PublishedSegmenter
from test_avism import TINY, clip, network

from streamavis.errors import ModelOutputError, ShapeError
from streamavis.model import segmentation
from streamavis.model.avism import AVISM
from streamavis.model.segmentation import Pace, Segmenter, Segments, network_size, segment

SIZE = (50, 70)


@pytest.fixture(scope="module")
def model() -> AVISM:
    model = network(short_side=64)
    model.class_embed.weight.mul_(8)  # decided classes
    return model


def recording(frames: int):
    pictures, audio = clip(frames, size=SIZE)
    return list(pictures.permute(0, 2, 3, 1).numpy()), audio


def assert_same(a: Segments, b: Segments) -> None:
    assert np.allclose(a.scores, b.scores, atol=1e-5)
    assert (a.labels == b.labels).all()
    apart = [(a.masks(i) != b.masks(i)).mean() for i in range(len(a))]
    assert max(apart) <= 1e-3


def test_segments_follow_their_definition(model):
    frames, audio = recording(5)
    found = segment(model, frames, audio, threshold=-1.0, top=6)
    assert len(found) == 6
    height, width = network_size(*SIZE, 64)
    small = F.interpolate(
        torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2),
        (height, width),
        mode="bilinear",
        antialias=True,
    )
    output = model(small, audio)
    scores = output.class_logits.softmax(-1)[:, :-1]
    assert np.allclose(
        np.sort(found.class_scores)[::-1], scores.flatten().topk(6).values, atol=1e-5
    )
    for i in range(6):
        logits = output.mask_logits[found.queries[i]]
        padded = [4 * side for side in logits.shape[1:]]
        large = F.interpolate(logits[None], padded, mode="bilinear")[0, :, :height, :width]
        inside = large > 0
        quality = (large.sigmoid() * inside).sum() / (inside.sum() + 1e-6)
        assert found.qualities[i] == pytest.approx(float(quality), abs=1e-5)
        assert found.scores[i] == pytest.approx(found.class_scores[i] * found.qualities[i])
        mask = F.interpolate(large[None], SIZE, mode="bilinear")[0] > 0
        assert (found.masks(i) != mask.numpy()).mean() < 1e-3


def test_a_threshold_keeps_what_is_above_it(model):
    frames, audio = recording(3)
    every = segment(model, frames, audio, threshold=-1.0)
    assert (np.diff(every.scores) <= 0).all()
    threshold = float(np.median(every.scores))
    some = segment(model, frames, audio, threshold=threshold)
    assert len(some) == (every.scores > threshold).sum() > 0
    assert_same(some, segment(model, frames, audio, threshold=threshold, top=len(some) + 4))
    nothing = segment(model, frames, audio, threshold=1.0)
    assert len(nothing) == 0


@pytest.mark.parametrize("chunk", [1, 3, 50])
@pytest.mark.parametrize("kind", [Segmenter, PublishedSegmenter])
def test_chunks_and_the_disk_change_nothing(model, kind, chunk, monkeypatch):
    frames, audio = recording(8)
    whole = segment(model, frames, audio, threshold=-1.0)
    monkeypatch.setattr(segmentation, "_IN_MEMORY", 1)
    monkeypatch.setattr(kind, "pace", lambda self, device: Pace(2, 3, 3))
    said = []
    run = kind(model, threshold=-1.0, chunk=chunk, progress=lambda *at: said.append(at))
    assert_same(whole, run.segment(iter(frames), audio))
    assert said[-1] == ("drawing", 8)
    assert ("seeing", 8) in said


def test_wrong_recordings_are_named(model):
    frames, audio = recording(3)
    for rows in (audio[:2], audio[[0, 1, 2, 0]]):
        with pytest.raises(ShapeError, match=f"has {len(rows)} rows"):
            segment(model, frames, rows)
    with pytest.raises(ShapeError, match="frame 1 must be"):
        segment(model, [frames[0], frames[1][:-1]], audio[:2])
    with pytest.raises(ShapeError, match="frame 0 must be"):
        segment(model, [frames[0].astype(np.float32)], audio[:1])
    with pytest.raises(ShapeError, match="0 frames"):
        segment(model, [], audio[:0])


def test_damaged_weights_are_named():
    broken = network()
    broken.class_embed.bias.fill_(float("nan"))
    with pytest.raises(ModelOutputError, match="damaged"):
        segment(broken, *recording(1))


@pytest.mark.parametrize("size", [(180, 320), (97, 61), (50, 70), (64, 300)])
def test_pictures_are_resized_as_pil_does(size):
    """To one grey level of a triangle filter in float64, whose width grows with the reduction."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (2, *size, 3), np.uint8)
    small = segmentation._resized(pictures, TINY.short_side // 6, torch.device("cpu")).numpy()
    rows, columns = (
        triangle(side, out)
        for side, out in zip(size, network_size(*size, TINY.short_side // 6), strict=True)
    )
    expected = np.einsum("yY,nYXc,xX->ncyx", rows, pictures, columns)
    assert small.shape == expected.shape
    assert np.abs(small - expected).max() <= 1 + 1e-9  # float64 sums of the expectation itself


def triangle(size: int, out: int) -> np.ndarray:
    """(out, size) weights of one axis."""
    scale = size / out
    centres = (np.arange(out) + 0.5) * scale
    distance = np.abs(np.arange(size) + 0.5 - centres[:, None]) / max(scale, 1.0)
    weights = np.maximum(1 - distance, 0)
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((720, 1280), (360, 640)), ((360, 640), (360, 640)), ((100, 1000), (133, 1333))],
)
def test_network_sizes(size, expected):
    assert network_size(*size, TINY.short_side) == expected
