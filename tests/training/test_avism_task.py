"""Training AVISM through its task: batches in, losses out, and what is learned from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from avism_truth import GridPoints
from guided_clips import TEACHER, Squares
from streamavis_training.avism_losses import avism_losses
from streamavis_training.avism_training import TeacherNet, clip_truths, decayed, vggish_features
from streamavis_training.batch import Batch
from streamavis_training.data.sample import ClipShape, collate
from streamavis_training.points import RandomPoints
from streamavis_training.tasks.avism import AVISMTask, TeacherConfig

from streamavis import checkpoint
from streamavis.audio.vggish import VGGish
from streamavis.errors import ShapeError
from streamavis.model.swin import SwinConfig

SHAPE = ClipShape(3, 64, 64)


def a_batch(clips: int = 2, seed: int = 0, source: Squares | None = None) -> Batch:
    rng = np.random.default_rng(seed)
    return collate([(source or Squares()).draw(SHAPE, rng) for _ in range(clips)], objects=3)


def network(**changes) -> TeacherNet:
    torch.manual_seed(0)
    compat = changes.pop("compat", "paper")
    return TeacherNet(replace(TEACHER, **changes), compat=compat)


def task(net: TeacherNet, batch: Batch, **options) -> AVISMTask:
    def batches(step: int, rank: int, world: int) -> Iterator[Batch]:
        while True:
            yield batch

    return AVISMTask(net, batches, **{"points": GridPoints()} | options)


def test_only_what_sounds_is_taught():
    """In view and silent is absent; where nobody listened, everything in view counts."""
    truth = a_batch(1).truth
    truth.sounding[0, :, 0] = torch.tensor([0.0, 1.0, 1.0])
    truth.sounding[0, :, 1] = 0
    (clip,) = clip_truths(truth)
    assert clip.classes.tolist() == [0]
    assert clip.present.tolist() == [[False, True, True]]
    assert not clip.masks[0, 0].any()
    assert clip.masks[0, 1].sum() == truth.masks[0, 1, 0].sum() > 0
    (unheard,) = clip_truths(a_batch(1, source=Squares(sound=False)).truth)
    assert unheard.classes.tolist() == [0, 1]
    assert unheard.present.all()


@pytest.mark.parametrize("compat", ["paper", "reference"])
def test_the_terms_are_those_of_the_losses(compat):
    batch, net = a_batch(), network(compat=compat, audio="vggish")
    batch.audio = torch.rand(2, 3, 16)
    found, carried = task(net, batch, config=TeacherConfig(compat=compat)).loss(net, batch, None)
    lesson = net.supervised(batch.frames, batch.audio, shift=compat == "paper")
    expected = avism_losses(lesson, clip_truths(batch.truth), compat=compat, points=GridPoints())[0]
    assert carried is None
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.allclose(found[name], value, rtol=1e-5), name


def test_each_clip_of_a_batch_is_seen_on_its_own():
    batch, net = a_batch(), network().eval()
    both = net(batch.frames, batch.audio, batch.times_s)
    for b in range(2):
        one = slice(b, b + 1)
        alone = net(batch.frames[one], batch.audio[one], batch.times_s[one])
        for ours, other in zip(
            both.lesson.clip_predictions, alone.lesson.clip_predictions, strict=True
        ):
            assert torch.allclose(ours.class_logits[:, one], other.class_logits, atol=1e-5)
            assert torch.allclose(ours.similarity[:, one], other.similarity, atol=1e-5)
        assert torch.allclose(both.heard_logits[one], alone.heard_logits, atol=1e-5)


def test_embeddings_and_norms_are_not_decayed():
    net = network(backbone=SwinConfig(16, (1, 1, 1, 1), (1, 2, 2, 4), window=4), count_levels=2)
    plain = {name for name, decay in decayed(net).items() if not decay}
    assert {"localizer.query_feat", "localizer.query_embed", "localizer.level_embed"} <= plain
    assert {"object_decoder.token_position", "localizer.count_token"} <= plain
    assert any("relative_position_bias_table" in name for name in plain)
    assert "object_decoder.norm.weight" in plain
    assert "pixel_decoder.level_embed" not in plain  # no embedding in the published code
    assert "class_embed.bias" not in plain
    groups = task(net, a_batch()).groups()
    scales = {g.name: (g.scale, g.weight_decay) for g in groups}
    assert scales == {
        "backbone": (0.1, 0.05),
        "backbone, not decayed": (0.1, 0.0),
        "rest": (1.0, 0.05),
        "rest, not decayed": (1.0, 0.0),
    }
    assert sum(len(g.parameters) for g in groups) == len(list(net.parameters()))


def test_it_learns_two_clips(tmp_path):
    batch, net = a_batch(), network()
    config = TeacherConfig(backbone=1.0, heard=0.1)
    made = task(net, batch, config=config, points=RandomPoints(500))
    groups = [{"params": g.parameters, "lr": 4e-3 * g.scale} for g in made.groups()]
    optimizer = torch.optim.AdamW(groups)
    totals = []
    for _ in range(15):
        terms, _ = made.loss(net, batch, None)
        optimizer.zero_grad()
        loss = sum(terms.values())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        totals.append(float(loss.detach()))
    assert {"heard", "loss_ce", "loss_avism_dice", "loss_clip_sim"} <= terms.keys()
    assert totals[-1] < 0.75 * totals[0]
    made.save(net, tmp_path / "avism.safetensors", {"data": "squares"})
    assert checkpoint.load_avism(tmp_path / "avism.safetensors").config == TEACHER
    (picture,) = made.pictures(net.eval()).values()
    assert picture.shape == (3, 3 * 64, 2 * 64)


def test_sound_needs_something_that_hears_it():
    batch, net = a_batch(), network(audio="vggish", audio_channels=128)
    with pytest.raises(ShapeError, match="audio_features"):
        task(net, batch).loss(net, batch, None)
    batch.audio.zero_()  # no sound at all is known: rows of zeros
    assert task(net, batch).loss(net, batch, None)[0]
    batch.audio[0, 1] = 0.1
    vggish = VGGish().eval().requires_grad_(False)
    features = vggish_features(vggish, batch.audio)
    assert features.shape == (2, 3, 128)
    assert features[0, 1].any()
    assert not features[1].any()
