"""A clip through all of AVISM against the reference's recording, stage by stage (`make parity`).

`noise_floor_T7.json` tells what the order of float32 sums alone does: per stage the largest and the
99.9th percentile of the difference.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_files import FOLDER, difference, load, marks, names
from reference_weights import full_state
from stage_recorder import run_with_stages

from streamavis.checkpoint import avism_from_reference
from streamavis.model.avism import AVISM
from streamavis.model.segmentation import segment

pytestmark = marks
CLIP = "r50_T7_96x160"
FRAMES = 7
OVER_FLOOR = 10  # times what float32 does by itself


@pytest.fixture(scope="module")
def model() -> AVISM:
    return avism_from_reference(full_state("R50_IN"))


@pytest.fixture(scope="module")
def stages(model) -> dict[str, torch.Tensor]:
    inputs = load(f"{CLIP}_inputs")
    frames, audio = (torch.from_numpy(inputs[key]) for key in ("images_uint8", "audio"))
    with torch.inference_mode():
        return run_with_stages(model, frames, audio)[1]


@pytest.mark.parametrize("part", ["backbone_pixel", "decoder", "tracker"])
def test_every_stage_is_within_the_noise_of_float32(stages, part):
    golden = load(f"{CLIP}_{part}")
    floors = json.loads((Path(FOLDER or "") / "noise_floor_T7.json").read_text())
    floors["pixel.out_stride4"] = floors["pixel.clip_mask_features_in"]
    floors["frame_queries_last"] = floors["dec.layer.8.queries"]
    floors["mask_logits_stride4"] = floors["dec.head.mask_logits[9]"]
    recorded = names(golden)
    assert set(recorded) <= stages.keys()
    for name in recorded:
        if name.endswith("max_spread_over_queries"):
            assert stages[name] == golden[name] == 0
            continue
        most, usual, _ = floors[re.sub(r"head\.(\d)\.(\w+)", r"head.\2[\1]", name)]
        padded = name.startswith(("trk.obj_encoder", "trk.vlavfm"))
        apart = difference(golden, name, stages[name], FRAMES if padded else None)
        assert np.percentile(apart, 99.9) <= OVER_FLOOR * usual, name
        assert apart.max() <= OVER_FLOOR * most, name


@pytest.fixture(scope="module")
def segments(model):
    """Ours and theirs of the recorded clip, all hundred candidates."""
    inputs, golden = load(f"{CLIP}_inputs"), load(f"{CLIP}_results")
    small = AVISM(replace(model.config, short_side=96)).eval()
    small.load_state_dict(model.state_dict())
    frames = inputs["images_uint8"].transpose(0, 2, 3, 1)
    found = segment(small, frames, torch.from_numpy(inputs["audio"]), threshold=-1.0)
    return found, golden


def test_every_candidate_scores_alike(segments):
    found, golden = segments
    pairs = zip(golden["topk_query"].tolist(), golden["topk_label"].tolist(), strict=True)
    rows = {pair: i for i, pair in enumerate(pairs)}
    order = [rows[pair] for pair in zip(found.queries, found.labels, strict=True)]
    assert len(set(order)) == len(rows) == 100
    assert np.abs(found.class_scores - golden["topk_cls_scores_sorted"][order]).max() < 1e-4
    assert np.abs(found.qualities - golden["topk_mask_quality"][order]).max() < 1e-4


def test_what_is_kept_has_the_same_masks(segments):
    found, golden = segments
    products = golden["topk_cls_scores_sorted"] * golden["topk_mask_quality"]
    ours = {pair: i for i, pair in enumerate(zip(found.queries, found.labels, strict=True))}
    # Theirs come as an unsorted top-k left them; a score tells which pair each is.
    rows = [int(np.abs(products - score).argmin()) for score in golden["pred_scores"]]
    kept = [ours[golden["topk_query"][row], golden["topk_label"][row]] for row in rows]
    assert sorted(kept) == list(range((found.scores > 0.3).sum()))
    assert (found.labels[kept] == golden["pred_labels"]).all()
    assert np.abs(found.scores[kept] - golden["pred_scores"]).max() < 1e-4
    areas = np.array([found.masks(i).sum((1, 2)) for i in kept])
    apart = np.abs(areas - golden["pred_masks_area"]).sum()
    assert apart <= 1e-4 * areas.size * np.prod(found.size)
    shape = (8, *golden["pred_masks_shape"][1:])
    masks = np.unpackbits(golden["pred_masks_packbits_first8"])[: np.prod(shape)].reshape(shape)
    assert (np.stack([found.masks(i) for i in kept[:8]]) != masks.astype(bool)).mean() <= 1e-4


def noise_clip(shape: tuple[int, ...], size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (*shape, 3, *size), generator=rng, dtype=torch.uint8)
    return frames, torch.rand(*shape, 128, generator=rng)


@pytest.mark.parametrize("size", [(64, 96), (70, 101)])
@pytest.mark.parametrize("frames", [1, 6, 7, 13, 40])
def test_every_stage_of_any_clip_is_told_in_its_shape(model, frames, size):
    pictures, audio = noise_clip((frames,), size)
    with torch.inference_mode():
        found = run_with_stages(model, pictures, audio)[1]
    windows = -(-frames // 6) * 6
    height, width = (-(-side // 32) * 32 for side in size)
    levels = [(height // s, width // s) for s in (32, 16, 8)]
    shapes = {
        "backbone.res5": (frames, 2048, height // 32, width // 32),
        "pixel.encoder_layer.5": (frames, sum(h * w for h, w in levels), 256),
        "pixel.multi_scale.1": (frames, 256, *levels[1]),
        "clip_mask_features": (frames, 256, height // 4, width // 4),
        "dec.audio_proj": (frames, 256),
        "dec.head.9.attn_mask_blocked_frac": (frames, 100),
        "frame_queries_last": (frames, 100, 256),
        "trk.obj_encoder.5": (windows, 100, 256),
        "trk.vlavfm.5": (windows, 256),
        "trk.fused_tokens": (frames * 100, 256),
        "mask_logits_stride4": (100, frames, height // 4, width // 4),
    }
    assert {name: tuple(found[name].shape) for name in shapes} == shapes
    recorded = {
        n
        for part in ("backbone_pixel", "decoder", "tracker")
        for n in names(load(f"{CLIP}_{part}"))
    }
    assert recorded <= found.keys()
    assert all(x.isfinite().all() for x in found.values())


@pytest.mark.parametrize("frames", [1, 7, 13])
def test_a_batch_is_its_clips(model, frames):
    """Sums in another order may turn a mask logit's sign, and with it what a query looks at: most
    values are equal to rounding, all are alike.
    """
    pictures, audio = noise_clip((2, frames), (40, 70))
    with torch.inference_mode():
        both = model(pictures, audio)
        for i in range(2):
            alone = model(pictures[i], audio[i])
            for name, value in vars(alone).items():
                if value is not None:
                    apart = (getattr(both, name)[i] - value).abs() / value.abs().max()
                    assert apart.max() <= 1e-2, name
                    assert apart.median() <= 1e-4, name


def test_names_of_the_other_class_give_the_same_network(model):
    theirs = avism_from_reference(full_state("R50_COCO")).state_dict()
    ours = model.state_dict()
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[name], value) for name, value in ours.items())


@pytest.mark.parametrize("name", ["R101_COCO", "ACVIS_SAOC"])
def test_other_published_networks_run(name):
    other = avism_from_reference(full_state(name))
    pictures, audio = noise_clip((2,), (64, 96))
    with torch.inference_mode():
        output, found = run_with_stages(other, pictures, audio)
    assert found["dec.head.9.mask_logits"].shape == (2, 100, 16, 24)
    assert output.class_logits.isfinite().all()
    assert (output.count_logits is None) == (name != "ACVIS_SAOC")
