"""`streamavis replay` and `bench`: outputs, repeatability, and one clear line for bad input."""

import io
import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from app_media import FPS, FRAMES, HEIGHT, WIDTH, count_frames, write_clip, write_network, write_wav
from rich.console import Console
from runtime_fakes import FakeModel
from streamavis_apps.app import app
from streamavis_apps.exits import ExitCode, Stop
from streamavis_apps.replay.replay import Replay, run
from typer.testing import CliRunner

from streamavis.types import FrameResult
from streamavis.wire import Subscriber


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    folder = tmp_path_factory.mktemp("media")
    write_network(folder / "tiny.safetensors")
    write_clip(folder / "clip.mp4")
    return folder


@pytest.fixture
def seeing(monkeypatch):
    """Instead of the network one that sees what is red, green and blue."""
    monkeypatch.setattr("streamavis.checkpoint.load", lambda name: FakeModel())


def replay(media, *args, clip="clip.mp4"):
    line = ["replay", str(media / clip), "--model", str(media / "tiny.safetensors"), *args]
    return CliRunner().invoke(app, [str(part) for part in line])


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_replay_writes_every_frame_and_says_where(media, tmp_path, seeing):
    jsonl, video = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    result = replay(media, "--speed", "max", "--jsonl", jsonl, "--record", video)
    assert result.exit_code == 0, result.output
    results = lines(jsonl)
    assert [line["seq"] for line in results] == list(range(FRAMES))
    assert [line["capture_time_ns"] for line in results] == [
        n * 1_000_000_000 // FPS for n in range(FRAMES)
    ]
    assert [track["label"] for track in results[-1]["tracks"]] == ["red thing"]
    assert results[-1]["audio"] == "ok"
    assert results[-1]["size"] == [HEIGHT, WIDTH]
    assert not {"boot_id", "wall_time", "stamps"} & results[0].keys()
    pictures, samples = count_frames(video)
    assert pictures == FRAMES and samples > 0
    assert f"clip.mp4: {FRAMES} frames in" in result.stdout
    assert "dropped: 0" in result.stdout
    assert str(jsonl) in result.stdout and str(video) in result.stdout


def test_the_same_replay_gives_the_same_bytes_and_replaces_outputs(media, tmp_path, seeing):
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    second.write_text("left over\n" * 10_000)
    for path in (first, second):
        assert replay(media, "--speed", "max", "--jsonl", path).exit_code == 0
    assert first.read_bytes() == second.read_bytes()


def test_stamps_are_added_when_asked_for(media, tmp_path):
    jsonl = tmp_path / "out.jsonl"
    assert replay(media, "--speed", "8", "--stamps", "--jsonl", jsonl).exit_code == 0
    stamps = [line["stamps"] for line in lines(jsonl)]
    assert all(list(s.values()) == sorted(s.values()) and "model" in s for s in stamps)
    assert len({line["boot_id"] for line in lines(jsonl)}) == 1


def test_without_sound_nobody_is_known_to_sound(media, tmp_path, seeing):
    write_clip(media / "mute.mp4", sound=False)
    jsonl = tmp_path / "out.jsonl"
    assert replay(media, "--speed", "max", "--jsonl", jsonl, clip="mute.mp4").exit_code == 0
    results = lines(jsonl)
    assert {line["audio"] for line in results} == {"absent"}
    assert {track["sounding"] for line in results for track in line["tracks"]} == {None}


def empty(path):
    path.touch()


def text(path):
    path.write_text("this is no video\n" * 100)


def only_sound(path):
    write_wav(path)


def missing(path):
    pass


@pytest.mark.parametrize("make", [empty, text, only_sound, missing])
def test_bad_input_is_one_line_that_names_it(media, tmp_path, make):
    bad = tmp_path / "bad.mp4"
    make(bad)
    jsonl = tmp_path / "out.jsonl"
    result = replay(media, "--jsonl", jsonl, clip=bad)
    assert result.exit_code == 1
    assert result.stderr.startswith("streamavis: error: ") and result.stderr.count("\n") == 1
    assert str(bad) in result.stderr
    assert not jsonl.exists(), "an output was touched before the input was known good"


@pytest.mark.parametrize("kind", ["missing", "text", "another kind", "another version"])
def test_a_model_that_does_not_fit_is_one_line_that_names_it(media, tmp_path, kind):
    from safetensors.torch import load_file, save_file

    weights = tmp_path / "weights.safetensors"
    tensors = load_file(media / "tiny.safetensors")
    if kind == "text":
        text(weights)
    elif kind == "another kind":
        save_file(tensors, weights, {"kind": "avism", "version": "1"})
    elif kind == "another version":
        save_file(tensors, weights, {"kind": "streamavis", "version": "99"})
    result = replay(media, "--model", weights)
    assert result.exit_code == 1
    assert result.stderr.startswith("streamavis: error: ") and result.stderr.count("\n") == 1
    assert str(weights) in result.stderr


def test_a_truncated_file_keeps_what_could_be_decoded(media, tmp_path):
    whole = write_clip(tmp_path / "whole.mkv").read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    jsonl, video = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    result = replay(media, "--speed", "max", "--jsonl", jsonl, "--record", video, clip=cut)
    assert result.exit_code == ExitCode.TRUNCATED
    assert str(cut) in result.stderr and result.stderr.count("\n") == 1
    kept = len(lines(jsonl))
    assert 0 < kept < FRAMES
    assert count_frames(video)[0] == kept
    assert "the input broke off" in result.stdout


