"""`streamavis predict` and `reproduce` as a user types them, on tiny data and networks."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import streamavis_training.prediction
from streamavis_apps.app import app
from streamavis_apps.prediction.published import PUBLISHED_ROWS
from typer.testing import CliRunner

from streamavis import checkpoint, metrics

sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("", "model", "training")]
from split_files import write_split
from test_avism import TINY
from test_avism import network as avism
from tiny import network as causal

CLASSES = ("red thing", "Green-Thing", "owl")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = write_split(tmp_path_factory.mktemp("data") / "test", videos=3, frames=3)
    (folder / "FEATAudios").mkdir()
    for n in range(3):
        np.save(folder / "FEATAudios" / f"v{n}.npy", np.ones((3, TINY.audio_channels)))
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    # Everything is reported: a random network is sure of nothing.
    model = causal(classes=CLASSES, score_on=0.0, score_off=0.0)
    checkpoint.save(model, folder / "student.safetensors", half=False)
    teacher = avism(short_side=64, classes=CLASSES, window=3)
    checkpoint.save(teacher, folder / "teacher_COCO.safetensors", half=False)
    return folder


def invoke(*args: object, code: int = 0) -> str:
    found = CliRunner().invoke(app, [str(arg) for arg in args])
    assert found.exit_code == code, found.output
    return found.output


def predicted(out: Path) -> list[dict]:
    return json.loads(out.read_text())


def test_predict_then_eval(tmp_path, data, weights):
    out = tmp_path / "results.json"
    options = ("predict", "--data", data, "--model", weights / "student.safetensors")
    text = invoke(*options, "--objects", "visible", "--out", out)
    assert "2 of the model's 3 classes are categories of annotations.json" in text
    assert "left out, not in the data set: owl" in text
    assert "never predicted, the model lacks them: whistle" in text
    assert "frames/s" in text
    results = predicted(out)
    assert {one["video_id"] for one in results} <= {28, 29, 30}
    assert {one["category_id"] for one in results} <= {4, 7}
    assert results
    assert not (tmp_path / "results.json.parts").exists()
    assert f"streamavis eval --gt {data / 'annotations.json'} --pred {out}" in " ".join(
        text.split()
    )
    assert "HOTA" in invoke("eval", "--gt", data / "annotations.json", "--pred", out)


def test_offline_predictions_score_as_segment_writes_them(tmp_path, data, weights):
    out = tmp_path / "results.json"
    options = ("predict", "--data", data, "--model", weights / "teacher_COCO.safetensors")
    invoke(*options, "--threshold", 0.0, "--offline", "--out", out)
    results = predicted(out)
    assert results
    assert all(None not in one["segmentations"] for one in results)
    metrics.evaluate_files(data / "annotations.json", [out])


def test_a_teacher_with_an_audio_encoder_of_its_own_runs_causally(tmp_path, data):
    teacher = avism(short_side=64, classes=CLASSES, audio="causal")
    checkpoint.save(teacher, tmp_path / "teacher.safetensors", half=False)
    options = ("predict", "--data", data, "--model", tmp_path / "teacher.safetensors")
    text = invoke(*options, "--causal", "--out", tmp_path / "causal.json")
    assert "frames/s a process, causal" in text


def test_a_run_goes_on_where_it_was_stopped(tmp_path, data, weights, monkeypatch):
    out = tmp_path / "results.json"
    options = ("predict", "--data", data, "--model", weights / "student.safetensors")
    options = (*options, "--objects", "visible", "--out", out)
    asked: list[int] = []
    whole = streamavis_training.prediction.predict_video

    def breaks(network, clip, *args, **kwargs):
        asked.append(clip.id)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return whole(network, clip, *args, **kwargs)

    monkeypatch.setattr(streamavis_training.prediction, "predict_video", breaks)
    invoke(*options, code=130)
    assert not out.exists()
    text = invoke(*options)
    assert "1 of 3 videos were predicted before" in text
    assert asked == [30, 29, 29, 28]
    resumed = predicted(out)
    invoke(*options)  # nothing is left to go on with: everything anew
    assert asked[4:] == [30, 29, 28]
    assert predicted(out) == resumed


def test_other_settings_do_not_mix_with_an_earlier_run(tmp_path, data, weights):
    out = tmp_path / "results.json"
    options = ("predict", "--data", data, "--model", weights / "student.safetensors")
    options = (*options, "--out", out)
    invoke(*options, "--limit", 1)
    assert len(list((tmp_path / "results.json.parts").glob("*.json"))) == 2
    text = invoke(*options, "--no-audio", code=1)
    assert "predicted with another settings" in " ".join(text.split())
    invoke(*options, "--no-audio", "--no-resume")


def test_several_processes_find_what_one_does(tmp_path, data, weights):
    options = ("predict", "--data", data, "--model", weights / "student.safetensors")
    options = (*options, "--objects", "visible", "--threads", 1)
    invoke(*options, "--out", tmp_path / "one.json")
    invoke(*options, "--out", tmp_path / "two.json", "--jobs", 2)
    assert predicted(tmp_path / "one.json") == predicted(tmp_path / "two.json")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--offline",), 1, "no offline way"),
        (("--offline", "--causal"), 2, "one of --offline and --causal"),
        (("--model", "teacher_COCO.safetensors", "--causal"), 1, "holds no VGGish"),
        (("--annotations", "nowhere.json"), 1, "nowhere.json"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, data, weights, options, code, message):
    options = tuple(str(weights / one) if one.startswith("teacher") else one for one in options)
    base = ("--data", data, "--model", weights / "student.safetensors", "--out", tmp_path / "x")
    assert message in " ".join(invoke("predict", *base, *options, code=code).split())


def test_reproduce_prints_every_row_it_has_and_names_those_it_lacks(tmp_path, data, weights):
    (weights / "broken.pth").write_bytes(b"no weights")
    out = tmp_path / "reproduced"
    options = ("--data", data.parent, "--weights", weights, "--out", out)
    invoke("reproduce", *options, "--limit", 2)
    text = " ".join((out / "tables.md").read_text().split())  # cells are padded
    official, corrected = text.split("## Corrected protocol")
    assert "AVISM (published) | ResNet-50 | COCO | 44.42" in official
    assert "(published)" not in corrected
    for protocol in (official, corrected):
        for table in ("Table 2", "Table 4", "Table 5", "Table 7"):
            assert table in protocol
        assert "| 3 | teacher_COCO |" in protocol
        assert "| 12 | no weights found |" in protocol
        assert "not usable" in protocol
        assert "AVISM: teacher_COCO | Swin | COCO" in protocol
    figures = json.loads((out / "tables.json").read_text())
    assert [one["model"] for one in figures["models"]] == ["broken", "student", "teacher_COCO"]
    assert figures["models"][2]["frames_per_s"] > 0
    assert figures["limit"] == 2
    assert len(figures["published"]) == len(PUBLISHED_ROWS)
