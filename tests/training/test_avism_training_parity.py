"""A whole training step of AVISM against the reference's (`make parity`)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from avism_truth import GridPoints, matched, truth_of
from streamavis_training.avism_losses import avism_losses

from streamavis.checkpoint import convert

sys.path.append(str(Path(__file__).parents[1] / "model"))
from reference_weights import full_state

GOLDEN = os.environ.get("STREAMAVIS_GOLDEN")
pytestmark = [
    pytest.mark.parity,
    pytest.mark.skipif(not GOLDEN, reason="STREAMAVIS_GOLDEN names no folder of golden files"),
]


@pytest.fixture(scope="module")
def converted():
    model, report = convert(full_state("R50_IN"))
    return model.train().requires_grad_(True), report


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(Path(GOLDEN or "") / "train_T5_96x160.npz") as file:
        return {name: file[name] for name in file.files}


def test_the_copy_beside_the_tests_is_the_recording():
    """`test_avism_losses` reads it."""
    copy = np.load(Path(__file__).parent / "data" / "avism_criterion.npz")
    recorded = np.load(Path(GOLDEN or "") / "iso_criterion.npz")
    assert set(copy.files) <= set(recorded.files)
    for name in copy.files:
        assert np.array_equal(copy[name], recorded[name]), name


@pytest.mark.parametrize("run", ["grid", "random_seed0", "random_seed1"])
def test_losses_matches_and_gradients(converted, golden, run):
    model, report = converted
    frames, audio = (torch.from_numpy(golden[k])[None] for k in ("images_uint8", "audio"))
    torch.manual_seed(int(run[-1]) if run[-1].isdigit() else 0)
    terms, frame_pairs, clip_pairs = avism_losses(
        model.supervised(frames, audio, shift=False),
        [truth_of(golden)],
        compat="reference",
        points=GridPoints() if run == "grid" else None,
    )
    names = golden[f"{run}.loss_names"]
    assert terms.keys() == set(names)
    for name, value in zip(names, golden[f"{run}.loss_values_weighted"], strict=True):
        assert float(terms[name].detach()) == pytest.approx(value, rel=1e-4), name
    for found, wanted in zip(frame_pairs, golden[f"{run}.match_frame"], strict=True):
        assert matched(found, wanted)
    for found, wanted in zip(clip_pairs, golden[f"{run}.match_clip"], strict=True):
        assert matched(found, wanted)
    if run != "grid":
        return
    model.zero_grad()
    sum(terms.values()).backward()
    gradients = {name: weight.grad for name, weight in model.named_parameters()}
    norms = zip(golden["grid.grad_norm_names"], golden["grid.grad_norms"], strict=True)
    for theirs, norm in norms:
        ours = [gradients[name] for name in report.used[theirs]]
        if "sampling_offsets" in theirs:
            ours = [ours[0][: len(ours[0]) * 2 // 3]]
        elif "attention_weights" in theirs:
            ours = [ours[0][len(ours[0]) * 2 // 3 :]]
        found = float(torch.cat([x.flatten() for x in ours]).double().norm())
        assert found == pytest.approx(norm, rel=1e-3, abs=1e-6), theirs
