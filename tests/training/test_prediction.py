"""Predictions of a split: what the network hears, which objects are given, how they score."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from streamavis_training.prediction import (
    Settings,
    evaluate_folder,
    feature_rows,
    predict_video,
    score,
    watch_clip,
)
from streamavis_training.split import match_classes, read_split

from streamavis import metrics
from streamavis.errors import InputError

sys.path += [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "model")]
from runtime_fakes import CLASSES, FakeModel
from split_files import noise, write_split, write_wav
from test_avism import TINY, network


def test_aviseg_is_heard_as_its_teacher_hears_it(tmp_path):
    """Frame i comes at i + 0.96 s, with the samples of [i, i + 0.96)."""
    (clip,) = read_split(write_split(tmp_path / "val", videos=1, frames=4, beside=True)).clips
    model = FakeModel()
    results = list(watch_clip(model, clip))
    written = np.round(noise(4) * 32767) / 32768
    for i, (_, audio, times_s) in enumerate(model.calls):
        assert times_s.item() == pytest.approx(i + 0.96)
        expected = written[16_000 * i : 16_000 * i + 15_360]
        assert np.abs(audio[0].numpy() - expected).max() < 2e-4
    assert [result.audio for result in results] == ["ok"] * 4


def test_own_layout_keeps_its_own_times(tmp_path):
    (clip,) = read_split(write_split(tmp_path / "val", videos=1, fps=5.0)).clips
    assert clip.times_ns.tolist() == [0, 200_000_000, 400_000_000, 600_000_000, 800_000_000]
    assert clip.rate == pytest.approx(5)


def test_sound_that_ends_early_is_silence_not_a_gap(tmp_path):
    folder = write_split(tmp_path / "val", videos=1, frames=4)
    write_wav(folder / "WAVAudios" / "v0.wav", noise(1.0))
    results = list(watch_clip(FakeModel(), read_split(folder).clips[0]))
    assert [result.audio for result in results] == ["ok"] * 4
    assert not results[-1].tracks[0].is_sounding


def test_predictions_have_the_files_ids_and_score_full(tmp_path):
    split = read_split(write_split(tmp_path / "val"))
    classes = match_classes(CLASSES, split.categories)
    assert classes.ids == (4, 7, None)
    assert classes.unknown == ("blue thing",)
    assert classes.missing == ("whistle",)
    results = [one for clip in split.clips for one in predict_video(FakeModel(), clip, classes)]
    assert [(one["video_id"], one["category_id"]) for one in results] == [(30, 4), (29, 4)]
    assert results[0]["score"] > 0.7
    first = next(t for t, mask in enumerate(results[0]["segmentations"]) if mask)
    assert first == 1  # a track is born on its second frame
    scores = score(split, results)
    assert list(scores) == ["official", "corrected"]
    assert scores["corrected"]["DetPr"] > 90
    assert 70 < scores["official"]["FSLA"] < 85  # four of five frames
    assert scores["corrected"]["FSLA"] == pytest.approx(scores["official"]["FSLA"])


def test_official_scores_come_as_well_from_our_layout(tmp_path):
    """The public evaluator cannot read it; the numbers are those of the same truth in its form."""
    model = FakeModel()
    ours = evaluate_folder(model, read_split(write_split(tmp_path / "a", official=False)))
    theirs = evaluate_folder(model, read_split(write_split(tmp_path / "b")))
    assert ours["official"]["HOTA"] == pytest.approx(theirs["official"]["HOTA"])
    assert ours["official"]["FSLA"] == pytest.approx(theirs["official"]["FSLA"])


@pytest.mark.parametrize(
    ("settings", "sound", "expected"),
    [
        (Settings(), True, {4}),
        (Settings(), False, set()),
        (Settings(no_audio=True), True, set()),
        (Settings(objects="visible"), False, {4, 7}),
    ],
)
def test_what_is_given_is_what_sounds_or_what_is_seen(tmp_path, settings, sound, expected):
    split = read_split(write_split(tmp_path / "val", videos=1, sound=sound))
    assert split.has_sound is sound
    classes = match_classes(CLASSES, split.categories)
    results = predict_video(FakeModel(), split.clips[0], classes, settings=settings)
    assert {one["category_id"] for one in results} == expected


def test_a_limit_scores_the_videos_it_predicts(tmp_path):
    split = read_split(write_split(tmp_path / "val", videos=3))
    done = []
    whole = evaluate_folder(FakeModel(), split, progress=lambda *at: done.append(at))
    part = evaluate_folder(FakeModel(), split, limit=1)
    assert done == [(1, 3), (2, 3), (3, 3)]
    assert part["corrected"]["DetRe"] == pytest.approx(whole["corrected"]["DetRe"])


def test_avism_takes_ready_features_and_writes_every_frame(tmp_path):
    folder = write_split(tmp_path / "val", videos=1, frames=3)
    (clip,) = read_split(folder).clips
    with pytest.raises(InputError, match="no VGGish"):
        feature_rows(clip, TINY.audio_channels, None)
    assert not feature_rows(clip, 8, None, no_audio=True).any()
    (folder / "FEATAudios").mkdir()
    np.save(folder / "FEATAudios" / "v0.npy", np.ones((2, TINY.audio_channels)))
    split = read_split(folder)
    rows = feature_rows(split.clips[0], TINY.audio_channels, None)
    assert rows.sum(1).tolist() == [8, 8, 0]
    with pytest.raises(InputError, match=r"expected numbers \(3, 5\)"):
        feature_rows(split.clips[0], 5, None)
    teacher = network(short_side=64, classes=("red thing", "green thing"))
    classes = match_classes(teacher.config.classes, split.categories)
    results = predict_video(teacher, split.clips[0], classes, settings=Settings(threshold=0.0))
    assert results
    assert all(len([m for m in one["segmentations"] if m]) == 3 for one in results)
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results))
    truth = metrics.read_truth(split.source)
    assert len(metrics.read_predictions(path, truth).tracks[30]) == len(results)


def test_avism_hears_what_vggish_makes_of_the_sound(tmp_path):
    class Light:
        def per_second(self, waveform: torch.Tensor, rows: int, rate: float) -> torch.Tensor:
            assert (rows, round(rate, 6)) == (3, 1)
            return waveform[: 3 * 16_000].reshape(3, -1)[:, :8]

    (clip,) = read_split(write_split(tmp_path / "val", videos=1, frames=3)).clips
    assert feature_rows(clip, 8, Light()).shape == (3, 8)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda f, c: (f / "JPEGImages/v0/1.png").unlink(), "v0/1.png is missing"),
        (lambda f, c: (f / "JPEGImages/v0/1.png").write_bytes(b"no"), "cannot be decoded"),
        (lambda f, c: (f / "WAVAudios/v0.wav").write_bytes(b"no"), "decoded as sound"),
        (lambda f, c: c["videos"][0].update(fps=-1), "fps must be positive"),
        (lambda f, c: c["videos"][0].update(times_s=[0, 1, 1, 2, 3]), "rising"),
        (lambda f, c: c["videos"][0].update(file_names=[]), "no file_names"),
        (lambda f, c: c["videos"].append(c["videos"][0]), "occurs twice"),
        (lambda f, c: c.update(videos=[]), "no video or no category"),
        (lambda f, c: c.update(categories=[{"id": 1, "name": "whale"}]), "no class of the model"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, break_it, message):
    folder = write_split(tmp_path / "val", videos=1)
    content = json.loads((folder / "annotations.json").read_text())
    break_it(folder, content)
    (folder / "annotations.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        evaluate_folder(FakeModel(), read_split(folder))


def test_a_folder_without_annotations_says_where_it_looked(tmp_path):
    with pytest.raises(InputError, match="no annotations found"):
        read_split(tmp_path)
