"""`streamavis data check`, `data stats` and `bench data`, run as a user types them."""

from __future__ import annotations

import json
import sys
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from streamavis_apps.app import app
from streamavis_training import synth
from streamavis_training.data.check import check
from streamavis_training.data.layout import read
from streamavis_training.data.places import find_one
from streamavis_training.data.sample import ClipShape, collate
from streamavis_training.data.sources import read_source
from streamavis_training.data.stats import figures
from streamavis_training.data.videos import frames_of
from streamavis_training.world import WorldConfig
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
from data_folders import (
    HEIGHT,
    WIDTH,
    aviseg,
    box_at,
    change,
    coco_pictures,
    polygon,
    write_picture,
    write_wav,
    youtube_vis,
)


def run(*words):
    env = {"COLUMNS": "200", "TERM": "dumb"}
    return CliRunner().invoke(app, [str(word) for word in words], env=env)


@pytest.fixture
def folder(tmp_path):
    aviseg(tmp_path, videos=2, frames=4)
    return tmp_path


def video(**changes):
    return lambda content: content["videos"][0].update(changes)


def annotation(**changes):
    return lambda content: content["annotations"][0].update(changes)


def mask(stored, frame=1):
    def how(content):
        content["annotations"][0]["segmentations"][frame] = stored

    return how


def box(value, frame=1):
    def how(content):
        content["annotations"][0]["bboxes"][frame] = value

    return how


def again(key):
    return lambda content: content[key].append(dict(content[key][0]))


