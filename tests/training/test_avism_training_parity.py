"""A whole training step of AVISM against the reference's (`make parity`)."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from avism_truth import GridPoints, matched, truth_of
from streamavis_training.avism_losses import avism_losses
from streamavis_training.avism_training import TeacherNet
from streamavis_training.batch import Batch, Truth
from streamavis_training.schedule import TrainerConfig
from streamavis_training.tasks.avism import AVISMTask, TeacherConfig
from streamavis_training.trainer import Trainer

from streamavis.checkpoint import convert

sys.path.append(str(Path(__file__).parents[1] / "model"))
from golden_files import assert_alike, load, marks, names
from reference_weights import full_state

pytestmark = marks


@pytest.fixture(scope="module")
def converted():
    model, report = convert(full_state("R50_IN"))
    return model.train().requires_grad_(True), report


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    return load("train_T5_96x160")


def test_the_copy_beside_the_tests_is_the_recording():
    """`test_avism_losses` reads it."""
    recorded = load("iso_criterion")
    with np.load(Path(__file__).parent / "data" / "avism_criterion.npz") as copy:
        assert set(copy.files) == recorded.keys()
        for name, value in recorded.items():
            assert np.array_equal(copy[name], value), name


def assert_gradients(model, report, golden) -> None:
    """Those of every weight, against the reference's on the fixed grid of points."""
    gradients = {name: weight.grad for name, weight in model.named_parameters()}

    def gradient(theirs: str) -> torch.Tensor:
        """Ours of a weight of theirs: parts of joined ones, all parts of split ones."""
        ours = [gradients[name] for name in report.used[theirs]]
        if "sampling_offsets" in theirs:
            ours = [ours[0][: len(ours[0]) * 2 // 3]]
        elif "attention_weights" in theirs:
            ours = [ours[0][len(ours[0]) * 2 // 3 :]]
        return torch.cat(ours)

    squares = 0.0
    norms = zip(golden["grid.grad_norm_names"], golden["grid.grad_norms"], strict=True)
    for theirs, norm in norms:
        found = float(gradient(theirs).double().norm())
        squares += found**2
        assert found == pytest.approx(norm, rel=1e-3, abs=1e-6), theirs
    assert squares**0.5 == pytest.approx(float(golden["grid.grad_total_norm"]), rel=1e-4)
    for name in golden:
        if name.startswith("grid.grad."):
            expected = torch.from_numpy(golden[name])
            apart = gradient(name.removeprefix("grid.grad.")) - expected
            assert apart.norm() <= 1e-3 * expected.norm(), name


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
    terms_of = golden[f"{run}.loss_names"]
    assert terms.keys() == set(terms_of)
    for name, value in zip(terms_of, golden[f"{run}.loss_values_weighted"], strict=True):
        assert float(terms[name].detach()) == pytest.approx(value, rel=1e-4), name
    for found, wanted in zip(frame_pairs, golden[f"{run}.match_frame"], strict=True):
        assert matched(found, wanted)
    for found, wanted in zip(clip_pairs, golden[f"{run}.match_clip"], strict=True):
        assert matched(found, wanted)
    total = float(sum(terms.values()).detach())
    assert total == pytest.approx(float(golden[f"{run}.total"]), rel=1e-5)
    if run != "grid":
        return
    model.zero_grad()
    sum(terms.values()).backward()
    assert_gradients(model, report, golden)


def test_what_the_losses_are_taken_on(converted, golden):
    """Outputs in training mode: three frame layers, the last layer of each decoder."""
    model, _ = converted
    frames, audio = (torch.from_numpy(golden[k])[None] for k in ("images_uint8", "audio"))
    with torch.no_grad():
        lesson = model.supervised(frames, audio, shift=False)
    frame, clip = lesson.frame_predictions[-1], lesson.clip_predictions[-1]
    masks = torch.einsum("lbvc,btchw->lbvthw", clip.mask_embed, lesson.video_mask_features)
    ours = {
        "frame.pred_logits": frame.class_logits,
        "frame.pred_masks": frame.mask_logits,
        "clip.pred_logits": clip.class_logits,
        "clip.pred_masks": masks,
        "clip.pred_cq_embed": clip.similarity,
        "clip.pred_fq_embed": lesson.token_similarity,
    }
    assert {name for name in names(golden) if ".pred_" in name} == set(ours)
    for name, value in ours.items():
        assert_alike(golden, name, value)


def test_targets_are_the_references(golden):
    """Ids and labels of the clip's objects; one that is absent at first would be none of them."""
    truth = truth_of(golden)
    assert golden["clip_target_labels"].tolist() == truth.classes.tolist()
    present = torch.from_numpy(golden["clip_target_ids"] >= 0)
    assert torch.equal(present, truth.present)


def test_the_trainer_gives_the_references_losses_and_gradients(converted, golden, tmp_path):
    """The same step as a user takes it: batch, task, trainer, `compat="reference"`."""
    model, report = converted
    network = TeacherNet(model.config, compat="reference")
    network.load_state_dict(model.state_dict())
    masks = truth_of(golden)
    frames, audio = (torch.from_numpy(golden[k])[None] for k in ("images_uint8", "audio"))
    present = masks.present.T[None].float()  # (1, T, N)
    batch = Batch(
        frames,
        audio,
        torch.arange(frames.shape[1]).double()[None] + 0.96,
        Truth(
            masks=masks.masks.transpose(0, 1)[None],
            class_ids=masks.classes[None],
            visible=present,
            sounding=present,
            heard=torch.full((1, frames.shape[1], 26), torch.nan),
            level=torch.full_like(present, torch.nan),
        ),
    )

    def batches(step, rank, world):
        while True:
            yield batch

    task = AVISMTask(
        network, batches, TeacherConfig(compat="reference"), points=GridPoints(), name="avism"
    )
    config = TrainerConfig(steps=1, rate=1e-12, clip_norm=0, ema_decay=0.0, device="cpu")
    told = []
    Trainer(task, tmp_path, config).run(told.append)
    names, values = golden["grid.loss_names"], golden["grid.loss_values_weighted"]
    assert told[0].terms.keys() == set(names)
    for name, value in zip(names, values, strict=True):
        assert told[0].terms[name] == pytest.approx(value, rel=1e-4), name
    assert told[0].loss == pytest.approx(float(golden["grid.total"]), rel=1e-5)
    assert told[0].grad_norm == pytest.approx(float(golden["grid.grad_total_norm"]), rel=1e-4)
    assert_gradients(network, report, golden)
