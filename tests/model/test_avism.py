"""Laws of the offline network, on one small enough to try many times."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stage_recorder import run_with_stages
from streamavis_benchmarks.offline.published import as_published

from streamavis.errors import ShapeError
from streamavis.model.avism import AVISM, AVISMConfig, avism_r50, avism_r101, avism_swin_l
from streamavis.model.resnet import FrozenBatchNorm, ResNetConfig
from streamavis.model.swin import SwinConfig
from streamavis.model.window_encoder import spans

TINY = AVISMConfig(
    classes=("bell", "drum"),
    backbone=SwinConfig(16, (1, 1, 1, 2), (1, 2, 2, 4), window=4),
    channels=32,
    audio_channels=8,
    heads=4,
    hidden=32,
    pixel_layers=1,
    pixel_hidden=32,
    points=2,
    frame_queries=5,
    frame_layers=4,
    object_layers=2,
    video_queries=4,
    video_layers=2,
)


def network(**changes: object) -> AVISM:
    torch.manual_seed(0)
    return AVISM(replace(TINY, **changes)).eval().requires_grad_(False)


def clip(frames: int, seed: int = 0, size: tuple[int, int] = (50, 70)):
    rng = torch.Generator().manual_seed(seed)
    pictures = torch.randint(0, 256, (frames, 3, *size), generator=rng, dtype=torch.uint8)
    return pictures, torch.rand(frames, TINY.audio_channels, generator=rng)


def groups(frames: int, window: int, first: int) -> list[list[int]]:
    found = []
    for start, end, size in spans(frames, window, first):
        found += [list(range(i, i + size)) for i in range(start, end, size)]
    return found


@pytest.mark.parametrize(
    ("frames", "first", "expected"),
    [
        (5, 3, [[0, 1, 2], [3, 4]]),
        (7, 3, [[0, 1, 2], [3, 4, 5, 6]]),
        (13, 3, [[0, 1, 2], [3, 4, 5, 6, 7, 8], [9, 10, 11, 12]]),
        (7, 0, [[0, 1, 2, 3, 4, 5], [6]]),
        (13, 0, [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11], [12]]),
        (2, 3, [[0, 1]]),
        (1, 0, [[0]]),
    ],
)
def test_windows_are_those_of_the_reference(frames, first, expected):
    assert groups(frames, 6, first) == expected


def seen_in_the_reference(frames: int, window: int, *, shift: bool) -> torch.Tensor:
    """(T, T) bool: who attends to whom, by padding, rolling and masking as the public code does."""
    padded = -(-frames // window) * window
    by = -(-window // 2) if shift else 0
    seen = torch.zeros(padded, padded, dtype=torch.bool)
    for number, row in enumerate(torch.arange(padded).roll(by).view(-1, window)):
        # What the roll brought to the front belongs to the end of the clip.
        halves = (row[:by], row[by:]) if number == 0 and by else (row,)
        for half in halves:
            seen[half[:, None], half] = True
    return seen[:frames, :frames]


@settings(max_examples=30)
@given(st.integers(1, 40), st.sampled_from([3, 6, 12]), st.booleans())
def test_windows_are_those_of_masked_attention(frames, window, shift):
    layer = network().object_encoder.layers[0]
    x = torch.randn(1, frames, 2, 32, generator=torch.Generator().manual_seed(frames))
    first = window // 2 if shift else 0
    seen = seen_in_the_reference(frames, window, shift=shift)
    tokens = x.flatten(1, 2)
    bias = seen.repeat_interleave(2, 0).repeat_interleave(2, 1)[None, None]
    mixed = layer.norm(tokens + layer.attention(tokens, tokens, tokens, bias))
    torch.testing.assert_close(
        layer(x, x, window, first), layer.feed_forward(mixed).view_as(x), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("changed", [0, 4, 6])
def test_one_layer_sees_its_window_alone(shift, changed):
    layer = network().object_encoder.layers[0]
    x = torch.randn(1, 7, 5, 32)
    other = x.clone()
    other[0, changed] += 1
    first = 3 if shift else 0
    moved = (layer(x, x, 6, first) - layer(other, other, 6, first)).abs().amax((0, 2, 3)) > 0
    (window,) = (g for g in groups(7, 6, first) if changed in g)
    assert moved.nonzero().flatten().tolist() == window


def test_a_batch_is_its_clips():
    model = network()
    (a, heard_a), (b, heard_b) = clip(7, 1), clip(7, 2)
    both = model(torch.stack([a, b]), torch.stack([heard_a, heard_b]))
    for i, alone in enumerate((model(a, heard_a), model(b, heard_b))):
        for name, value in vars(alone).items():
            if value is not None:
                torch.testing.assert_close(getattr(both, name)[i], value, rtol=1e-4, atol=1e-4)


def test_recording_stages_changes_nothing_and_ends():
    model, (frames, audio) = network(), clip(3)
    plain = model(frames, audio)
    output, stages = run_with_stages(model, frames, audio)
    assert torch.equal(plain.class_logits, output.class_logits)
    assert stages["trk.pred_logits"].shape == (4, 3)
    assert stages["trk.obj_encoder.1"].shape == (6, 5, 32)
    assert stages["mask_logits_stride4"].shape == (4, 3, 16, 24)
    assert not any(m._forward_hooks for m in model.modules())


@pytest.mark.parametrize("backbone", [TINY.backbone, ResNetConfig((1, 1, 1, 1))])
def test_computing_as_the_published_code_does_changes_nothing(backbone):
    model = network(backbone=backbone)
    for module in model.modules():  # norms that do something
        if isinstance(module, FrozenBatchNorm):
            for buffer in module.buffers():
                buffer.uniform_(0.5, 1.5)
    published = as_published(model)
    frames, audio = clip(7)
    with torch.inference_mode():
        expected = model(frames, audio)
        found = published(frames, audio)
    for name, value in vars(expected).items():
        if value is not None:
            apart = (getattr(found, name) - value).abs().max()
            assert apart <= 1e-3 * value.abs().max(), name


def test_the_frame_stage_knows_no_other_frame():
    model, (frames, audio) = network(), clip(4)
    whole = model(frames, audio).frame_queries
    one = model(frames[2:3], audio[2:3]).frame_queries
    torch.testing.assert_close(whole[2:3], one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "hears"),
    [
        ({"frame_fusion": "none", "video_fusion": False}, False),
        ({"frame_fusion": "none"}, True),
        ({"video_fusion": False}, True),
        ({"frame_fusion": "audio-centric", "count_levels": 2}, True),
        ({"window": 3}, True),
        ({"window": 12}, True),
    ],
)
def test_ablations(changes, hears):
    model, (frames, audio) = network(**changes), clip(4)
    output = model(frames, audio)
    deaf = model(frames, torch.zeros_like(audio))
    assert torch.equal(output.class_logits, deaf.class_logits) != hears
    assert (output.count_logits is not None) == ("count_levels" in changes)


def test_a_count_token_leaves_the_queries_their_number():
    model, (frames, audio) = network(count_levels=2, frame_fusion="audio-centric"), clip(2)
    output = model(frames, audio)
    assert output.frame_queries.shape == (2, 5, 32)
    assert output.count_logits.shape == (2, 2)


def test_a_lesson_ends_where_inference_does():
    model, (frames, audio) = network(), clip(5)
    lesson = model.supervised(frames[None], audio[None])
    output = model(frames, audio)
    assert len(lesson.frame_predictions) == 1 + TINY.frame_layers
    assert len(lesson.clip_predictions) == TINY.video_layers
    last = lesson.clip_predictions[-1]
    torch.testing.assert_close(last.class_logits[-1, 0], output.class_logits)
    torch.testing.assert_close(lesson.frame_predictions[-1].mask_logits, output.frame_mask_logits)
    unshifted = model.supervised(frames[None], audio[None], shift=False).clip_predictions[-1]
    assert not torch.equal(unshifted.class_logits, last.class_logits)


@pytest.mark.parametrize("size", [(32, 64), (33, 97), (64, 31)])
@pytest.mark.parametrize("backbone", [TINY.backbone, ResNetConfig((1, 1, 1, 1))])
def test_odd_sizes(size, backbone):
    frames, audio = clip(1, size=size)
    output = network(backbone=backbone)(frames, audio)
    height, width = (-(-side // 32) * 8 for side in size)
    assert output.mask_logits.shape == (4, 1, height, width)
    assert output.mask_logits.isfinite().all()


@pytest.mark.parametrize(
    ("frames", "audio", "message"),
    [
        (torch.zeros(2, 3, 32, 32), torch.zeros(2, 8), "frames must be uint8"),
        (torch.zeros(2, 32, 32, 3, dtype=torch.uint8), torch.zeros(2, 8), "frames must be"),
        (torch.zeros(2, 3, 32, 32, dtype=torch.uint8), torch.zeros(3, 8), r"float \(2, 8\)"),
        (torch.zeros(0, 3, 32, 32, dtype=torch.uint8), torch.zeros(0, 8), "at least one"),
    ],
)
def test_wrong_input_is_named(frames, audio, message):
    with pytest.raises(ShapeError, match=message):
        network()(frames, audio)


@pytest.mark.parametrize(
    ("recipe", "millions", "queries"),
    [(avism_r50, 66.072246, 100), (avism_r101, 85.01215, 100), (avism_swin_l, 237.649578, 200)],
)
def test_recipes_have_the_published_size(recipe, millions, queries):
    with torch.device("meta"):
        model = AVISM(recipe())
    assert sum(p.numel() for p in model.parameters()) == round(millions * 1e6)
    assert model.config.frame_queries == queries
