"""Composed clips on disk are what was composed; the command writes them and a sheet."""

import json

import av
import cv2
import numpy as np
import pytest
from streamavis_apps.app import app
from streamavis_training.data import layout
from streamavis_training.data.compose.write import Statistics, clips, write
from streamavis_training.data.sample import ClipShape
from typer.testing import CliRunner

from streamavis.errors import OutputError

SHAPE = ClipShape(6, 48, 80, (6.0,))
SEED = 5


@pytest.fixture(scope="module")
def written(library, tmp_path_factory):
    out = tmp_path_factory.mktemp("sets") / "four"
    done = []
    statistics = write(library, out, 4, SEED, SHAPE, info={"split": "train"}, progress=done.append)
    assert done == [1, 2, 3, 4]
    assert statistics.clips == 4
    return out


def test_read_gives_back_what_was_composed(written, library):
    videos = layout.read(written)
    assert len(videos) == 4
    for video, made in zip(videos, clips(library, 4, SEED, SHAPE), strict=True):
        sample = made.sample
        assert (video.fps, video.height, video.width) == (6, 48, 80)
        assert [i.class_id for i in video.instances] == sample.class_ids.tolist()
        for n, instance in enumerate(video.instances):
            seen = sample.visible[:, n] == 1
            assert np.array_equal(instance.visible, seen)
            assert np.array_equal(instance.sounding, (sample.sounding[:, n] == 1) & seen)
            for t in range(6):
                expected = (sample.masks[t, n] > 127) & seen[t]
                assert np.array_equal(instance.mask(t), expected)
        for k in range(len(library.classes)):
            mine = sample.sounding[:, sample.class_ids == k] == 1
            elsewhere = (sample.heard[:, k] == 1) & ~mine.any(1)
            assert np.array_equal(video.off_screen[:, k], elsewhere)
        picture = cv2.imread(str(video.frames[0]))[..., ::-1]
        assert np.abs(picture.astype(int) - sample.frames[0]).mean() < 12  # JPEG


def test_the_file_says_how_it_was_made(written):
    info = json.loads((written / "annotations.json").read_text())["info"]
    assert (info["generator"], info["seed"], info["split"]) == ("streamavis compose", SEED, "train")
    assert info["look"]["incomplete"] is False


def test_movies_play(written):
    with av.open(str(written / "Videos" / "clip00000.mp4")) as file:
        assert sum(1 for _ in file.decode(video=0)) == 6


@pytest.mark.slow  # each process imports torch
def test_two_processes_write_the_same(written, library, tmp_path):
    write(library, tmp_path / "two", 2, SEED, SHAPE, jobs=2)
    for name in ("JPEGImages/clip00001/00003.jpg", "WAVAudios/clip00001.wav"):
        assert (tmp_path / "two" / name).read_bytes() == (written / name).read_bytes()


def test_a_folder_of_others_is_left_alone(library, tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(OutputError, match="not an earlier output of streamavis compose"):
        write(library, tmp_path, 1, SEED, SHAPE)
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_statistics_count_what_is_in_view(library):
    made = list(clips(library, 10, 1, SHAPE))
    statistics = Statistics.of(made, library.classes)
    seen = sum(int((m.sample.visible == 1).any(0).sum()) for m in made)
    assert sum(statistics.in_view.values()) == seen
    assert sum(statistics.kinds.values()) == sum(statistics.scenarios.values()) == 10
    assert all(statistics.sounding[c] <= n for c, n in statistics.in_view.items())


def compose(*arguments):
    return CliRunner().invoke(app, ["compose", *map(str, arguments)])


def test_the_command_draws_a_sheet_and_says_what_is_in_it(material_folder, tmp_path):
    common = ["--data", material_folder, "--clips", 3, "--seed", 1, "--cache", tmp_path / "cache"]
    small = ["--size", "80x48", "--seconds", "0.5", "--fps", "6", "--split", "train"]
    result = compose(*common, *small, "--sheet", tmp_path / "look.png")
    assert result.exit_code == 0, result.output
    assert "clips in which nothing in view sounds" in result.output
    assert cv2.imread(str(tmp_path / "look.png")).shape[0] >= 48


def test_the_command_wants_an_output(material_folder):
    result = compose("--data", material_folder, "--clips", 1, "--seed", 1)
    assert result.exit_code == 2
    assert "--out" in result.output and "--sheet" in result.output


def test_the_command_names_missing_material(tmp_path):
    result = compose("--data", tmp_path, "--clips", 1, "--seed", 1, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "holds no index*.json" in result.output


def test_the_command_composes_some_classes_alone(material_folder, tmp_path):
    common = ["--data", material_folder, "--clips", 2, "--seed", 1, "--cache", tmp_path / "cache"]
    small = ["--size", "80x48", "--seconds", "0.5", "--fps", "6", "--split", "train"]
    some = ["--classes", "dog, person", "--set", "scenes=0", "--out", tmp_path / "set"]
    result = compose(*common, *small, *some)
    assert result.exit_code == 0, result.output
    made = json.loads((tmp_path / "set" / "annotations.json").read_text())
    assert [category["name"] for category in made["categories"]] == ["person", "dog"]
    assert made["info"]["look"]["scenes"] == 0
    assert all("scene" not in line for line in result.output.splitlines())

    wrong = compose(*common, *small, "--classes", "dog,dragon", "--out", tmp_path / "other")
    assert wrong.exit_code == 2
    assert "dragon" in wrong.output and "person, dog" in wrong.output
    wrong = compose(*common, *small, "--set", "castles=1", "--out", tmp_path / "other")
    assert wrong.exit_code == 2
    assert "castles" in wrong.output
