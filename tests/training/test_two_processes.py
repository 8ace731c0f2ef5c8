"""Two processes that train together: as one with twice the batch, and resumed to the bit."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from streamavis_training import distributed
from streamavis_training.trainer import Progress, Trainer
from tiny_task import SETTINGS, task

STEPS = 4


class KilledError(Exception):
    pass


def kill(progress: Progress) -> None:
    if progress.step == 3:
        raise KilledError


def work(rank: int, folder: Path) -> None:
    """Everything that two processes are needed for, as starting them takes longest."""
    torch.set_num_threads(1)
    torch.manual_seed(rank)
    distributed.join(rank, 2, torch.device("cpu"), (folder / "rendezvous").as_uri())
    settings = replace(SETTINGS, steps=STEPS, checkpoint_every=1)
    Trainer(task(), folder / "clips", settings).run()
    # Single frames: batch norms are trained, and the state goes on from part to part.
    single = [Trainer(task(frames=1), folder / "single", settings)]
    single[0].run()
    try:
        Trainer(task(frames=1), folder / "killed", settings).run(kill)
    except KilledError:
        torch.manual_seed(7)
    single.append(Trainer(task(frames=1), folder / "killed", settings))
    assert single[1].step == 2
    single[1].run()
    stopped = Trainer(task(), folder / "stopped", settings)
    done = stopped.run(stop=lambda: rank == 1 and stopped.step == 2)
    kept = [one.task.network.state_dict() for one in single]
    averages = [one.averaged().state_dict() for one in single]
    torch.save((kept, averages, done, stopped.step), folder / f"end-{rank}.pt")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    found = tmp_path_factory.mktemp("two")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=work, args=(rank, found)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    return found


def curve(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "curve.jsonl").read_text().splitlines()]


def test_two_processes_are_one_with_twice_the_batch(folder, tmp_path):
    Trainer(task(clips=4), tmp_path, replace(SETTINGS, steps=STEPS)).run()
    for ours, theirs in zip(curve(folder / "clips"), curve(tmp_path), strict=True):
        assert ours["terms"] == pytest.approx(theirs["terms"], rel=1e-5, abs=1e-5)
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-5)
        assert ours["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=1e-3)


def test_both_have_the_same_network_and_a_killed_run_ends_alike(folder):
    (one, killed), (average, killed_average), _, _ = torch.load(folder / "end-0.pt")
    (other, _), _, _, _ = torch.load(folder / "end-1.pt")
    for name, value in one.items():
        assert torch.equal(value, other[name]), name
        assert torch.equal(value, killed[name]), name
        assert torch.equal(average[name], killed_average[name]), name


def test_one_that_is_to_stop_stops_both(folder):
    for rank in range(2):
        _, _, done, step = torch.load(folder / f"end-{rank}.pt")
        assert (done, step) == (False, 2)
