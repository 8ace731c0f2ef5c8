"""A rendered pool gives the same batches again, and a batch tells the truth about itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from streamavis_training.evaluate import Scores, evaluate, unseen
from streamavis_training.pool import BatchConfig, Pool, PoolConfig, render
from streamavis_training.world import WorldConfig

CONFIG = PoolConfig(clips=6, frames=6, width=85, height=48, seed=5)
BATCH = BatchConfig(clips=2, frames=2, parts=2, height=48, muted=0, mismatched=0, delayed=0)


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pool")
    done = []
    render(folder, CONFIG, progress=done.append)
    assert done == [1, 2, 3, 4, 5, 6]
    written = (folder / "frames.npy").stat().st_mtime_ns
    render(folder, CONFIG)
    assert (folder / "frames.npy").stat().st_mtime_ns == written, "a pool is rendered once"
    return Pool(folder, CONFIG)


def test_batches_go_on_at_any_step_as_if_never_left(pool):
    from_start = pool.batches(BATCH, 0, 0)(0)
    wanted = [next(from_start) for _ in range(5)]
    assert [b.first for b in wanted] == [True, False, True, False, True]
    assert [b.last for b in wanted] == [False, True, False, True, False]
    for step, batch in enumerate(wanted):
        again = next(pool.batches(BATCH, 0, 0)(step))
        assert torch.equal(again.frames, batch.frames)
        assert torch.equal(again.audio, batch.audio)
        assert torch.equal(again.truth.masks, batch.truth.masks)
    other = next(pool.batches(BATCH, 0, 1)(0))
    assert not torch.equal(other.frames, wanted[0].frames), "each rank has its own"


def test_shapes_and_time_follow_on(pool):
    batch = pool.batch(BATCH, np.random.default_rng(0))
    assert batch.frames.shape == (2, 4, 3, 48, 85)
    assert batch.truth.masks.shape == (2, 4, 5, 16, 24), "stride 4 of the padded 64x96"
    assert (batch.times_s.diff(dim=1) > 0.05).all()
    half = pool.batch(replace(BATCH, height=32), np.random.default_rng(0))
    assert half.frames.shape[-2:] == (32, 57)
    assert half.truth.masks.shape[-2:] == (8, 16)
    for part in batch.parts(2):
        assert part.frames.shape[1] == part.truth.visible.shape[1] == 2


def test_masks_lie_where_the_objects_are(pool):
    """Cells of an object change colour where it moves; mirrored pictures have mirrored masks."""
    rng = [np.random.default_rng(3) for _ in range(2)]
    a, b = (pool.batch(BATCH, r) for r in rng)
    assert torch.equal(a.truth.masks, b.truth.masks)
    visible = a.truth.seen
    area = a.truth.masks.sum((-2, -1))
    assert (area[visible] >= 1).all()
    assert (a.truth.masks.sum(2) <= 1 + 1e-6).all(), "a cell belongs to one object at a time"


def test_sound_that_is_not_the_clips_own_makes_nobody_sound(pool):
    muted = pool.batch(replace(BATCH, clips=6, muted=1.0), np.random.default_rng(0))
    assert not muted.audio.any()
    assert not muted.truth.sounding.any()
    assert not muted.truth.heard.any()
    mismatched = pool.batch(replace(BATCH, clips=12, mismatched=1.0), np.random.default_rng(0))
    strange = mismatched.truth.heard.isnan().all(-1).all(-1)
    assert strange.any(), "some clip fits nothing that is in view of another"
    assert not mismatched.truth.sounding[strange].any()


def test_sounds_alone_fit_their_truth(pool):
    quiet = replace(BATCH, gain_db=(0.0, 0.0))
    batch = pool.sounds(quiet, 64, np.random.default_rng(0))
    audio, truth = batch.audio[:, 0], batch.truth
    assert audio.shape == (64, 15_360)
    assert batch.times_s.shape == (64, 1)
    recent = audio[:, -3200:].square().mean(1).sqrt()
    heard = truth.heard[:, 0].bool().any(1)
    assert heard.any() and (~heard).any()
    assert recent[heard].median() > 3 * recent[~heard].median()


class Blind:
    """A model that never reports anything, behind the session's protocol."""

    class config:  # noqa: N801
        classes = ("a",)
        short_side = 48
        score_on, score_off = 0.7, 0.5

    def parameters(self):
        return iter(())

    def init_state(self, streams):
        return self

    def reset(self, streams):
        pass

    def step(self, frames, audio, state, *, times_s):
        class Output:
            class_logits = torch.tensor([[[-9.0, 9.0]]])
            mask_logits = torch.full((1, 1, 16, 32), -9.0)
            sounding_logits = torch.zeros(1, 1)
            visible_logits = None
            identity = torch.ones(1, 1, 2)
            heard_logits = None

        return Output()


@pytest.mark.parametrize("sound", ["own", "swapped", "silence"])
def test_who_reports_nothing_misses_everything(sound):
    scenes = list(unseen(3, 1, WorldConfig(width=85, height=48, fps=5, duration_s=2)))
    plain, paired = evaluate(Blind(), scenes, sound)
    total = plain + paired
    assert isinstance(total, Scores)
    assert total.frames == 30
    assert total.detections == 0
    assert total.sounding_objects == sum(int((s.visible & s.sounding).sum()) for s in scenes)
    assert total.mean_iou == 0
    assert total.quiet_right == total.quiet_frames > 0
