"""The loop: learning at all, an exact resume at any step, and what it leaves in its folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from streamavis_training.run_state import pack, read
from streamavis_training.schedule import Pace
from streamavis_training.trainer import Progress, Trainer, TrainerConfig
from tiny_task import SETTINGS, task, trainer

from streamavis import checkpoint
from streamavis.errors import ArgumentError, CheckpointError, ModelOutputError


def same(a: Trainer, b: Trainer) -> None:
    for ours, theirs in ((a.task.network, b.task.network), (a.averaged(), b.averaged())):
        found = theirs.state_dict()
        for name, value in ours.state_dict().items():
            assert torch.equal(value, found[name]), name


def curve(folder: Path) -> list[dict[str, object]]:
    lines = map(json.loads, (folder / "curve.jsonl").read_text().splitlines())
    return [{k: v for k, v in x.items() if k not in ("seconds", "waited_s")} for x in lines]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Trainer:
    """A run that nothing disturbed."""
    found = trainer(tmp_path_factory.mktemp("whole"))
    found.run()
    return found


def test_it_learns_and_reports_every_step(tmp_path):
    seen: list[Progress] = []
    assert trainer(tmp_path, steps=20).run(seen.append)
    assert [p.step for p in seen] == list(range(1, 21))
    assert seen[-1].loss < seen[0].loss


class KilledError(Exception):
    pass


# Step 3 ends in the middle of a clip: what the network remembers must be kept as well.
@pytest.mark.parametrize("at", [1, 3, 4])
def test_a_killed_run_ends_as_one_that_was_not(whole, tmp_path, at):
    def kill(progress: Progress) -> None:
        if progress.step == at:
            raise KilledError

    with pytest.raises(KilledError):
        trainer(tmp_path, checkpoint_every=1).run(kill)
    again = trainer(tmp_path, checkpoint_every=1)
    assert again.step == at - 1, "at most `checkpoint_every` steps are lost"
    assert again.run()
    same(whole, again)
    assert curve(tmp_path) == curve(whole.folder)


def test_a_stopped_run_goes_on_where_it_was(whole, tmp_path):
    asked = iter([False, False, True])
    first = trainer(tmp_path)
    assert not first.run(stop=lambda: next(asked))
    assert not (tmp_path / "nano.safetensors").exists()
    again = trainer(tmp_path)
    assert again.step == 3
    assert again.run()
    same(whole, again)


def test_the_weights_file_is_the_average(whole):
    network = checkpoint.load(whole.folder / "nano.safetensors")
    for name, value in whole.averaged().state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], value, rtol=1e-3, atol=1e-3)


def test_more_batches_a_step_are_more_batches(tmp_path):
    """Two batches of a step are two parts of the same clips; the same parts in the same order."""
    seen: list[Progress] = []
    one = trainer(tmp_path, steps=2, accumulate=2)
    one.run(seen.append)
    assert [p.step for p in seen] == [1, 2]
    assert one._carried is None, "the clips of four parts of two have ended"


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_trains_nearly_alike(whole, tmp_path, precision):
    half = trainer(tmp_path, precision=precision)
    half.run()
    ours, theirs = curve(tmp_path), curve(whole.folder)
    assert ours[0]["loss"] == pytest.approx(theirs[0]["loss"], rel=0.02)
    assert ours[0]["loss"] != theirs[0]["loss"]
    assert all(p.dtype == torch.float32 for p in half.task.network.parameters())


def test_the_best_network_is_kept_and_validation_is_in_the_curve(tmp_path):
    figures = iter([0.2, 0.5, 0.1])
    chosen = task(evaluate=lambda network: {"score": next(figures)}, best="score")
    settings = TrainerConfig(steps=6, evaluate_every=2, checkpoint_every=6)
    Trainer(chosen, tmp_path, settings, notes={"data": "made up"}).run()
    notes = checkpoint.metadata(tmp_path / "best.safetensors")
    assert (notes["score"], notes["step"], notes["data"]) == ("0.5000", "4", "made up")
    lines = [x for x in curve(tmp_path) if "evaluation" in x]
    assert [x["evaluation"] for x in lines] == [{"score": 0.2}, {"score": 0.5}, {"score": 0.1}]


def test_checkpoints_are_kept_now_and_then(tmp_path):
    trainer(tmp_path, keep_every=4).run()
    assert read(tmp_path / "step-4.pt").step == 4
    assert [p.name for p in tmp_path.glob("step-*.pt")] == ["step-4.pt"]


# The logits of the frame decoder meet the matcher first; those of `visible` meet the loss only.
@pytest.mark.parametrize("head", ["class_embed.classify", "visible"])
def test_a_loss_that_is_not_finite_keeps_its_batch(tmp_path, head):
    broken = trainer(tmp_path)
    broken.run(stop=lambda: True)
    layer = broken.task.network.heads.get_submodule(head)
    with torch.no_grad():
        next(reversed(list(layer.parameters()))).fill_(float("nan"))
    with pytest.raises(ModelOutputError, match=r"step 1: .*nan-step-1\.pt.*trainer\.rate"):
        broken.run()
    kept = torch.load(tmp_path / "nan-step-1.pt", weights_only=True)
    assert kept["names"] == ["clip 0", "clip 1"]
    assert kept["batch"]["frames"].shape == (2, 2, 3, 32, 48)
    assert kept["carried"] is not None
    assert read(tmp_path / "last.pt").step == 1


def test_a_gradient_that_is_not_finite_is_noticed(tmp_path):
    broken = trainer(tmp_path)
    parameter = next(broken.task.network.parameters())
    parameter.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(ModelOutputError, match=r"gradient's norm is not finite \(.*bce"):
        broken.run()


def test_a_packed_run_goes_on_elsewhere(whole, tmp_path, caplog):
    small = tmp_path / "small.pt"
    said = pack(whole.folder / "last.pt", small)
    assert "half precision" in said
    assert small.stat().st_size < (whole.folder / "last.pt").stat().st_size / 3
    settings = TrainerConfig(steps=40, rewarm=4, flat=0.5)
    again = Trainer(task(), tmp_path / "run", settings, resume=small)
    assert "moments start anew" in caplog.text
    assert again.step == 6
    rates: list[float] = []
    again.run(lambda p: rates.append(p.learning_rate), stop=lambda: again.step == 8)
    assert rates == pytest.approx([settings.rate / 4, settings.rate / 2])
    ours, theirs = again.averaged().state_dict(), whole.averaged().state_dict()
    for name, value in theirs.items():
        if value.is_floating_point():
            assert (ours[name] - value).abs().max() <= 0.02 + 0.02 * value.abs().max(), name


@pytest.mark.parametrize("share", [0.8, 0.6])
def test_a_large_run_is_packed_smaller(whole, tmp_path, share):
    full = tmp_path / "full.pt"
    pack(whole.folder / "last.pt", full)
    said = pack(whole.folder / "last.pt", tmp_path / "small.pt", int(full.stat().st_size * share))
    assert ("8-bit" if share == 0.8 else "mean of the weights only") in said
    kept, small = read(whole.folder / "last.pt"), read(tmp_path / "small.pt")
    for name, value in kept.network.items():
        away = (small.network[name].float() - value.float()).abs().max()
        assert away <= 0.02 * max(1, value.abs().max()), name
    with pytest.raises(CheckpointError, match="more than the limit of 1,000"):
        pack(whole.folder / "last.pt", tmp_path / "none.pt", 1000)


def test_another_networks_checkpoint_is_refused(whole, tmp_path):
    from dataclasses import replace

    from streamavis_training.tasks.student import StudentConfig, StudentTask
    from tiny_task import CONFIG

    from streamavis.model import StreamAVIS

    other = StudentTask(StreamAVIS(replace(CONFIG, window=5)), lambda *_: iter(()), StudentConfig())
    with pytest.raises(CheckpointError, match="whose window is 3, but this run's is 5; go on"):
        Trainer(other, whole.folder, SETTINGS)
    (tmp_path / "last.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="no checkpoint of a run"):
        Trainer(task(), tmp_path, SETTINGS)


def test_a_device_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ArgumentError, match="device is 'tpu'; expected auto, cpu, cuda"):
        trainer(tmp_path, device="tpu")


def test_a_run_ends_when_its_minutes_are_over(tmp_path):
    now = [0.0]

    def paced() -> Trainer:
        settings = TrainerConfig(steps=1000, minutes=1, schedule="wsd", flat=0.2, warmup=0.0)
        return Trainer(task(), tmp_path, settings, pace=Pace(settings, lambda: now[0]))

    rates: list[float] = []

    def tick(progress: Progress) -> None:
        rates.append(progress.learning_rate)

    def later() -> bool:
        now[0] += 12
        return len(rates) == 1

    assert not paced().run(tick, later)
    now[0] = 5000.0
    again = paced()
    assert (again.step, again.done) == (2, False)
    assert again.run(tick, later)
    assert len(rates) == 5
    assert rates[-1] < rates[0] / 3
    assert (tmp_path / "nano.safetensors").exists() and read(tmp_path / "last.pt").gone == 1
    assert paced().done
