"""A private PulseAudio whose null sink's monitor is the default microphone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

PROGRAMS = ("pulseaudio", "pactl", "paplay")


def missing() -> str:
    """Why there can be no such microphone here; "" where there can."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"needs {', '.join(absent)}: scripts/system --tests installs them"
    probe = [sys.executable, "-c", "import sounddevice"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        return "sounddevice does not load: scripts/system installs libportaudio2"
    return ""


class SoundServer:
    """Started and killed at the test's word; `environment` makes programs use it."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o700)
        self.folder = folder
        self.environment = {"XDG_RUNTIME_DIR": str(folder), "PULSE_RUNTIME_PATH": str(folder)}
        self._server: subprocess.Popen | None = None

    def start(self, timeout_s: float = 60.0) -> None:
        (self.folder / "pid").unlink(missing_ok=True)
        command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1"]
        command += ["-L", "module-native-protocol-unix"]
        command += ["-L", "module-null-sink sink_name=fakemic rate=48000 channels=1"]
        command += ["-L", "module-remap-source source_name=mic master=fakemic.monitor"]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        self._server = subprocess.Popen(
            command, env=self._environment(), stderr=subprocess.DEVNULL, **quiet
        )
        deadline = time.monotonic() + timeout_s
        while self._control("set-default-source", "mic").returncode:
            assert time.monotonic() < deadline, "PulseAudio did not start"
        self._control("set-default-sink", "fakemic")

    def kill(self) -> None:
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

    def freeze(self) -> None:
        """Stop answering, with every connection open."""
        assert self._server is not None
        self._server.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._server is not None
        self._server.send_signal(signal.SIGCONT)

    def play(self, path: Path) -> subprocess.Popen:
        return subprocess.Popen(
            ["paplay", "--latency-msec=300", str(path)],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _control(self, *args: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["pactl", *args], env=self._environment(), capture_output=True, check=False, timeout=60
        )

    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self.environment}
