"""Matching and losses: what is right costs nothing, what is named is what is punished."""

from __future__ import annotations

import pytest
import torch
from streamavis_training.batch import Truth
from streamavis_training.losses import LossWeights, ordinal_count_loss, set_losses
from streamavis_training.matcher import match

K, SIZE = 3, (6, 8)


def truth(seed: int = 0, clips: int = 2, steps: int = 3, objects: int = 3) -> Truth:
    rng = torch.Generator().manual_seed(seed)
    owner = torch.randint(0, objects + 1, (clips, steps, *SIZE), generator=rng)
    masks = torch.stack([owner == i + 1 for i in range(objects)], 2).float()
    visible = torch.rand(clips, steps, objects, generator=rng) < 0.8
    masks = masks * visible[..., None, None]
    return Truth(
        masks=masks,
        class_ids=torch.randint(0, K, (clips, objects), generator=rng),
        visible=visible,
        sounding=visible & (torch.rand(clips, steps, objects, generator=rng) < 0.5),
        heard=torch.zeros(clips, steps, K),
        level=torch.rand(clips, steps, objects, generator=rng),
    )


def perfect(t: Truth, order: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Predictions that say the truth, object i by query order[i]; the rest say nothing."""
    clips, steps, objects = t.visible.shape
    classes = torch.zeros(clips, steps, 5, K + 1)
    classes[..., K] = 20.0
    masks = torch.full((clips, steps, 5, *SIZE), -20.0)
    met = t.visible.cumsum(1).bool()
    for i in range(objects):
        masks[:, :, order[i]] = t.masks[:, :, i] * 40 - 20
        for b in range(clips):
            classes[b, met[b, :, i], order[i]] = 0.0
            classes[b, met[b, :, i], order[i], t.class_ids[b, i]] = 20.0
    return classes, masks


@pytest.mark.parametrize("seed", range(5))
def test_the_right_query_is_found_wherever_it_is(seed):
    t = truth(seed)
    order = torch.randperm(5, generator=torch.Generator().manual_seed(seed))[:3]
    pairs = match(*perfect(t, order), t)
    assert torch.equal(pairs.query, order[pairs.object])
    assert len(pairs) == int(t.visible.any(1).sum())


@pytest.mark.parametrize("seed", range(3))
def test_the_truth_costs_nothing(seed):
    t = truth(seed)
    classes, masks = perfect(t, torch.tensor([0, 1, 2]))
    terms = set_losses(classes, masks, t, match(classes, masks, t), LossWeights())
    assert all(float(v) < 1e-3 for v in terms.values()), terms


def test_a_wrong_mask_costs_and_a_hidden_object_has_none():
    t = truth(1)
    classes, masks = perfect(t, torch.tensor([0, 1, 2]))
    pairs = match(classes, masks, t)
    wrong = masks.clone()
    b, q, i = (int(x[0]) for x in (pairs.clip, pairs.query, pairs.object))
    wrong[b, ~t.visible[b, :, i], q] *= -1
    same = set_losses(classes, wrong, t, pairs, LossWeights())
    assert float(same["bce"]) < 1e-3, "nothing is asked of a mask while its object is hidden"
    wrong[b, t.visible[b, :, i], q] *= -1
    assert float(set_losses(classes, wrong, t, pairs, LossWeights())["bce"]) > 1.0


def test_a_clip_without_objects_has_a_loss():
    t = truth()
    t.visible[:] = False
    classes, masks = perfect(t, torch.tensor([0, 1, 2]))
    terms = set_losses(classes, masks, t, match(classes, masks, t), LossWeights())
    assert all(torch.isfinite(v) for v in terms.values())


def test_counting_follows_its_formula():
    logits = torch.tensor([[0.3, -1.2], [2.0, 0.1], [-0.5, 0.7]])
    number = torch.tensor([0, 1, 2])
    s = torch.sigmoid(logits)
    # y = 0 answers "any?" only; y = 1: yes, not more; y = 2: yes, more.
    by_hand = -(
        torch.log(1 - s[0, 0])
        + torch.log(s[1, 0])
        + torch.log(1 - s[1, 1])
        + torch.log(s[2, 0])
        + torch.log(s[2, 1])
    )
    torch.testing.assert_close(ordinal_count_loss(logits, number), by_hand / 5)
