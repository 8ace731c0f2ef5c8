import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import msgspec
import pytest

from streamavis.errors import OutputError
from streamavis.io.jsonl import JsonlWriter
from streamavis.types import FrameResult, Rle, Track


def result(seq=0, **changes):
    track = Track(3, "bell", 1, 0.9, None, 0.5, (1, 2, 3, 4), (2.5, 3.5), 7, Rle((48, 64), "abc"))
    made = FrameResult(
        stream="cam", epoch=0, seq=seq, capture_time_ns=2**62 + seq, size=(48, 64), audio="lost",
        audio_delay_s=0.0, video="ok", clock="pts", tracks=[track], boot_id="b", wall_time=1.5,
        stamps={"model": 10**18},
    )  # fmt: skip
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_a_line_is_the_frame_message_and_reads_back_whole(tmp_path):
    path = tmp_path / "out.jsonl"
    with JsonlWriter(path, stamps=True) as writer:
        for seq in range(3):
            writer.write(result(seq))
    lines = path.read_bytes().splitlines()
    assert [msgspec.json.decode(line, type=FrameResult) for line in lines] == [
        result(seq) for seq in range(3)
    ]
    assert list(msgspec.json.decode(lines[0])) == list(asdict(result()))


def test_without_stamps_equal_replays_are_equal_bytes(tmp_path):
    texts = []
    for run in range(2):
        path = tmp_path / f"{run}.jsonl"
        with JsonlWriter(path, stamps=False) as writer:
            writer.write(result(boot_id=str(run), wall_time=run, stamps={"model": run}))
        texts.append(path.read_bytes())
    assert texts[0] == texts[1]
    left_out = set(asdict(result())) - set(msgspec.json.decode(texts[0]))
    assert left_out == {"boot_id", "wall_time", "capture_wall_time", "stamps"}


def test_what_was_there_is_replaced_and_closing_twice_is_fine(tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_text("old\n" * 1000)
    writer = JsonlWriter(path, stamps=False)
    writer.close()
    writer.close()
    assert path.read_bytes() == b""
    with pytest.raises(OutputError, match="closed"):
        writer.write(result())


def test_a_path_that_cannot_be_written_is_named(tmp_path):
    path = tmp_path / "missing" / "out.jsonl"
    with pytest.raises(OutputError, match=r"missing.*No such file"):
        JsonlWriter(path, stamps=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk without room")
def test_a_full_disk_is_an_output_error():
    writer = JsonlWriter("/dev/full", stamps=False)
    with pytest.raises(OutputError, match=r"/dev/full.*No space"):
        writer.write(result())
    with pytest.raises(OutputError, match="No space"):
        writer.close()
    writer.close()


@pytest.mark.skipif(os.name != "posix", reason="kills by signal")
def test_a_kill_leaves_whole_lines(tmp_path):
    path = tmp_path / "out.jsonl"
    program = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_jsonl import result
from streamavis.io.jsonl import JsonlWriter
writer = JsonlWriter({str(path)!r}, stamps=True)
for seq in range(50):
    writer.write(result(seq))
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", program], check=False)
    assert ended.returncode == -signal.SIGKILL
    lines = path.read_bytes().splitlines()
    assert [msgspec.json.decode(line)["seq"] for line in lines] == list(range(50))
