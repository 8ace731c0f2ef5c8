"""From a folder in AVISeg's layout to a teacher, and from the teacher to a student."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from data_folders import aviseg, coco_pictures
from guided_clips import TEACHER
from streamavis_training.data.sample import ClipShape
from streamavis_training.data.sampling import SamplingConfig
from streamavis_training.distillation.loader import ClipPlan
from streamavis_training.recipes import RECIPES
from streamavis_training.recipes.avism import PAPER, AvismRecipe, avism_light_recipe
from streamavis_training.recipes.data import DataConfig
from streamavis_training.recipes.distill import DistillRecipe
from streamavis_training.schedule import TrainerConfig, learning_rate
from streamavis_training.tasks.avism import TeacherConfig
from streamavis_training.trainer import Trainer
from test_distillation import STUDENT

from streamavis import checkpoint
from streamavis.errors import InputError
from streamavis.model import AVISM, StreamAVIS

QUICK = TrainerConfig(steps=2, rate=1e-3, device="cpu", ema_decay=0.5, checkpoint_every=1)
SAMPLING = SamplingConfig(
    frames=3, crop_resize=(48,), crop_side=(32, 40), short_sides=(32, 48), long_side=80
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two videos with published features, a validation video, and pictures of COCO."""
    place = tmp_path_factory.mktemp("sets")
    aviseg(place / "aviseg")
    aviseg(place / "aviseg", videos=1, split="val")
    coco_pictures(place / "coco")
    features = place / "aviseg" / "train" / "FEATAudios"
    features.mkdir()
    for v in range(2):
        np.save(features / f"video{v}.npy", np.full((8, 128), v) + np.arange(8)[:, None] / 10)
    return place


def published(folder, **changes) -> AvismRecipe:
    """The paper's recipe with a tiny network."""
    data = DataConfig(
        train=str(folder / "aviseg" / "train"),
        coco=str(folder / "coco" / "annotations" / "instances_val2017.json"),
        coco_share=0.4,
        workers=0,
    )
    network = replace(TEACHER, classes=(), audio="vggish", audio_channels=128)
    values = {"network": network, "trainer": QUICK, "data": data, "sampling": SAMPLING}
    return AvismRecipe(**values | {"points": 64} | changes)


def test_the_published_schedule():
    """48,000 steps, a tenth from 32,000 on, two clips a step."""
    assert PAPER.steps == 48_000
    rates = [learning_rate(PAPER, step) for step in (0, 31_999, 32_000, 47_999)]
    assert rates == pytest.approx([1e-4, 1e-4, 1e-5, 1e-5])
    assert (PAPER.clip_norm, PAPER.accumulate) == (0.01, 2)
    assert TeacherConfig().backbone == 0.1
    assert TeacherConfig().weight_decay == 0.05
    sizes = {name: RECIPES[name]().network.frame_queries for name in ("avism", "avism_swin_l")}
    assert sizes == {"avism": 100, "avism_swin_l": 200}


def test_the_papers_clips_hear_published_features(folder, tmp_path):
    recipe = published(folder)
    recipe.prepare(tmp_path, 1, lambda *told: None)
    task = recipe.phases(tmp_path)[0].task()
    assert task.network.config.classes == ("person", "violin", "flute")
    batches = [b for b, _ in zip(task.batches(0, 0, 1), range(8), strict=False)]
    assert len({b.frames.shape[3:] for b in batches}) > 1
    heard = [b for b in batches if b.audio.shape[-1] == 128]
    pictures = [b for b in batches if b.audio.shape[-1] != 128]
    assert heard and pictures
    for batch in heard:  # row i belongs to frame i, which is at i + 0.96 s
        row = (batch.times_s[0] - 0.96) / 10
        video = batch.audio[0, 0, 0].double() - row[0]
        assert torch.allclose(batch.audio[0, :, 0].double(), row + video, atol=1e-4)
        known = batch.truth.sounding[batch.truth.visible == 1]
        assert (known == 1).all()
    for batch in (heard[0], pictures[0]):
        terms, _ = task.loss(task.network, batch, None)
        assert all(torch.isfinite(value) for value in terms.values())
    assert pictures[0].truth.sounding[pictures[0].truth.seen].isnan().all()


def test_features_that_are_missing_are_asked_for(folder, tmp_path):
    data = DataConfig(train=str(folder / "aviseg" / "val"), workers=0)
    with pytest.raises(InputError, match="give VGGish's published weights"):
        published(folder, data=data).prepare(tmp_path, 1, lambda *told: None)


def test_clips_that_differ_in_size_make_no_batch_of_two():
    with pytest.raises(ValueError, match="accumulate"):
        AvismRecipe(clips=2)
    assert avism_light_recipe().clips == 2


