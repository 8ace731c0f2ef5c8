"""A clap, end to end: seen by a camera and heard by a microphone, or sent by one stream."""

import io
import wave
from contextlib import suppress

import numpy as np
import pytest
from rich.console import Console
from streamavis_apps.exits import ExitCode, Stop
from streamavis_apps.setup import calibrate
from streamavis_benchmarks.rigs import Claps, MjpegCamera, SoundServer, Speaker, TsSender, missing
from streamavis_benchmarks.rigs.sounds import looped

from streamavis.errors import InputError

FPS = 30
FRAME_MS = 1000 / FPS
SECONDS = 5.0  # four claps at least


class Late:
    """Claps whose sound comes `late_s` after the flash."""

    def __init__(self, late_s: float) -> None:
        self.claps = Claps(3)
        self.lit = self.claps.lit
        self.late_s = late_s

    def sound(self, times_s):
        return self.claps.sound(times_s - self.late_s)


def offset_ms(source, **options) -> float:
    """What `streamavis calibrate` says."""
    console = Console(file=io.StringIO(), width=200)
    code = calibrate.run(source, seconds=SECONDS, console=console, stop=Stop(), **options)
    assert code is ExitCode.DONE
    return float(console.file.getvalue().split(" ms")[0])


def is_found(late_s, source, **options) -> bool:
    """Whether the offset is found within a frame time; again where the machine stood still."""
    for _ in range(4):
        with suppress(InputError):  # too few claps came through
            if abs(offset_ms(source, **options) - late_s * 1e3) <= FRAME_MS:
                return True
    return False


@pytest.fixture
def server(tmp_path_factory, monkeypatch):
    if reason := missing():
        pytest.skip(reason)
    server = SoundServer(tmp_path_factory.mktemp("s"))
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    server.start()
    yield server
    server.kill()


@pytest.mark.parametrize(
    "late_s",
    [0.0, pytest.param(-0.1, marks=pytest.mark.slow), pytest.param(0.15, marks=pytest.mark.slow)],
)
def test_a_microphone_s_offset_to_a_camera_is_found_within_a_frame(server, late_s):
    claps = Late(late_s)
    with MjpegCamera(FPS, claps=claps) as camera, Speaker(server.address, claps.sound):
        assert is_found(late_s, camera.url, microphone="mic:mic")


@pytest.mark.parametrize("late_s", [0.0, pytest.param(0.15, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["tcp", pytest.param("udp", marks=pytest.mark.slow)])
def test_a_stream_s_offset_to_itself_is_found_within_a_frame(kind, late_s):
    with TsSender(kind, fps=FPS, claps=Late(late_s)) as sender:
        assert is_found(late_s, sender.url)


def test_claps_are_seen_and_heard_at_the_same_moments():
    claps = Claps(7)
    times_s = 5_000 + np.arange(3 * 48_000) / 48_000
    loud = np.abs(claps.sound(times_s)) > 0.5
    lit = np.array([claps.lit(round(time_s * 1e9)) for time_s in times_s[::48]])
    heard_s = times_s[np.flatnonzero(loud & ~np.roll(loud, 4800))]
    for second in range(5_000, 5_003):
        moment_s = claps.moment_s(second)
        assert second <= moment_s < second + 0.3
        assert np.abs(heard_s - moment_s).min() < 1e-4
        began = times_s[::48][np.flatnonzero(lit & ~np.roll(lit, 1))]
        assert np.abs(began - moment_s).min() < 1.1e-3


def test_a_recording_is_played_over_and_over(tmp_path):
    wave_s = 0.5 * np.sin(2 * np.pi * 10 * np.arange(8_000) / 16_000)
    with wave.open(str(tmp_path / "half.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((wave_s * 32_767).astype(np.int16).tobytes())
    sound = looped(tmp_path / "half.wav")
    times_s = 1_000.25 + np.arange(16_000) / 16_000
    played = np.tile(np.roll(wave_s, -4_000), 2)
    assert np.abs(sound(times_s) - played).max() < 2e-4
    (tmp_path / "none.wav").write_bytes((tmp_path / "half.wav").read_bytes()[:44])
    with pytest.raises(InputError):
        looped(tmp_path / "none.wav")
