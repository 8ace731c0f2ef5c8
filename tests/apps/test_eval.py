"""`streamavis eval`: the table, the JSON, the page, and what bad files lead to."""

import gzip
import json
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from streamavis_apps.app import Commands
from streamavis_apps.commands import eval as eval_command
from typer.testing import CliRunner

from streamavis.metrics import SUMMARY

DATA = Path(__file__).parents[1] / "metrics" / "data"


@pytest.fixture
def files(tmp_path):
    for part in ("gt", "pred", "corrected"):
        packed = DATA / "S6_48x64_edge_mix" / f"{part}.json.gz"
        (tmp_path / f"{part}.json").write_bytes(gzip.decompress(packed.read_bytes()))
    return tmp_path


def change(path, how):
    content = json.loads(path.read_text())
    how(content)
    path.write_text(json.dumps(content))


def invoke(folder, *args):
    tree = typer.Typer(cls=Commands, pretty_exceptions_enable=False)

    @tree.callback()
    def options(debug: bool = False):
        pass

    tree.command("eval")(eval_command.command)
    fixed = ["eval", "--gt", str(folder / "gt.json"), "--pred", str(folder / "pred.json")]
    return CliRunner().invoke(
        tree, [*fixed, *(str(arg) for arg in args)], env={"COLUMNS": "200", "TERM": "dumb"}
    )


def test_table_and_json(files):
    done = invoke(files, "--json", files / "out.json", "--oracle")
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["FSLA", "27.35", "41.62", "50.52"] in lines
    assert ["AP_l", "-100.00", "-", "-100.00"] in lines
    document = json.loads((files / "out.json").read_text())
    assert [*document["official"]] == [*document["corrected"]] == list(SUMMARY)
    assert document["official"]["AP_m"] == -100
    assert document["corrected"]["AP_m"] is None
    expected = json.loads((files / "corrected.json").read_text())
    assert document["corrected"] == pytest.approx(expected, abs=1e-9)
    assert document["streaming"]["hours"] == pytest.approx(97 / 3600)
    assert document["oracle"]["FSLAn"] == 100


@pytest.mark.parametrize("protocol", ["official", "corrected"])
def test_one_protocol(files, protocol):
    done = invoke(files, "--protocol", protocol, "--json", files / "out.json")
    assert done.exit_code == 0
    document = json.loads((files / "out.json").read_text())
    assert [key for key in document if key in ("official", "corrected")] == [protocol]


def test_several_files_side_by_side(files):
    other = files / "other.json"
    other.write_text("[]")
    done = invoke(files, "--pred", other, "--json", files / "out.json", "--jobs", "2")
    assert done.exit_code == 0
    first, second = json.loads((files / "out.json").read_text())["runs"]
    assert second["predictions"] == str(other)
    assert second["corrected"]["HOTA"] == 0
    assert first["corrected"]["HOTA"] > 0
    assert "other.json" in done.stdout


def test_where_the_evaluator_aborts_the_rest_is_given(files):
    change(files / "gt.json", lambda truth: truth["annotations"][0].pop("areas"))
    done = invoke(files, "--json", files / "out.json")
    assert done.exit_code == 0
    document = json.loads((files / "out.json").read_text())
    assert document["official"] is None
    assert "areas" in document["official_error"]
    assert document["corrected"]["FSLA"] > 0
    assert "no official numbers" in done.stdout


def test_a_bad_file_is_one_line_and_no_output(files):
    change(files / "pred.json", lambda pred: pred[0].update(video_id=3, segmentations=[None]))
    done = invoke(files, "--json", files / "out.json", "--html", files / "out.html")
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert "pred.json" in line
    assert "track 0" in line
    assert not list(files.glob("out.*"))


def test_an_output_that_cannot_be_written(files):
    done = invoke(files, "--json", files / "missing" / "out.json")
    assert done.exit_code == 1
    assert "missing" in done.stderr


class Page(HTMLParser):
    """What a page shows, and what it would load."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.tags = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loads += [value for name, value in attrs if name in ("src", "href", "srcset")]


def test_the_page_stands_alone(files):
    change(files / "gt.json", lambda truth: truth["categories"][0].update(name="<script>"))
    assert invoke(files, "--html", files / "out.html").exit_code == 0
    text = (files / "out.html").read_text()
    page = Page(text)
    assert not page.loads
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert "url(" not in text
    assert "&lt;script&gt;" in text
    assert page.tags.count("svg") == 4
    assert "41.62" in text


def test_the_worst_frames_are_drawn_from_media(files):
    truth = json.loads((files / "gt.json").read_text())
    for video in truth["videos"]:
        for name in video["file_names"]:
            path = files / "JPEGImages" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.full((96, 128, 3), 90, np.uint8))  # twice the masks' size
    done = invoke(files, "--html", files / "out.html", "--media", files)
    assert done.exit_code == 0, done.output
    loads = Page((files / "out.html").read_text()).loads
    assert len(loads) >= 8
    assert len(loads) % 2 == 0  # ground truth and prediction
    assert all(load.startswith("data:image/jpeg;base64,") for load in loads)


def test_media_without_the_pictures_is_an_error(files):
    done = invoke(files, "--html", files / "out.html", "--media", files)
    assert done.exit_code == 1
    assert "JPEGImages" in done.stderr
    assert not (files / "out.html").exists()


def test_media_needs_a_page(files):
    assert invoke(files, "--media", files).exit_code == 2
