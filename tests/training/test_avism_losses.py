"""AVISM's losses: against the reference's numbers, and what must hold of them."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from avism_truth import GridPoints, matched, truth_of
from streamavis_training.avism_losses import AVISMWeights, ClipTruth, avism_losses
from streamavis_training.points import POINTS, RandomPoints, sample

from streamavis.model.avism import ClipPrediction, Lesson
from streamavis.model.frame_decoder import FramePrediction

sys.path.append(str(Path(__file__).parents[1] / "model"))
from reference_weights import tensor

QUERIES, FRAMES, LAYERS = 20, 5, 3


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).parent / "data" / "avism_criterion.npz") as file:
        return {name: file[name] for name in file.files}


def recorded_lesson() -> Lesson:
    """The outputs the reference's losses were recorded on.

    Clip masks were given whole there. Here each is the product of an embedding that names it
    and of features that hold all of them.
    """
    frames = [
        FramePrediction(
            tensor(f"iso.crit.frame.logits.{n}", (FRAMES, QUERIES, 27), 2.0),
            tensor(f"iso.crit.frame.masks.{n}", (FRAMES, QUERIES, 24, 40), 3.0),
        )
        for n in range(10)
    ]
    clips, features = [], []
    for n in range(3):
        masks = tensor(f"iso.crit.clip.masks.{n}", (LAYERS, 1, QUERIES, FRAMES, 24, 40), 3.0)
        features.append(masks[:, 0].flatten(0, 1).transpose(0, 1))  # (T, L*V, H4, W4)
        named = torch.zeros(LAYERS * QUERIES, 3 * LAYERS * QUERIES)
        named[:, n * LAYERS * QUERIES :][:, : LAYERS * QUERIES] = torch.eye(LAYERS * QUERIES)
        clips.append(
            ClipPrediction(
                tensor(f"iso.crit.clip.logits.{n}", (LAYERS, 1, QUERIES, 27), 2.0),
                named.view(LAYERS, 1, QUERIES, -1),
                tensor(f"iso.crit.clip.cq.{n}", (LAYERS, 1, QUERIES, 256), 0.15),
            )
        )
    tokens = tensor("iso.crit.clip.fq", (LAYERS, 1, FRAMES, QUERIES, 256), 0.15)
    return Lesson(frames, clips, tokens, torch.cat(features, 1)[None], None)


def test_losses_and_matches_are_the_references(golden):
    unweighted = AVISMWeights(similarity=1.0)
    terms, frame_pairs, clip_pairs = avism_losses(
        recorded_lesson(), [truth_of(golden)], unweighted, points=GridPoints()
    )
    factors = {"ce": 2.0, "mask": 5.0, "dice": 5.0, "sim": 1.0}
    expected = dict(zip(golden["frame.loss_names"], golden["frame.loss_unweighted"], strict=True))
    expected |= zip(golden["clip.loss_names"], golden["clip.loss_unweighted"], strict=True)
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        (factor,) = (factors[part] for part in name.split("_") if part in factors)
        assert float(terms[name]) == pytest.approx(factor * value, rel=1e-5), name
    for found, wanted in zip(frame_pairs, golden["iso.match_frame"], strict=True):
        assert matched(found, wanted)
    for found, wanted in zip(clip_pairs, golden["iso.match_clip"], strict=True):
        assert matched(found, wanted)


def small_lesson(seed: int = 0, count: bool = False) -> Lesson:
    rng = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=rng).requires_grad_()

    clip = [
        ClipPrediction(noise(3, 2, 4, 6), noise(3, 2, 4, 8), noise(3, 2, 4, 8)) for _ in range(2)
    ]
    frames = [FramePrediction(noise(6, 4, 6), noise(6, 4, 8, 8)) for _ in range(4)]
    numbers = noise(2, 3, 2) if count else None
    return Lesson(frames, clip, noise(3, 2, 3, 4, 8), noise(2, 3, 8, 8, 8), numbers)


def small_truths() -> list[ClipTruth]:
    masks = torch.zeros(2, 3, 32, 32)
    masks[0, :, :16] = 1
    masks[1, 1:, 16:] = 1
    present = torch.tensor([[True, True, True], [False, True, True]])
    two = ClipTruth(torch.tensor([1, 3]), present, masks)
    none = ClipTruth(
        torch.zeros(0, dtype=torch.int64),
        torch.zeros(0, 3, dtype=torch.bool),
        torch.zeros(0, 3, 32, 32),
    )
    return [two, none]


def test_compat_differs_in_what_the_paper_does_not_say():
    lesson, truths = small_lesson(), small_truths()
    paper = avism_losses(lesson, truths, points=GridPoints())[0]
    reference = avism_losses(lesson, truths, points=GridPoints(), compat="reference")[0]
    apart = {name for name in paper if not torch.equal(paper[name], reference[name])}
    assert {"loss_avism_ce", "loss_clip_sim"} <= apart
    assert not any(name.startswith(("loss_ce", "loss_mask", "loss_dice")) for name in apart)
    # Were everything present from the start, the similarity's weight would be all.
    truths[0] = replace(truths[0], present=torch.ones(2, 3, dtype=torch.bool))
    paper = avism_losses(lesson, truths, points=GridPoints())[0]
    reference = avism_losses(lesson, truths, points=GridPoints(), compat="reference")[0]
    assert {name for name in paper if not torch.equal(paper[name], reference[name])} == {
        "loss_clip_sim"
    }
    assert reference["loss_clip_sim"].item() == pytest.approx(2 * paper["loss_clip_sim"].item())


def test_clips_without_objects_are_taught_silence():
    lesson = small_lesson()
    terms = avism_losses(lesson, [small_truths()[1]] * 2)[0]
    sum(terms.values()).backward()
    assert float(terms["loss_mask"]) == float(terms["loss_avism_dice_0"]) == 0
    assert float(terms["loss_ce"]) > 0
    assert lesson.video_mask_features.grad.isfinite().all()


def test_every_part_of_a_lesson_is_learned_from():
    lesson = small_lesson(count=True)
    terms = avism_losses(lesson, small_truths())[0]
    sum(terms.values()).backward()
    learned = [lesson.token_similarity, lesson.video_mask_features, lesson.count_logits]
    learned += [x for p in lesson.frame_predictions for x in vars(p).values()]
    learned += [x for p in lesson.clip_predictions for x in (p.class_logits, p.mask_embed)]
    learned.append(lesson.clip_predictions[-1].similarity)
    assert all(x.grad is not None and x.grad.abs().sum() > 0 for x in learned)


def test_points_gather_where_a_mask_is_undecided():
    x = torch.linspace(-8, 8, 32).expand(1, 32, 32).contiguous()
    torch.manual_seed(0)
    points = RandomPoints().uncertain(x)
    assert points.shape == (1, POINTS, 2)
    doubt = sample(x[:, None], points).abs()
    anywhere = sample(x[:, None], RandomPoints().shared(x.device)).abs()
    assert doubt.mean() < 0.6 * anywhere.mean()
