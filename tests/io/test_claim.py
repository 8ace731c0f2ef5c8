"""Two programs on one output: the second is refused, and the first one's file stays whole."""

import subprocess
import sys

import numpy as np
import pytest

from streamavis.errors import OutputError
from streamavis.io.claim import Claim
from streamavis.io.jsonl import JsonlWriter
from streamavis.io.record import Recorder
from streamavis.sinks.record import RecordSink
from streamavis.types import FrameResult

BLANK = FrameResult("demo", 0, 0, 0, (8, 12), "ok", 0.0, "ok", "pts", [])
REFUSED = "another program is writing to it"


def test_lines_have_one_writer(tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_text("of the run before\n" * 100)
    with JsonlWriter(path, stamps=False) as first:
        first.write(BLANK)
        before = path.read_bytes()
        assert before.count(b"\n") == 1
        with pytest.raises(OutputError, match=rf"out\.jsonl: {REFUSED}"):
            JsonlWriter(path, stamps=False)
        assert path.read_bytes() == before
        first.write(BLANK)
    with JsonlWriter(path, stamps=False) as second:
        second.write(BLANK)
    assert path.read_bytes() == before


def test_a_recording_has_one_writer(tmp_path):
    path = tmp_path / "out.mp4"
    with Recorder(path, 16, 16) as first:
        first.write(np.zeros((16, 16, 3), np.uint8), 0)
        size = path.stat().st_size
        with pytest.raises(OutputError, match=rf"out\.mp4: {REFUSED}"):
            Recorder(path, 16, 16)
        with pytest.raises(OutputError, match=REFUSED):
            JsonlWriter(path, stamps=False)
        assert path.stat().st_size >= size > 0
    Recorder(path, 16, 16).close()


def test_a_live_recording_is_claimed_before_its_first_frame(tmp_path):
    path = tmp_path / "out.mp4"
    first = RecordSink(path, draw=lambda image, result, level_dbfs: image)
    with pytest.raises(OutputError, match=REFUSED):
        RecordSink(path, draw=lambda image, result, level_dbfs: image)
    first.close(None)
    assert not path.exists(), "nothing was recorded, so nothing is left"


def test_another_process_is_refused_and_may_write_later(tmp_path):
    path = tmp_path / "out.jsonl"
    program = (
        "import sys; from streamavis.io.claim import Claim\n"
        "from streamavis.errors import OutputError\n"
        "try: Claim(sys.argv[1])\nexcept OutputError as error: sys.exit(str(error))"
    )

    def other():
        command = [sys.executable, "-c", program, str(path)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    claim = Claim(path)
    assert REFUSED in other().stderr
    claim.release()
    assert other().returncode == 0


def test_devices_are_shared():
    with (
        JsonlWriter("/dev/null", stamps=False) as one,
        JsonlWriter("/dev/null", stamps=True) as two,
    ):
        one.write(BLANK)
        two.write(BLANK)


def test_a_path_that_cannot_be_written_is_named(tmp_path):
    for path in (tmp_path, tmp_path / "none" / "out.jsonl"):
        with pytest.raises(OutputError, match="cannot be written"):
            Claim(path)