@pytest.mark.parametrize(
    ("options", "said", "code"),
    [
        (["--jsonl", "{clip}"], "is the input itself", 2),
        (["--record", "{clip}"], "is the input itself", 2),
        (["--jsonl", "{tmp}/x.mp4", "--record", "{tmp}/x.mp4"], "two names", 2),
        (["--jsonl", "{tmp}/no/such/folder/x.jsonl"], "no/such/folder", 1),
        (["--record", "{tmp}/no/such/folder/x.mp4"], "no/such/folder", 1),
        (["--publish", "tcp://0.0.0.0:5555"], "0.0.0.0:5555 reaches beyond this machine", 1),
        (["--publish", "tcp://0.0.0.0:5555", "--keys", "{tmp}/none"], "streamavis keys init", 1),
        (["--publish", "5555"], "5555", 2),
    ],
)
def test_an_output_that_cannot_be_is_refused(media, tmp_path, options, said, code, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))  # no keys of whoever runs this
    clip = write_clip(tmp_path / "clip.mp4")
    before = clip.read_bytes()
    options = [part.format(clip=clip, tmp=tmp_path) for part in options]
    result = replay(media, *options, clip=clip)
    assert result.exit_code == code
    assert said in result.stderr and result.stderr.count("\n") == 1
    assert clip.read_bytes() == before


def test_a_window_without_a_display_is_refused_before_anything_starts(media, tmp_path, monkeypatch):
    monkeypatch.setattr("streamavis.sinks.window.sink.display_problem", lambda: "no display")
    jsonl = tmp_path / "out.jsonl"
    result = replay(media, "--view", "window", "--jsonl", jsonl)
    assert result.exit_code == 1
    assert "no display" in result.stderr and result.stderr.count("\n") == 1
    assert not jsonl.exists()


def test_results_are_published_while_it_runs(media, tmp_path, monkeypatch):
    address = f"ipc://{tmp_path}/wire"
    plan = Replay(source=media / "clip.mp4", speed=2.0, publish=address)
    heard, greeted = [], threading.Event()
    model = FakeModel(on_step=lambda _: greeted.wait(60))  # no result before somebody listens
    monkeypatch.setattr("streamavis.checkpoint.load", lambda name: model)
    # Nobody listens before the clock starts: warm, the model would wait for it in vain.
    monkeypatch.setattr("streamavis_apps.loading.warm_up", lambda *_, **__: None)
    monkeypatch.setattr("streamavis.api.warm_up", lambda *_, **__: None)

    def listen():
        with Subscriber(address, kinds=("hello", "frame")) as messages:
            for message in messages:
                greeted.set()
                heard.append(message)
            heard.append(messages.end)

    listener = threading.Thread(target=listen)
    listener.start()
    assert run(plan, console=Console(file=io.StringIO()), stop=Stop()) is ExitCode.DONE
    listener.join(60)
    end = heard.pop()
    results = [message for message in heard if isinstance(message, FrameResult)]
    assert results
    assert {result.stream for result in results} == {"clip"}
    assert (end.reason, end.processed, end.seq) == ("ended", FRAMES, FRAMES - 1)


def wait_for_results(path, process=None):
    """Until the first line is written, or nobody is left to write it."""
    for _ in range(6000):
        if (path.exists() and path.stat().st_size) or (process and process.poll() is not None):
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"no result in {path}")


def test_ctrl_c_ends_it_with_outputs_closed(media, tmp_path, seeing):
    jsonl, video = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    plan = Replay(source=media / "clip.mp4", speed=0.02, jsonl=jsonl, record=video)

    def interrupt():
        wait_for_results(jsonl)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    out = io.StringIO()
    assert run(plan, console=Console(file=out)) is ExitCode.INTERRUPTED
    assert "stopped early" in out.getvalue()
    assert count_frames(video)[0] == len(lines(jsonl)) >= 1


def test_sigterm_ends_the_process_with_success_and_outputs_closed(media, tmp_path):
    jsonl, video = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    command = [sys.executable, "-m", "streamavis_apps", "replay", str(media / "clip.mp4")]
    command += ["--model", str(media / "tiny.safetensors"), "--speed", "0.02"]
    command += ["--jsonl", str(jsonl), "--record", str(video)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        wait_for_results(jsonl, process)
        process.terminate()
        out, _ = process.communicate(timeout=60)
    assert process.returncode == ExitCode.DONE
    assert "stopped early" in out
    assert count_frames(video)[0] == len(lines(jsonl)) >= 1


def test_bench_names_the_machine_and_the_time_of_each_stage(media, tmp_path):
    path = tmp_path / "bench.json"
    line = ["bench", "pipeline", media / "clip.mp4", "--model", media / "tiny.safetensors"]
    line += ["--json", path]
    result = CliRunner().invoke(app, [str(part) for part in line])
    assert result.exit_code == 0, result.output
    figures = json.loads(path.read_text())
    assert figures["frames"] == FRAMES and figures["frames_per_s"] > 0
    assert figures["size"] == [HEIGHT, WIDTH]
    assert {"decode", "preprocess", "model", "post", "publish"} == figures["stages"].keys()
    assert figures["machine"]["cores"] >= 1 and "torch" in figures["machine"]["versions"]
    assert "frames/s" in result.stdout and "model" in result.stdout