def small(folder) -> AvismRecipe:
    """As `avism_light`, smaller still."""
    train, val = (str(folder / "aviseg" / split) for split in ("train", "val"))
    return AvismRecipe(
        network=replace(TEACHER, classes=(), short_side=48),
        trainer=QUICK,
        teacher=TeacherConfig(backbone=1.0, heard=1.0),
        data=DataConfig(train=train, val=val, workers=0),
        sampling=None,
        shape=ClipShape(3, 48, 64),
        clips=2,
        points=64,
    )


def run(recipe, folder, stop=lambda: False) -> Trainer:
    recipe.prepare(folder, 1, lambda *told: None)
    (phase,) = recipe.phases(folder)
    trainer = Trainer(phase.task(), phase.folder, phase.trainer, notes=recipe.notes())
    trainer.run(stop=stop)
    return trainer


@pytest.fixture(scope="module")
def teacher(folder, tmp_path_factory):
    """A small teacher, barely trained, and scored on the validation split."""
    out = tmp_path_factory.mktemp("teacher")
    trainer = run(small(folder), out)
    figures = trainer.task.evaluate(trainer.averaged())
    assert {"corrected HOTA", "official FSLA"} <= figures.keys()
    return out / "avism.safetensors"


def test_a_small_teacher_is_a_file_that_hears(teacher):
    network = checkpoint.load_avism(teacher)
    assert type(network) is AVISM
    assert network.config.classes == ("person", "violin", "flute")
    assert network.audio_encoder is not None


def distilling(folder, teacher, **changes) -> DistillRecipe:
    plan = ClipPlan(
        clips=1, frames=2, parts=2, height=48, width=64, objects=3, preroll=2, least_overlap=0.0
    )
    values = {
        "teacher": str(teacher),
        "network": STUDENT,
        "trainer": replace(QUICK, steps=4),
        "data": DataConfig(
            train=str(folder / "aviseg" / "train"), val=str(folder / "aviseg" / "val"), workers=0
        ),
        "plan": plan,
        "fixed": 3,
        "length": 6,
    }
    return DistillRecipe(**values | changes)


def test_distillation_goes_on_where_it_was_stopped(folder, teacher, tmp_path):
    """Also between two parts of the same clips; the teacher is not run again."""
    recipe = distilling(folder, teacher)
    whole = run(recipe, tmp_path / "whole")
    steps = iter([False, False, True])
    halves = run(recipe, tmp_path / "halves", stop=lambda: next(steps))
    assert halves.step == 3
    outputs = sorted((tmp_path / "halves" / "teacher").rglob("*.npz"))
    assert len(outputs) == 3
    before = [path.stat().st_mtime_ns for path in outputs]
    outputs[1].unlink()
    ended = run(recipe, tmp_path / "halves")
    after = [path.stat().st_mtime_ns for path in outputs]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True]
    for name, value in whole.task.network.state_dict().items():
        assert torch.equal(value, ended.task.network.state_dict()[name]), name
    loaded = checkpoint.load(tmp_path / "halves" / "student.safetensors")
    assert type(loaded) is StreamAVIS
    assert loaded.config.classes == ("person", "violin", "flute")


def test_a_student_of_the_teachers_shape_starts_as_the_teacher(folder, teacher, tmp_path):
    recipe = distilling(folder, teacher, network=None)
    recipe.prepare(tmp_path, 1, lambda *told: None)
    network = recipe.phases(tmp_path)[0].task().network
    expected = StreamAVIS.from_avism(checkpoint.load_avism(teacher)).state_dict()
    found = network.state_dict()
    taken = [name for name in expected if "carry" not in name]  # a gate that starts shut
    assert all(torch.equal(found[name], expected[name]) for name in taken)
    shaped = distilling(folder, teacher).phases(tmp_path)[0].task().network
    taken = "frame_decoder.layers.0.cross.query.weight"
    assert torch.equal(shaped.state_dict()[taken], expected[taken])
    free = distilling(folder, teacher, start="scratch").phases(tmp_path)[0].task().network
    assert not torch.equal(free.state_dict()[taken], expected[taken])


def test_a_teacher_is_needed_and_must_know_the_classes(folder, teacher, tmp_path):
    with pytest.raises(InputError, match="--teacher FILE"):
        distilling(folder, "").prepare(tmp_path, 1, lambda *told: None)
    world = DataConfig(workers=0, pool=replace(DataConfig().pool, clips=1, frames=6))
    with pytest.raises(InputError, match="the teacher has the classes person, violin, flute"):
        distilling(folder, teacher, data=world).prepare(tmp_path, 1, lambda *told: None)
