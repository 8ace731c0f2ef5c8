"""`streamavis bench training`: its runs, what it goes on from, and the report from records."""

from __future__ import annotations

import itertools
import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from streamavis_apps.app import app
from streamavis_apps.exits import Stop
from streamavis_apps.train.train import build
from streamavis_benchmarks.training.plan import MAIN, STUDIES, chosen, runs_of
from streamavis_benchmarks.training.record import Record, read_all, trained_minutes
from streamavis_benchmarks.training.report import document, markdown
from streamavis_benchmarks.training.work import Short, Worker
from typer.testing import CliRunner

from streamavis.errors import ArgumentError, InputError
from streamavis.model import StreamAVIS

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
from split_files import write_split

MACHINE = {"cpu": "a CPU", "cores": 2, "load_1min": 1.5, "versions": {"torch": "2"}}


@pytest.fixture
def short(tmp_path) -> Short:
    splits = [write_split(tmp_path / name, videos=2, frames=3) for name in ("train", "val")]
    return Short(*splits, teacher_steps=4, student_steps=3)


def record(variant: str, seed: int, hota: float | None, **changes) -> Record:
    study, found = next((s, v) for s in STUDIES for v in s.variants if v.name == variant)
    figures = {"FSLA": 50.0, "HOTA": hota, "mAP": 1.0}
    made = Record(
        name=f"{variant}-seed{seed}",
        study=study.name,
        variant=variant,
        title=found.title,
        kind=found.kind,
        seed=seed,
        command=f"streamavis train {variant}",
        steps=100,
        minutes=2.0,
        cpu_minutes=3.0,
        scores={"official": figures, "corrected": figures},
        machine=MACHINE,
        train_clips=20,
        val_clips=4,
        loss=12.0,
    )
    return replace(made, **changes)


def test_the_teacher_comes_first_and_rows_go_seed_by_seed():
    names = [run.name for run in runs_of([MAIN], 2)]
    assert names[:2] == ["teacher-seed0", "teacher-causal-seed0"]
    assert names[2:] == [
        f"{row}-seed{s}" for s in (0, 1) for row in ("undistilled", "distilled", "no-audio")
    ]
    sinks = [run.name for run in runs_of(chosen(["ablation-sinks"]), 1)]
    assert sinks[:2] == ["teacher-seed0", "distilled-seed0"]
    with pytest.raises(ArgumentError, match=r"'ablation-x'.*ablation-sinks"):
        chosen(["ablation-x"])


def test_every_run_is_a_recipe_of_the_trainer(short, tmp_path):
    worker = Worker(tmp_path, short, Stop())
    commands = set()
    for run in runs_of(list(STUDIES), 1):
        words = shlex.split(worker.command(run))
        if run.kind == "untrained":
            assert not words
            continue
        commands.add(" ".join(words).replace(run.name, ""))
        settings = [after for word, after in itertools.pairwise(words) if word == "--set"]
        recipe = build(words[2], None, {}, settings)
        if run.kind == "student":
            StreamAVIS(replace(recipe.network, classes=("a",)))
    assert len(commands) == len(runs_of(list(STUDIES), 1)) - 1, "no two runs are the same"


def test_a_run_is_trained_predicted_scored_and_not_done_again(short, tmp_path, monkeypatch):
    asked = []

    def command(self, folder, arguments, say):
        asked.append(arguments[0])
        if arguments[0] == "train":
            lines = [{"step": n, "loss": 10.0 - n, "seconds": 60.0 * n} for n in (1, 2, 3)]
            lines.append({"step": 3, "evaluation": {}})
            (folder / "curve.jsonl").write_text("\n".join(map(json.dumps, lines)))
        else:
            Path(arguments[arguments.index("--out") + 1]).write_text("[]")
        return True

    monkeypatch.setattr(Worker, "_command", command)
    options = ["--out", tmp_path / "runs", "--data", short.train, "--val", short.val]
    options += ["--seeds", 1, "--steps", 3, "--json", tmp_path / "out.json"]
    found = CliRunner().invoke(app, ["bench", "training", *map(str, options)])
    assert found.exit_code == 0, found.output
    assert asked == ["train", "predict", "predict", *["train", "predict"] * 3]
    assert "| student, distilled | 1 | 3 | 3.0 | " in found.output
    runs = json.loads((tmp_path / "out.json").read_text())["runs"]
    assert [run["loss"] for run in runs] == [7.0, None, 7.0, 7.0, 7.0]
    assert runs[0]["scores"]["corrected"]["HOTA"] == 0.0

    asked.clear()
    again = CliRunner().invoke(app, ["bench", "training", *map(str, options)])
    assert again.exit_code == 0 and not asked
    assert "5 runs, 5 done before" in again.output

    options[options.index("--steps") + 1] = 9
    other = CliRunner().invoke(app, ["bench", "training", *map(str, options)])
    assert other.exit_code == 1 and not asked
    assert "holds another run" in other.output


def test_a_command_that_fails_is_reported_with_its_last_line(short, tmp_path):
    worker = Worker(tmp_path, replace(short, val=tmp_path / "nothing"), Stop())
    run = next(one for one in runs_of([MAIN], 1) if one.kind == "untrained")
    with pytest.raises(InputError, match=r"predict .*exit code 1: .*nothing.*log\.txt"):
        worker.do(run, lambda _: None)


def test_the_report_tells_means_ranges_and_what_was_not_run():
    records = [
        record("teacher", 0, 40.0),
        *(record("undistilled", seed, 20.0 + seed) for seed in range(3)),
        *(record("distilled", seed, 38.0 - 4 * seed) for seed in range(2)),
        record("no-audio", 0, None),
    ]
    text = markdown(records, "streamavis bench training")
    assert (
        "| student, truth alone | 3 | 100 | 2.0 | 50.0 (50.0 to 50.0) | 21.0 (20.0 to 22.0) |"
        in text
    )
    assert "| corrected | 0 | 40.0 | 38.0 | 20.0 | yes (-2.0) | yes (+18.0) |" in text
    assert "| corrected | 1 | 40.0 | 34.0 | 21.0 | no (-6.0) | yes (+13.0) |" in text
    assert "| teacher's weights, causal, untrained | not run | - |" in text
    assert "| student, distilled, without sound | 1 | 100 | 2.0 | 50.0 | - |" in text
    for study in STUDIES[1:]:
        part = text.split(f"## {study.title}")[1].split("\n## ")[0]
        assert "not run" in part and f"--only {study.name}" in part
    beside = markdown([*records, record("sinks-0", 1, 33.0)], "")
    part = beside.split("`streamavis bench training --only ablation-sinks`")[1].split("\n## ")[0]
    assert "| student, distilled | 1 | 100 | 2.0 | 50.0 | 34.0 |" in part, "of the same seeds"
    rows = {row["row"]: row for row in document(records, "")["rows"]}
    assert rows["undistilled"]["figures"]["official"]["HOTA"] == {
        "mean": 21.0,
        "min": 20.0,
        "max": 22.0,
    }
    assert rows["no-audio"]["figures"]["corrected"]["HOTA"] is None


def test_seconds_of_a_resumed_run_are_added(tmp_path):
    curve = tmp_path / "curve.jsonl"
    seconds = [30, 60, 15, 30]
    curve.write_text("".join(json.dumps({"loss": 1, "seconds": s}) + "\n" for s in seconds))
    assert trained_minutes(curve) == (4, 1.5, 1.0)


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / "record.json").write_text('{"name": "x"}')
    with pytest.raises(InputError, match=r"record\.json is no record"):
        read_all([tmp_path])