# What is done to annotations, and what `check` must then say.
BROKEN = [
    (video(height=HEIGHT + 1), "is 64x48 pixels, but its annotations are for 64x49"),
    (video(height=0), "height is 0"),
    (video(length=5), "'length' is 5 but 'file_names' has 4"),
    (video(file_names=[f"video0/{t}.jpg" for t in (0, 1, 2, 9)]), "9.jpg is missing"),
    (video(file_names=[f"video0/{t}.jpg" for t in (0, 2, 1, 3)]), "follows 2.jpg"),
    (video(file_names=[f"video0/{t}.jpg" for t in (0, 1, 1, 3)]), "occurs twice"),
    (video(fps=0), "'fps' is 0"),
    (video(file_names="0.jpg"), "video number 0 of the file"),
    (again("videos"), "video 1: its id occurs twice"),
    (again("annotations"), "annotation 1: its id occurs twice"),
    (again("categories"), "id 1 occurs twice"),
    (annotation(category_id=99), "'category_id' is 99; expected one of [1, 2, 5]"),
    (annotation(video_id=99), "names video 99: no such video"),
    (annotation(bboxes=[None]), "'bboxes' has 1 entries for 4 frames"),
    (annotation(segmentations=[None] * 5), "'segmentations' has 5 entries for 4 frames"),
    (annotation(sounding=[True]), "'sounding' has 1 entries for 4 frames"),
    (annotation(visible=[True] * 4), "frame 2: 'visible' is true, but there is no mask"),
    (mask([[1, 1, 1, 1, 1, 1]]), "frame 1: the mask covers no pixel"),
    (mask([]), "frame 1: an empty list"),
    (mask([[1, 2, 3]]), "frame 1: a polygon has 3 numbers"),
    (mask([[1e9, 2, 3, 4, 5, 6]]), "frame 1: a polygon goes beyond"),
    (mask({"size": [9, 9], "counts": [81]}), "frame 1: size (9, 9), expected (48, 64)"),
    (mask({"size": [HEIGHT, WIDTH], "counts": [7]}), "frame 1: run lengths fill 7 of 3072"),
    (mask({"size": [HEIGHT, WIDTH], "counts": "zz!"}), "frame 1:"),
    (mask({"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH]}), "the mask covers no pixel"),
    (mask("a mask"), "frame 1:"),
    (box([1, 2, 3]), "frame 1: box is [1.0, 2.0, 3.0]"),
    (lambda content: content.pop("categories"), "categories"),
    (lambda content: content.pop("videos"), "needs 'videos'"),
    (lambda content: content.update(videos=[], annotations=[]), "it has no entries"),
]


@pytest.mark.parametrize(("how", "says"), BROKEN, ids=[says[:40] for _, says in BROKEN])
def test_every_problem_of_annotations_is_named(folder, how, says):
    change(folder / "train.json", how)
    done = run("data", "check", folder)
    assert done.exit_code == 1, done.output
    assert says in done.output
    assert "train.json" in done.output or ".jpg" in done.output
    assert "Traceback" not in done.output


NOTED = [
    (box([0, 0, 5, 5]), "pixels off its mask"),
    (box(None), "1 masks without a box"),
    (mask(None), "a box without a mask"),
    (lambda content: content["annotations"].pop(0), "it has no objects"),
]


@pytest.mark.parametrize(("how", "says"), NOTED, ids=[says for _, says in NOTED])
def test_oddities_are_notes(folder, how, says):
    change(folder / "train.json", how)
    done = run("data", "check", folder)
    assert done.exit_code == 0, done.output
    assert says in done.output
    assert "1 note" in done.output


def damage_picture(folder):
    (folder / "train/JPEGImages/video0/1.jpg").write_bytes(b"no picture")


def cut_picture(folder):
    path = folder / "train/JPEGImages/video0/1.jpg"
    path.write_bytes(path.read_bytes()[:-2])


def empty_picture(folder):
    (folder / "train/JPEGImages/video0/1.jpg").write_bytes(b"")


def small_picture(folder):
    cv2.imwrite(str(folder / "train/JPEGImages/video0/1.jpg"), np.zeros((9, 9, 3), np.uint8))


def no_sound(folder):
    (folder / "train/WAVAudios/video0.wav").unlink()


def damage_sound(folder):
    (folder / "train/WAVAudios/video0.wav").write_bytes(b"RIFF")


def short_sound(folder):
    write_wav(folder / "train/WAVAudios/video0.wav", 2.5)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (damage_picture, "does not decode"),
        (cut_picture, "breaks off before its end"),
        (empty_picture, "does not decode"),
        (small_picture, "is 9x9 pixels"),
        (no_sound, "video0.wav is missing"),
        (damage_sound, "does not decode as sound"),
        (short_sound, "lasts 2.50 s, but its 4 frames need 3.96 s"),
    ],
)
def test_every_damaged_file_is_named(folder, how, says, tmp_path):
    how(folder)
    done = run("data", "check", folder, "--json", tmp_path / "out.json")
    assert done.exit_code == 1, done.output
    assert says in done.output
    listed = json.loads((tmp_path / "out.json").read_text())
    assert not listed["clean"]
    assert len(listed["problems"]) == 1


def test_several_problems_are_all_listed(folder):
    damage_picture(folder)
    short_sound(folder)
    change(folder / "train.json", mask([[1, 2, 3]], frame=3))
    done = run("data", "check", folder / "train")
    assert "3 problems" in done.output


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_sound_data_set_passes(folder, jobs):
    done = run("data", "check", folder, "--jobs", jobs)
    assert done.exit_code == 0, done.output
    assert "AVISeg's layout" in done.output
    assert "2 videos, 8 pictures, 2 sounds, 2 objects, 6 masks: no problem" in done.output


def test_all_splits_and_layouts_are_checked(tmp_path):
    aviseg(tmp_path / "a", videos=1, frames=2)
    aviseg(tmp_path / "a", videos=1, frames=2, split="val")
    (tmp_path / "a" / "val" / "JPEGImages" / "video0" / "1.jpg").unlink()
    done = run("data", "check", tmp_path / "a")
    assert done.exit_code == 1
    assert done.output.count("AVISeg's layout") == 2
    youtube_vis(tmp_path / "y")
    done = run("data", "check", tmp_path / "y")
    assert done.exit_code == 0, done.output
    assert "YouTube-VIS's layout" in done.output
    path = coco_pictures(tmp_path / "c")
    done = run("data", "check", tmp_path / "c")
    assert done.exit_code == 0, done.output
    assert "3 pictures, 9 objects, 9 masks" in done.output
    change(path, lambda c: c["annotations"][2].update(segmentation={"size": [1, 1], "counts": "0"}))
    change(path, lambda c: c["annotations"][4].update(image_id=7))
    (tmp_path / "c/val2017/000000000002.jpg").write_bytes(b"")
    done = run("data", "check", tmp_path / "c")
    assert done.exit_code == 1
    for says in ("size (1, 1)", "names image 7", "does not decode", "3 problems"):
        assert says in done.output
    done = run("data", "check", tmp_path / "nowhere")
    assert done.exit_code == 1
    assert "no such file" in done.output


VALUES = [None, "x", [], {}, [None], [[1, 2, 3, 4, 5, 6]], True, [0, 0, 1, 1]]
NUMBERS = [0, 1, 2, 3, -1, 1e300, 40.5, 3071]


def damage(content, rng):
    """Replace one random value, a number mostly by another number."""
    owner = content
    while True:
        keys = list(owner) if isinstance(owner, dict) else list(range(len(owner)))
        key = keys[int(rng.integers(len(keys)))]
        inner = owner[key]
        if isinstance(inner, (dict, list)) and inner and rng.random() < 0.95:
            owner = inner
            continue
        pool = NUMBERS if isinstance(inner, (int, float)) and rng.random() < 0.9 else VALUES
        owner[key] = pool[int(rng.integers(len(pool)))]
        return


def test_what_passes_is_read_without_an_error(tmp_path):
    """Random damage either is a problem or leaves every clip and every frame readable."""
    rng = np.random.default_rng(1)
    path, _ = aviseg(tmp_path, videos=2, frames=3)
    sound = path.read_bytes()
    passed = 0
    for _ in range(25):
        content = json.loads(sound)
        damage(content, rng)
        path.write_text(json.dumps(content))
        if not check(path).clean:
            continue
        passed += 1
        for one in read(path):
            assert len(list(frames_of(one))) == len(one.frames)
        figures(find_one(path))
        source = read_source(path, ("person", "violin"))
        sample = source.draw(ClipShape(2, 24, 32), np.random.default_rng(passed))
        assert collate([sample], objects=2).frames.shape == (1, 2, 3, 24, 32)
    assert 3 < passed < 22


# --- stats


def test_the_figures_of_a_data_set(folder):
    done = run("data", "stats", folder, "--json", folder / "out.json")
    assert done.exit_code == 0, done.output
    for words in (["videos", "2"], ["objects", "2"], ["masks", "6"]):
        assert any(line.split() == words for line in done.output.splitlines()), words
    (split,) = json.loads((folder / "out.json").read_text())["splits"]
    assert split["kind"] == "AVISeg"
    assert split["seconds"] == 8
    assert split["frames"] == 8
    assert split["sounding"] == 6
    assert split["sounding_share"] is None, "AVISeg does not label what is silent"
    assert (split["frames_silent"], split["frames_single"], split["frames_multiple"]) == (2, 6, 0)
    assert split["instances_per_frame"][:3] == [2, 6, 0]
    assert split["classes"]["violin"] == {"videos": 1, "objects": 1, "masks": 3, "sounding": 3}
    assert split["classes"]["flute"]["objects"] == 0
    assert sum(split["durations_s"]["counts"]) == 2
    share = split["areas"]["edges"].index(0.03)
    assert split["areas"]["counts"][share] == 6, "16 x 12 of 64 x 48 pixels"


def test_where_silence_is_known_its_share_is_given(tmp_path):
    synth.write(tmp_path / "own", 2, 3, config=WorldConfig(width=96, height=64, duration_s=2))
    found = figures(find_one(tmp_path / "own"))
    videos = read(tmp_path / "own")
    visible = sum(int(o.visible.sum()) for v in videos for o in v.instances)
    sounding = sum(int(o.sounding.sum()) for v in videos for o in v.instances)
    assert found.sounding_share == pytest.approx(sounding / visible)
    assert found.rates == {"10": 2}


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.loads = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loads += [value for name, value in attrs if name in ("src", "href")]


def test_the_page_stands_alone(folder):
    change(folder / "train.json", lambda c: c["categories"][0].update(name="<script>"))
    done = run("data", "stats", folder, "--html", folder / "out.html")
    assert done.exit_code == 0, done.output
    text = (folder / "out.html").read_text()
    page = Page(text)
    assert not page.loads
    assert "script" not in page.tags
    assert "&lt;script&gt;" in text
    assert page.tags.count("svg") == 7
    assert page.tags.count("rect") > 20


def test_figures_of_the_other_layouts(tmp_path):
    youtube_vis(tmp_path / "y")
    coco_pictures(tmp_path / "c")
    done = run("data", "stats", tmp_path / "y")
    assert done.exit_code == 0, done.output
    assert "YouTube-VIS" in done.output
    assert "sound" not in done.output.split("split")[0]
    done = run("data", "stats", tmp_path / "c", "--html", tmp_path / "c.html")
    assert done.exit_code == 0, done.output
    assert "chair" in done.output


def test_figures_of_what_has_a_problem_say_where_to_look(folder):
    change(folder / "train.json", mask([[1, 2, 3]]))
    done = run("data", "stats", folder)
    assert done.exit_code == 1
    assert "data check" in done.output


# --- bench


def test_the_loader_beside_a_network(folder):
    write_picture(folder / "train/JPEGImages/video0/9.jpg", 9)
    small = ("--clips", 1, "--frames", 2, "--size", "64x48", "--batches", 2)
    out = folder / "out.json"
    done = run("bench", "data", f"{folder / 'train'}=2", *small, "--workers", 0, "--json", out)
    assert done.exit_code == 0, done.output
    assert "measured between its steps" in done.output
    found = json.loads(out.read_text())
    assert found["step_ms"] > 0
    (row,) = found["loader"]
    assert row["clips_per_s"] > 0
    assert row["waiting"] > 0
    assert row["measured"]


def test_a_step_of_another_machine(folder):
    small = ("--clips", 1, "--frames", 2, "--size", "64x48", "--batches", 2)
    done = run("bench", "data", folder / "train", *small, "--step", 1000, "--workers", 0)
    assert done.exit_code == 0, done.output
    assert "computed from the rates" in done.output
    assert "less than 5 % of a step" in done.output


@pytest.mark.parametrize(
    ("words", "says", "code"),
    [
        (["world", "TRAIN"], "apart", 2),
        (["TRAIN=much"], "not PATH or PATH=WEIGHT", 2),
        (["TRAIN", "--classes", "tuba"], "none of the labels", 1),
        (["nowhere"], "no such file", 1),
        (["pool:nowhere"], "no rendered pool", 1),
    ],
)
def test_what_cannot_be_loaded(folder, words, says, code):
    words = [word.replace("TRAIN", str(folder / "train")) for word in words]
    done = run("bench", "data", *words, "--network", "none")
    assert done.exit_code == code
    assert says in done.output


def test_helpers_draw_what_they_say():
    assert polygon(3)[0][:2] == box_at(3)[:2]
