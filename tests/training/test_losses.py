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
        visible=visible.float(),
        sounding=(visible & (torch.rand(clips, steps, objects, generator=rng) < 0.5)).float(),
        heard=torch.zeros(clips, steps, K),
        level=torch.rand(clips, steps, objects, generator=rng),
    )


def perfect(t: Truth, order: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Predictions that say the truth, object i by query order[i]; the rest say nothing."""
    clips, steps, objects = t.visible.shape
    classes = torch.zeros(clips, steps, 5, K + 1)
    classes[..., K] = 20.0
    masks = torch.full((clips, steps, 5, *SIZE), -20.0)
    met = t.seen.cumsum(1).bool()
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
    assert len(pairs) == int(t.seen.any(1).sum())


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
    wrong[b, ~t.seen[b, :, i], q] *= -1
    same = set_losses(classes, wrong, t, pairs, LossWeights())
    assert float(same["bce"]) < 1e-3, "nothing is asked of a mask while its object is hidden"
    wrong[b, t.seen[b, :, i], q] *= -1
    assert float(set_losses(classes, wrong, t, pairs, LossWeights())["bce"]) > 1.0


def test_a_clip_without_objects_has_a_loss():
    t = truth()
    t.visible[:] = 0
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


def test_unlabelled_pixels_punish_no_query():
    """A query that finds something where nothing is labelled costs nothing; elsewhere it does."""
    t = truth(1)
    classes, masks = perfect(t, torch.tensor([0, 1, 2]))
    classes[:, :, 4] = 0.0
    classes[:, :, 4, 0] = 20.0
    area = torch.zeros(2, 3, *SIZE)
    area[..., :3, :] = 1.0
    masks[:, :, 4] = area * 40 - 20
    pairs = match(classes, masks, t)
    keep = pairs.query != 4
    pairs.clip, pairs.query, pairs.object = (
        x[keep] for x in (pairs.clip, pairs.query, pairs.object)
    )
    assert set_losses(classes, masks, t, pairs, LossWeights())["class"] > 0.1
    t.ignore = area
    t2 = truth(1)
    t2.ignore = 1 - area
    assert set_losses(classes, masks, t2, pairs, LossWeights())["class"] > 0.1
    excused = set_losses(classes, masks, t, pairs, LossWeights())["class"]
    t.ignore = None
    assert excused < set_losses(classes, masks, t, pairs, LossWeights())["class"] / 10


def test_what_is_unknown_is_not_asked():
    """A matched query may say anything in frames where its object's presence is unknown."""
    t = truth(0, clips=1, objects=1)
    t.visible = torch.tensor([[[0.0], [1.0], [1.0]]])
    classes, masks = perfect(t, torch.tensor([2]))
    pairs = match(classes, masks, t)
    classes[0, 0, 2] = 0.0
    classes[0, 0, 2, t.class_ids[0, 0]] = 20.0
    assert set_losses(classes, masks, t, pairs, LossWeights())["class"] > 0.1
    t.visible[0, 0] = torch.nan
    assert set_losses(classes, masks, t, pairs, LossWeights())["class"] < 1e-3
