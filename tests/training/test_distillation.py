"""A teacher's outputs on disk, how clips are cut, and what a guide's losses are."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from guided_clips import CLASSES, TEACHER, Squares
from streamavis_training.data.sample import ClipShape, collate
from streamavis_training.distillation.clips import (
    FixedClips,
    guided,
    limited,
    resized,
    spliced,
    window,
)
from streamavis_training.distillation.guide import (
    Guide,
    GuideWeights,
    guidance_losses,
    own_guide,
    steady_frames,
)
from streamavis_training.distillation.loader import ClipPlan, DistillLoader
from streamavis_training.distillation.network import DistillNet
from streamavis_training.distillation.targets import TargetFiles, TeacherTargets, observe
from streamavis_training.matcher import match
from streamavis_training.tasks.distill import DistillConfig, DistillTask

from streamavis import checkpoint
from streamavis.errors import InputError
from streamavis.model import AVISM, StreamAVIS, StreamAVISConfig
from streamavis.model.adopt import causal_config

POOL = FixedClips(Squares(turns=True), ClipShape(10, 64, 96), seed=3)
PLAN = ClipPlan(
    clips=2, frames=3, parts=2, height=48, width=64, objects=3, preroll=3, onset_s=0.1,
    least_overlap=0.0,
)  # fmt: skip
STUDENT = StreamAVISConfig(
    classes=CLASSES,
    short_side=48,
    channels=32,
    mask_channels=16,
    identity_channels=8,
    heads=4,
    hidden=32,
    pixel_hidden=32,
    audio_channels=16,
    frame_queries=4,
    slots=3,
    pixel_layers=1,
    points=2,
    fusion_points=2,
    frame_layers=1,
    object_layers=1,
    video_layers=1,
    window=3,
    sinks=1,
    memory_stride_s=0.25,
    backbone=TEACHER.backbone,
)


@pytest.fixture(scope="module")
def teacher() -> AVISM:
    torch.manual_seed(0)
    return AVISM(TEACHER).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def folder(teacher, tmp_path_factory):
    files = TargetFiles(tmp_path_factory.mktemp("targets"))
    for index in range(3):
        files.write(index, observe(teacher, None, POOL.draw(index)))
    return files.folder


def clip_of(teacher: AVISM, index: int = 0):
    sample = POOL.draw(index)
    return guided(sample, observe(teacher, None, sample), 0.0)


def test_what_is_read_is_what_the_teacher_says(teacher, folder):
    """And a clip that has changed since is noticed."""
    sample = POOL.draw(1)
    kept, anew = TargetFiles(folder).read(1, sample), observe(teacher, None, sample)
    for f in fields(TeacherTargets):
        assert np.array_equal(getattr(kept, f.name), getattr(anew, f.name)), f.name
    assert kept.mask_logits.shape == (10, 2, 16, 24)
    assert set(kept.objects) == {0, 1}
    assert not kept.sounding[(kept.mask_logits > 0).any((2, 3)) == 0].any()
    with pytest.raises(InputError, match="is of another clip"):
        TargetFiles(folder).read(1, POOL.draw(2))
    (folder / "000009.npz").write_bytes(b"PK\x03\x04 broken off")
    with pytest.raises(InputError, match="remove it and start again"):
        TargetFiles(folder).read(9, sample)


def test_a_teachers_rows_are_those_of_the_whole_clip(teacher):
    sample = POOL.draw(0)
    batch = collate([sample], objects=2)
    features = teacher.hear(batch.audio[0], batch.times_s[0])
    output = teacher(batch.frames[0], features)
    targets = observe(teacher, None, sample)
    distance = (output.class_logits[:, None] - torch.from_numpy(targets.class_logits)).abs().sum(2)
    rows = distance.argmin(0)
    assert distance.min(0).values.max() < 0.02
    masks = output.mask_logits[rows].transpose(0, 1)
    assert torch.allclose(torch.from_numpy(targets.mask_logits).float(), masks, atol=0.02)


def test_the_teacher_is_matched_where_objects_sound(teacher):
    """In the frames in which an object is silent its mask is empty, which is no fault."""
    sample = POOL.draw(0)
    whole = observe(teacher, None, sample)
    sample.sounding[:, 0] = 0
    silent = observe(teacher, None, sample)
    assert set(whole.objects) == {0, 1}
    assert set(silent.objects) == {1}
    assert silent.overlap.shape == (1,)


def test_an_object_the_teacher_misses_guides_nothing(teacher):
    sample = POOL.draw(0)
    targets = observe(teacher, None, sample)
    targets.overlap[:] = [0.9, 0.1]
    found = guided(sample, targets, 0.3)
    assert found.known[:, targets.objects[0]].all()
    assert not found.known[:, targets.objects[1]].any()


def test_a_cut_puts_one_clip_after_the_other(teacher):
    a, b = clip_of(teacher, 0), clip_of(teacher, 1)
    joined = spliced(window(a, 0, 4), window(b, 7, 10))
    s = joined.sample
    assert len(s.frames) == 7
    assert len(s.class_ids) == 4
    assert np.array_equal(s.frames[4], b.sample.frames[7])
    assert not s.visible[4:, :2].any() and not s.visible[:4, 2:].any()
    assert not joined.known[4:, :2].any() and joined.known[4:, 2:].all()
    assert (np.diff(s.times_ns) == 250_000_000).all()
    # The last frame hears its own clip for 3 frames and the first clip before that.
    heard = collate([s], objects=4).audio[0, -1].numpy()
    own = collate([b.sample], objects=4).audio[0, -1].numpy()
    assert np.array_equal(heard[-12_000:], own[-12_000:])
    assert not np.array_equal(heard[:3_000], own[:3_000])


def test_sizes_and_limits_keep_truth_and_guide_together(teacher):
    clip = clip_of(teacher)
    small = resized(clip, 32, 48)
    assert small.sample.frames.shape == (10, 32, 48, 3)
    assert small.mask_logits.shape == (10, 2, 8, 12)
    share = [c.sample.masks.mean() for c in (clip, small)]
    assert math.isclose(*share, rel_tol=0.05)
    clip.sample.masks[:, 0, :40] = 0
    one = limited(clip, 1)
    assert one.sample.class_ids.tolist() == [1]
    assert np.array_equal(one.queries, clip.queries[1:])
    assert np.array_equal(one.sample.ignore, clip.sample.masks[:, 0] > 0)


def test_near_a_change_nothing_is_steady():
    sounding = torch.tensor([0, 0, 0, 1, 1, 1, 1, 0]).bool()[None, :, None]
    times_s = torch.arange(8).double()[None] / 10
    steady = steady_frames(sounding, times_s, 0.1)[0, :, 0]
    assert steady.tolist() == [True, True, False, False, False, True, False, False]
    first = steady_frames(sounding, times_s, 0.0)[0, :, 0]
    assert first.tolist() == [True, True, True, False, True, True, True, False]


def test_batches_follow_from_their_number(folder):
    def batches(start: int, **options):
        plan = replace(PLAN, prerolled=1.0, cut=0.5, reset=1.0)
        loader = DistillLoader(POOL, 3, folder, plan, seed=1, **options)
        return list(loader.batches(start, 6))

    whole = batches(0)
    assert [b.first for b in whole] == [True, False] * 3
    assert any(b.before is not None for b in whole)
    assert all(b.before is None for b in whole if not b.first)
    resets = torch.cat([b.reset for b in whole], 1).unflatten(1, (3, 6))
    assert (resets.sum(2) == 1).all()
    assert any((b.truth.class_ids >= 0).all(1).any() for b in whole)  # a cut: objects of both
    again = batches(3)
    assert len(again) == 3
    for ours, other in zip(whole[3:], again, strict=True):
        assert torch.equal(ours.frames, other.frames)
        assert torch.equal(ours.guide.mask_logits, other.guide.mask_logits)
        assert torch.equal(ours.audio, other.audio)
    assert not torch.equal(whole[0].frames, batches(0, rank=1)[0].frames)


def test_frames_before_a_clip_lead_up_to_it(folder):
    plan = replace(PLAN, prerolled=1.0, cut=0.0, delayed=0.0)
    first = next(DistillLoader(POOL, 3, folder, plan, seed=4).batches(0, 2))
    before = first.before
    assert before.active[:, -1].any()
    for row in range(2):
        active = before.active[row]
        times = torch.cat([before.times_s[row][active], first.times_s[row, :1]])
        assert torch.allclose(times.diff(), torch.tensor(0.25).double())
        assert not before.frames[row][~active].any()


def net(seed: int = 0, **changes) -> DistillNet:
    torch.manual_seed(seed)
    return DistillNet(replace(STUDENT, **changes), TEACHER.channels)


def a_batch(folder, **changes):
    plan = replace(PLAN, cut=0.0, reset=0.0, **changes)
    return next(DistillLoader(POOL, 3, folder, plan, seed=2).batches(0, 2))


def test_a_student_that_equals_its_guide_has_nothing_to_learn(folder):
    batch, network = a_batch(folder), net()
    output = network(batch.frames, batch.audio, batch.times_s).causal
    pairs = match(output.class_logits, output.mask_logits, batch.truth)
    steady = torch.ones_like(batch.truth.seen)
    guide = own_guide(output, pairs, batch.truth, steady)
    queries = network.query_projection(output.video_queries)  # starts as the identity

    def terms(guide: Guide):
        return guidance_losses(output, queries, pairs, guide, batch.truth, GuideWeights())

    same = terms(guide)
    assert same.keys() == {"class", "bce", "dice", "query", "sounding"}
    assert all(abs(float(value)) < 2e-6 for value in same.values()), same
    torch.manual_seed(1)
    for name, term in [
        ("class_logits", "class"),
        ("mask_logits", "bce"),
        ("queries", "query"),
        ("sounding", "sounding"),
    ]:
        value = getattr(guide, name)
        other = terms(replace(guide, **{name: torch.rand_like(value)}))
        assert float(other[term]) > 1e-3
        near = {"bce", "dice"} if term == "bce" else {term}
        assert all(float(other[k]) < 2e-6 for k in same.keys() - near)


@pytest.mark.parametrize("term", ["class_", "bce", "dice", "query", "sounding"])
def test_each_term_has_a_weight_and_a_switch(folder, term):
    batch, network = a_batch(folder), net()
    output = network(batch.frames, batch.audio, batch.times_s)
    pairs = match(output.causal.class_logits, output.causal.mask_logits, batch.truth)

    def terms(**weights: float):
        return guidance_losses(
            output.causal, output.queries, pairs, batch.guide, batch.truth, GuideWeights(**weights)
        )

    name = term.rstrip("_")
    every, doubled, off = terms(**{term: 1.0}), terms(**{term: 2.0}), terms(**{term: 0.0})
    assert float(doubled[name]) == pytest.approx(2 * float(every[name]), rel=1e-6)
    assert off.keys() == every.keys() - {name}


def task(network: DistillNet, folder, config: DistillConfig | None = None, **plan) -> DistillTask:
    loader = DistillLoader(POOL, 3, folder, replace(PLAN, **plan), seed=2)
    return DistillTask(network, lambda step, rank, world: loader.batches(step, 100), config)


def test_one_step_learns_in_both_contexts(folder):
    network = net()
    made = task(network, folder, prerolled=1.0)
    batches = made.batches(0, 0, 1)
    carried = None
    for _ in range(2):
        terms, carried = made.loss(network, next(batches), carried)
    names = {"class", "sounding", "teacher_class", "teacher_query", "own_bce", "full_class"}
    assert names | {"full_teacher_bce"} <= terms.keys()
    assert "full_frame_class" not in terms
    assert carried is None  # the clips have ended
    sum(terms.values()).backward()
    without = {name for name, p in network.named_parameters() if p.grad is None}
    assert not without, without


def test_the_state_before_a_clip_is_of_its_own_frames_alone(folder):
    """What fills up the rows of a clip with fewer frames before it changes nothing."""
    network = net()
    made = task(network, folder, prerolled=1.0, cut=0.0, reset=0.0)
    batch = next(b for b in made.batches(0, 0, 1) if b.before is not None)
    batch.before.active[0] = False
    carried = []
    for _ in range(2):
        carried.append(made.loss(network, batch, None)[1])
        batch.before.frames[0] = 255 - batch.before.frames[0]
    for ours, other in zip(*(state.tensors() for state in carried), strict=True):
        assert torch.equal(ours, other)


def test_switched_off_it_is_training_on_the_truth_alone(folder):
    none = GuideWeights(0, 0, 0, 0, 0)
    network = net()
    made = task(network, folder, DistillConfig(teacher=none, own=none, full=0.0))
    assert not network.full_context
    terms, _ = made.loss(network, next(made.batches(0, 0, 1)), None)
    assert not any(name.startswith(("full_", "own_", "teacher_")) for name in terms)


def test_the_own_guide_takes_no_gradient(folder):
    none = GuideWeights(0, 0, 0, 0, 0)
    network = net()
    own = GuideWeights(bce=1.0)
    made = task(network, folder, DistillConfig(teacher=none, own=own, full=0.0))
    batch = next(made.batches(0, 0, 1))
    output = network(batch.frames, batch.audio, batch.times_s)
    pairs = match(output.full.class_logits, output.full.mask_logits, batch.truth)
    guide = own_guide(output.full, pairs, batch.truth, batch.guide.steady)
    assert not any(getattr(guide, f.name).requires_grad for f in fields(guide))


def test_a_network_started_from_the_teacher_is_distilled(folder, teacher, tmp_path):
    """It has no sounding head: what is silent must have an empty mask."""
    torch.manual_seed(0)
    network = DistillNet(causal_config(teacher.config), TEACHER.channels)
    network.load_state_dict(StreamAVIS.from_avism(teacher).state_dict(), strict=False)
    made = task(network, folder)
    terms, carried = made.loss(network, next(made.batches(0, 0, 1)), None)
    assert {"silent", "teacher_class", "full_silent"} <= terms.keys()
    assert "teacher_sounding" not in terms
    assert carried is not None
    made.save(network, tmp_path / "student.safetensors", {})
    loaded = checkpoint.load(tmp_path / "student.safetensors")
    assert isinstance(loaded, StreamAVIS)
    (picture,) = made.pictures(network.eval()).values()
    assert picture.dtype == torch.uint8
