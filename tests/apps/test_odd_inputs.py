"""What users name on the command line: files of any name, pictures, pipes, addresses, outputs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import av
import numpy as np
import pytest
from app_media import FRAMES, count_frames, write_clip, write_network
from streamavis_apps.app import app
from streamavis_apps.live.live import named
from typer.testing import CliRunner

from streamavis.redaction import display_name, redacted

ADDRESS = "rtsp://user:secret@127.0.0.1:9/cam"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_network(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*args: object):
    return CliRunner().invoke(app, [str(arg) for arg in args])


@pytest.mark.parametrize("command", ["replay", "segment"])
@pytest.mark.parametrize(
    ("text", "what"),
    [
        (ADDRESS, "rtsp://***@127.0.0.1:9/cam: is an address"),
        ("https://example.invalid/x.mp4?key=secret", "https://example.invalid/x.mp4?key=***: is"),
        ("0", "0: is a camera"),
        ("camera:0", "camera:0: is a camera"),
        ("browser", "browser: is a camera"),
    ],
)
def test_an_address_in_the_wrong_command_names_the_right_one(folder, command, text, what):
    options = () if command == "replay" else ("--model", "x", "--out", "y")
    done = run(command, text, *options)
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert what in line
    assert f"{command} takes files" in line
    assert "live --camera" in line
    assert "secret" not in line


@pytest.mark.parametrize(
    "args",
    [
        ("replay", "a.mp4", ADDRESS),
        ("replay", "a.mp4", "--speed", ADDRESS),
        ("replay", "a.mp4", "--publish", "tcp://user:secret@127.0.0.1:1/x"),
        ("live", "--camera", "nowhere://user:secret@127.0.0.1/x", "--mic", "none"),
        ("live", "--camera", "lavfi:testsrc2[out0]", "--mic", "gopher://user:secret@127.0.0.1/x"),
        ("inspect", ADDRESS),
        ("convert", ADDRESS, "--out", "x"),
        ("eval", "--gt", ADDRESS, "--pred", "x"),
        ("--debug", "inspect", ADDRESS),
        ("--debug", "replay", ADDRESS),
        ("view", "tcp://user:secret@127.0.0.1"),
    ],
)
def test_no_error_of_any_command_shows_a_password(folder, args):
    write_clip(folder / "a.mp4")
    done = run(*args)
    assert done.exit_code != 0
    assert "secret" not in done.output


def test_addresses_are_shown_without_their_secrets():
    for text in (ADDRESS, ADDRESS.replace("//", "/"), "rtsp://u:sec/secret@h/x"):
        assert "sec" not in redacted(f"'{text}': no such file; {text}.")
        assert redacted(f"{text}: gone").endswith(": gone")
    assert redacted("http://h/x?pwd=sec?").endswith("pwd=***?")
    for text in (
        "tcp://127.0.0.1:5555: in use",
        "did you mean tcp://h:1? use ipc://x",
        "C:/Users/x",
        "http://[::1]:80/a@b",
        "a/b:c@d",
    ):
        assert redacted(text) == text
    assert display_name("http://h/@user/video?width=3") == "http://h/@user/video?width=3"


def test_a_name_goes_before_every_kind_of_address():
    cameras = ("door=c.mp4", "yard=0", "a=./b=c.mp4", "lavfi:x=y", "./door=c.mp4", "b=*.png")
    assert named(cameras) == {
        "door": "c.mp4",
        "yard": "0",
        "a": "./b=c.mp4",
        "cam-4": "lavfi:x=y",
        "cam-5": "./door=c.mp4",
        "b": "*.png",
    }


@pytest.mark.parametrize("name", ["out.avi", "out.mkv", "out.mp4.webm"])
@pytest.mark.parametrize("command", [("replay", "clip.mp4"), ("live", "--mic", "none")])
def test_a_recording_of_another_kind_is_refused_at_once(folder, command, name):
    write_clip(folder / "clip.mp4")
    done = run(*command, "--record", name)
    assert done.exit_code == 2
    assert "recordings are mp4" in " ".join(done.output.replace("│", " ").split())
    assert not (folder / name).exists()


def test_a_file_with_a_colon_is_replayed_into_files_with_colons(folder, model):
    write_clip(folder / "clip.mp4").rename("12:30:00.mp4")
    outputs = ("--jsonl", "a:b.jsonl", "--record", "http:x.mp4")
    done = run("replay", "12:30:00.mp4", "--model", model, "--speed", "max", *outputs)
    assert done.exit_code == 0, done.output
    assert len((folder / "a:b.jsonl").read_text().splitlines()) == FRAMES
    assert count_frames(folder / "http:x.mp4".replace("http:", "./http:"))[0] == FRAMES


def test_pictures_are_replayed_and_home_is_found(folder, model, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    for n in range(3):
        with av.open(f"frame{n:04}.png", "w", format="image2") as out:
            stream = out.add_stream("png", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
            image = np.full((48, 64, 3), 80 * n, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
    for source in ("frame%04d.png", "*.png", "~/frame%04d.png", folder):
        options = ("--model", model, "--speed", "max", "--jsonl", "~/o.jsonl")
        done = run("replay", source, *options)
        assert done.exit_code == 0, done.output
        assert len((folder / "o.jsonl").read_text().splitlines()) == 3


def test_a_pipe_is_recorded_with_its_sound(folder, model):
    clip = write_clip(folder / "clip.mkv").read_bytes()
    os.mkfifo("pipe.mkv")
    feeder = threading.Thread(target=lambda: Path("pipe.mkv").write_bytes(clip), daemon=True)
    feeder.start()
    done = run("replay", "pipe.mkv", "--model", model, "--speed", "max", "--record", "out.mp4")
    feeder.join(10)
    assert done.exit_code == 0, done.output
    pictures, samples = count_frames(folder / "out.mp4")
    assert pictures == FRAMES
    assert samples > 16_000


def test_a_pipe_is_refused_where_it_would_be_read_again(folder):
    os.mkfifo("pipe.mkv")
    done = run("segment", "pipe.mkv", "--model", "x", "--out", "y")
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert "pipe.mkv: is a pipe, which can be read once" in line


def test_standard_input_and_output(folder, model):
    clip = write_clip(folder / "clip.mkv").read_bytes()
    line = ["replay", "-", "--model", str(model), "--speed", "max", "--jsonl", "-"]
    done = subprocess.run(
        [sys.executable, "-m", "streamavis_apps", *line, "--record", "out.mp4"],
        input=clip,
        capture_output=True,
        check=True,
    )
    results = [json.loads(text) for text in done.stdout.splitlines()]
    assert [result["seq"] for result in results] == list(range(FRAMES))
    assert f"{FRAMES} frames" in done.stderr.decode()
    assert count_frames(folder / "out.mp4")[0] == FRAMES


def test_a_track_that_is_not_there_is_named(folder, model):
    write_clip(folder / "clip.mp4")
    done = run("replay", "clip.mp4", "--model", model, "--audio-track", "2")
    assert done.exit_code == 2
    assert "only 1 sound track, there is no track 2" in done.stderr


@pytest.mark.parametrize(
    "line",
    ["live --seconds inf", "live --seconds 1e300", f"synth --clips 1 --out x --seed {2**64}"],
)
def test_numbers_that_nothing_can_hold_are_wrong_values(line):
    done = run(*line.split())
    assert done.exit_code == 2
    assert "too large" in done.stderr
