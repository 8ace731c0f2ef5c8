"""`streamavis bench real`: what counts as found, right, wrong or not judged, on tiny data."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from streamavis_apps.app import app
from streamavis_benchmarks.real import goals, pack
from streamavis_benchmarks.real.composed import SOUNDS, ComposedUnit, NoAudioUnit, read_composed
from streamavis_benchmarks.real.endless import EndlessUnit, one_minute
from streamavis_benchmarks.real.labels import class_of, right_classes
from streamavis_benchmarks.real.measured import Measured, Setting
from streamavis_benchmarks.real.pictures import SceneUnit
from streamavis_benchmarks.real.recordings import ClipUnit, SilentUnit
from streamavis_training import synth
from typer.testing import CliRunner

from streamavis import checkpoint
from streamavis.errors import InputError
from streamavis.masks import encode

sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("", "model", "training")]
from runtime_fakes import FakeConfig, FakeModel, picture
from split_files import noise, write_split, write_wav
from tiny import network

CLASSES = ("person", "dog", "car")
SIZE = (90, 160)
MAN, DOG = (0, 10, 10, 60, 60), (1, 100, 40, 40, 40)  # colour, x, y, w, h


def setting(fps: float = 10.0) -> Setting:
    return Setting(FakeModel(FakeConfig(classes=CLASSES)), None, fps)


def movie(path: Path, *, sound: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = np.stack([picture(MAN, DOG)] * 20)
    waveform = noise(2.0) if sound else np.zeros(32_000)
    synth.write_movie(
        path, SimpleNamespace(frames=frames, fps=10, waveform=waveform.astype(np.float32))
    )


def box(shape: tuple[int, ...], shift: int = 0) -> list[int]:
    _, x, y, w, h = shape
    return [x + shift, y, x + w + shift, y + h]


def clips_folder(folder: Path, seconds: list[list[dict]], *, sound: bool = True) -> Path:
    movie(folder / "talk.mp4", sound=sound)
    truth = [{"t": t, "objects": objects} for t, objects in enumerate(seconds)]
    content = {"talk.mp4": {"width": SIZE[1], "height": SIZE[0], "seconds": truth}}
    (folder / "truth.json").write_text(json.dumps(content))
    return folder


def person(*, sounding: object, shift: int = 0) -> dict:
    return {"label": "person", "box": box(MAN, shift), "sounding": sounding}


@pytest.mark.parametrize(
    ("sound", "first", "second", "right"),
    [
        (True, True, True, 2),
        (True, True, False, 1),
        (False, False, False, 2),
        (False, True, "unknown", 0),
    ],
)
def test_a_talking_head_is_judged_second_by_second(tmp_path, sound, first, second, right):
    seconds = [[person(sounding=first)], [person(sounding=second)]]
    (clip,) = pack.read_clips(clips_folder(tmp_path, seconds, sound=sound))
    counts = ClipUnit(clip).measure(setting()).counts
    known = 2 - (second == "unknown")
    assert counts["people/objects"] == counts["people/found"] == 2
    assert counts["talking/objects"] == counts["talking/found"] == known
    assert counts["talking/known"] == known
    assert counts["talking/right"] == right


def test_a_box_beside_a_person_or_of_another_class_is_not_found(tmp_path):
    dog = {"label": "dog", "box": box(MAN), "sounding": True}
    seconds = [[person(sounding=True, shift=40)], [dog]]
    (clip,) = pack.read_clips(clips_folder(tmp_path, seconds))
    counts = ClipUnit(clip).measure(setting()).counts
    assert counts["clips/objects"] == 2
    assert counts["clips/found"] == counts["clips/right"] == 0


def test_two_persons_are_no_talking_head(tmp_path):
    seconds = [[person(sounding=True), person(sounding=False, shift=70)], []]
    (clip,) = pack.read_clips(clips_folder(tmp_path, seconds))
    counts = ClipUnit(clip, drawn=True).measure(setting())
    assert counts.counts["people/objects"] == 2
    assert counts.counts["people/found"] == 1
    assert "talking/objects" not in counts.counts
    assert [tile.title for tile in counts.tiles] == ["talk"]


def test_a_recording_in_silence_hears_nothing_of_its_own_sound(tmp_path):
    movie(tmp_path / "clips" / "dog_silent.mp4")
    (path,) = pack.silent_clips(tmp_path)
    counts = SilentUnit(path).measure(setting(fps=5)).counts
    assert counts == Counter({"silent clips/frames": 10, "silent clips/alarms": 0})


def scene_folder(folder: Path, scenes: list[dict]) -> Path:
    """Each scene: what is drawn, annotated (label, shape, crowd), complete, and the scale."""
    images, annotations = [], []
    for n, scene in enumerate(scenes):
        name = f"scenes/p{n}.png"
        (folder / "scenes").mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), picture(*scene["drawn"])[..., ::-1])
        split = scene.get("split", "test")
        complete = scene.get("complete", True)
        images.append({"id": n, "file_name": name, "split": split, "complete": complete})
        scale = scene.get("scale", 1)
        for label, (_, x, y, w, h), crowd in scene["objects"]:
            mask = np.zeros((SIZE[0] * scale, SIZE[1] * scale), bool)
            mask[y * scale : (y + h) * scale, x * scale : (x + w) * scale] = True
            rle = encode(mask)
            one = {"image_id": n, "category_id": label, "iscrowd": crowd}
            packed = {"size": list(rle.size), "counts": rle.counts}
            annotations.append(one | {"segmentation": packed})
    labels = sorted({one["category_id"] for one in annotations})
    for one in annotations:
        one["category_id"] = labels.index(one["category_id"])
    categories = [{"id": n, "name": name} for n, name in enumerate(labels)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "scenes" / "scenes.json").write_text(json.dumps(content))
    return folder


def scene_counts(folder: Path, scene: dict) -> Counter:
    (one,) = pack.read_scenes(scene_folder(folder, [scene]), "test")
    return SceneUnit(one).measure(setting()).counts


def test_a_picture_with_everything_found(tmp_path):
    objects = [("person", MAN, 0), ("dog", DOG, 0)]
    counts = scene_counts(tmp_path, {"drawn": [MAN, DOG], "objects": objects, "scale": 2})
    assert counts["pictures, person/objects"] == counts["pictures, person/found"] == 1
    assert counts["pictures, dog, cat, bird/found"] == 1
    assert counts["pictures/reported"] == counts["pictures/reported right"] == 2
    assert counts["class, dog/found"] == counts["class, dog/reported right"] == 1
    assert "pictures, two persons/objects" not in counts


def test_the_wrong_class_is_neither_found_nor_right(tmp_path):
    objects = [("dog", MAN, 0), ("person", DOG, 0)]
    counts = scene_counts(tmp_path, {"drawn": [MAN, DOG], "objects": objects})
    assert counts["pictures/objects"] == 2
    assert counts["pictures/found"] == counts["pictures/reported right"] == 0
    assert counts["pictures/reported"] == 2


@pytest.mark.parametrize(
    ("complete", "crowd", "reported", "unjudged"), [(True, 0, 2, 0), (False, 0, 1, 1)]
)
def test_beside_what_is_labelled_only_a_complete_picture_judges(
    tmp_path, complete, crowd, reported, unjudged
):
    objects = [("person", MAN, crowd)]
    scene = {"drawn": [MAN, DOG], "objects": objects, "complete": complete}
    counts = scene_counts(tmp_path, scene)
    assert counts["pictures/reported"] == reported
    assert counts["pictures/reported right"] == 1
    assert counts["pictures/reports not judged"] == unjudged


def test_on_what_is_labelled_an_incomplete_picture_judges_too(tmp_path):
    scene = {"drawn": [MAN], "objects": [("dog", MAN, 0)], "complete": False}
    counts = scene_counts(tmp_path, scene)
    assert counts["pictures/reported"] == 1
    assert counts["pictures/reported right"] == 0


def test_a_report_on_a_crowd_is_not_judged_and_a_crowd_not_asked_for(tmp_path):
    scene = {"drawn": [MAN], "objects": [("person", MAN, 1), ("person", DOG, 0)]}
    counts = scene_counts(tmp_path, scene)
    assert counts["pictures, person/objects"] == 1
    assert counts["pictures/reports not judged"] == 1
    assert counts["pictures/reported"] == 0


def test_two_persons_count_apart_and_small_ones_not_at_all(tmp_path):
    small = (0, 150, 0, 8, 8)
    objects = [("person", MAN, 0), ("person", DOG, 0), ("person", small, 0)]
    counts = scene_counts(tmp_path, {"drawn": [MAN], "objects": objects})
    assert counts["pictures, two persons/objects"] == 2
    assert counts["pictures, two persons/found"] == 1


def composed_folder(folder: Path) -> Path:
    """Red sounds in every frame, green is not annotated; narrators and music beside."""
    composed = write_split(folder / "test", videos=2, frames=6, official=False, fps=5.0)
    content = json.loads((composed / "annotations.json").read_text())
    content["categories"] = [{"id": 4, "name": "person"}, {"id": 7, "name": "dog"}]
    for n, one in enumerate(content["annotations"]):
        one |= {"visible": [True] * 6, "sounding": [n == 0] * 6}
    silent = content["annotations"][1]["video_id"]
    for video in content["videos"]:
        if video["id"] == silent:
            video["off_screen"] = [{"category_id": 7, "sounding": [True] * 6}]
    (composed / "annotations.json").write_text(json.dumps(content))
    sounds = []
    for kind, cls in (("speech", "person"), ("phrase", "guitar")):
        write_wav(folder / "sounds" / f"{cls}.wav", noise(0.4))
        sounds.append({"cls": cls, "file": f"sounds/{cls}.wav", "split": "test", "kind": kind})
    (folder / "index.json").write_text(json.dumps({"sounds": sounds}))
    return composed


def test_composed_clips_under_every_sound(tmp_path):
    folder = composed_folder(tmp_path)
    sounds = pack.off_screen_sounds(tmp_path, "test")
    assert [label for label, _ in sounds["music"]] == ["guitar"]
    _, clips = read_composed(folder, CLASSES, sounds)
    assert "narrator" not in clips[0].off_screen  # a person is in view and might be speaking
    alarms = {}
    for sound in SOUNDS:
        if sound in ("narrator", "music") and sound not in clips[0].off_screen:
            continue
        counts = ComposedUnit(clips[0], sound).measure(setting()).counts
        assert counts[f"composed, {sound}/frames"] == 6
        alarms[sound] = counts[f"composed, {sound}/alarm_frames"]
    # What is red sounds whenever anything does, from its second frame on, its sound 0.2 s in.
    assert alarms == {"own": 5, "swapped": 5, "silence": 0, "noise": 5, "music": 5}


def test_frames_of_sound_from_off_screen_are_counted(tmp_path):
    _, clips = read_composed(composed_folder(tmp_path), CLASSES, {})
    found = Measured()
    for clip in clips:
        found.add(ComposedUnit(clip, "own", drawn=True).measure(setting()))
    assert found.counts["composed, off screen/frames"] == 6  # of the clip in which nothing sounds
    assert found.counts["composed, off screen/alarm_frames"] == 5
    assert found.counts["composed, own/hits"] == 5
    assert found.counts["composed, own/detections"] == 10
    assert len(found.predictions["own"]) == len(found.tiles) == 2


def test_the_deaf_twin_takes_everything_in_view_to_sound(tmp_path):
    _, clips = read_composed(composed_folder(tmp_path), CLASSES, {})
    found = NoAudioUnit(clips[0], own=True).measure(setting()).predictions["no_audio"]
    assert sorted(one["category_id"] for one in found) == [4, 7]
    (only,) = NoAudioUnit(clips[0], own=False).measure(setting()).predictions["no_audio"]
    assert only["category_id"] == 4


def test_an_endless_stream_compares_its_first_round_with_its_last(tmp_path):
    _, clips = read_composed(composed_folder(tmp_path), CLASSES, {})
    chosen, seconds = one_minute(clips)
    assert len(chosen) == 2
    assert seconds == pytest.approx(2 * 1.1)
    counts = EndlessUnit(chosen, 3).measure(setting()).counts
    assert counts["endless/seconds"] == pytest.approx(6.6)
    assert counts["endless, first/frames"] == counts["endless, last/frames"] == 12
    # The tracks are there when the last round begins: one frame more than in the first.
    more = counts["endless, last/visible_hits"] - counts["endless, first/visible_hits"]
    assert more == 1


def test_labels_find_the_closest_class():
    classes = ("person", "car", "bird", "motorcycle")
    assert class_of("bus", classes) == 1
    assert class_of("Rooster", classes) == 2
    assert class_of("bear", classes) == -1
    assert class_of("bus", ("car", "bus")) == 1
    assert right_classes("vehicle", classes) == {1, 3}
    assert right_classes("truck", classes) == {1}


def test_goals_are_met_or_missed_at_their_borders():
    counts = Counter({"talking/objects": 20, "talking/found": 19, "talking/known": 10})
    counts |= Counter({"talking/right": 8, "composed, own/detections": 10, "composed, own/hits": 8})
    counts |= Counter({"composed, swapped/detections": 10, "composed, swapped/hits": 5})
    counts |= Counter({"composed, noise/frames": 100, "composed, noise/alarm_frames": 2})
    counts |= Counter({"endless, first/visible_objects": 1000, "endless, first/visible_iou": 700})
    counts |= Counter({"endless, last/visible_objects": 1000, "endless, last/visible_iou": 694})
    own, no_audio = {"FSLA": 41.0, "HOTA": 30.0}, {"FSLA": 10.0, "HOTA": 21.0}
    extra = goals.Extra(own, no_audio, {"p50_ms": 49.0, "p95_ms": 60.0}, 2)
    lines = {line.what: line for line in goals.lines(counts, extra)}
    verdicts = {what: line.met for what, line in lines.items() if line.met is not None}
    assert verdicts == {
        "talking heads: persons found": True,
        "talking heads: sounding right": False,
        "another clip's sound: precision": False,
        "noise: frames with a sounding track": True,
        "composed, corrected FSLA": True,
        "composed, corrected HOTA": False,
        "endless: last minute against first, IoU": False,
        "step, 640x360 in, 2 threads, p50": True,
    }
    empty = goals.lines(Counter(), goals.Extra({}, {}, {}, 2))
    assert all(line.met is None for line in empty)
    assert len(empty) == len(lines)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    clips_folder(folder / "eval_clips", [[person(sounding=True)], []])
    movie(folder / "clips" / "dog_silent.mp4")
    scene = {"drawn": [MAN, DOG], "objects": [("person", MAN, 0)]}
    scene_folder(folder, [scene, scene, scene | {"split": "val"}])
    composed_folder(folder)
    model = network(classes=CLASSES, score_on=0.0, score_off=0.0, short_side=64)
    checkpoint.save(model, folder / "model.safetensors", half=False)
    return folder


def invoke(*args: object, code: int = 0) -> str:
    found = CliRunner().invoke(app, ["bench", "real", *map(str, args)], env={"COLUMNS": "200"})
    assert found.exit_code == code, found.output
    return " ".join(found.output.split())


def test_one_command_prints_the_whole_table(tmp_path, data):
    options = ("--data", data, "--model", data / "model.safetensors", "--fast", "--threads", 1)
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    composed = ("--composed", data / "test", "--minutes", 0.04)
    text = invoke(*options, *composed, "--json", one, "--sheet", tmp_path / "sheet.png")
    assert "talking heads: persons found >= 0.95" in text
    assert "whole pictures, by class" in text
    figures = json.loads(one.read_text())
    assert all(goal["figure"] is not None for goal in figures["goals"] if "talking" in goal["what"])
    assert (
        figures["scores"]["own"]["corrected"].keys()
        == figures["scores"]["no_audio"]["official"].keys()
    )
    assert figures["counts"]["pictures/objects"] == 2
    assert figures["counts"]["endless/seconds"] > 4
    assert cv2.imread(str(tmp_path / "sheet.png")).shape[1] == 6 * 320
    invoke(*options, "--json", two, "--jobs", 2)
    shared = json.loads(two.read_text())["counts"]
    assert shared.keys() > {"clips/objects", "silent clips/frames"}
    assert shared == {name: figures["counts"][name] for name in shared}


def test_val_leaves_out_what_is_for_final_figures(tmp_path, data):
    out = tmp_path / "val.json"
    options = ("--data", data, "--model", data / "model.safetensors", "--fast", "--threads", 1)
    invoke(*options, "--split", "val", "--score-on", 1, "--json", out)
    figures = json.loads(out.read_text())
    assert figures["counts"]["pictures/objects"] == 1
    assert figures["counts"].get("pictures/reported", 0) == 0  # no score reaches 1
    assert not any(name.startswith(("talking", "silent clips")) for name in figures["counts"])


def test_an_empty_folder_says_what_was_looked_for(tmp_path, data):
    text = invoke("--data", tmp_path, "--model", data / "model.safetensors", code=1)
    assert "no eval_clips/truth.json" in text


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("eval_clips/truth.json", {"a.mp4": {"seconds": 3}}, "not truth of clips"),
        ("eval_clips/truth.json", {"a.mp4": {"width": 1, "height": 1, "seconds": []}}, "missing"),
        ("scenes/scenes.json", {"images": []}, "not annotated pictures"),
        ("index.json", {"sounds": [{}]}, "not an index"),
    ],
)
def test_damaged_data_is_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        pack.read_clips(tmp_path / "eval_clips")
        pack.read_scenes(tmp_path, "test")
        pack.off_screen_sounds(tmp_path, "test")
