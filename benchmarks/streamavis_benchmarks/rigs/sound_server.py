"""A private PulseAudio whose null sink's monitor is the default microphone."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from streamavis.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SoundServer", "missing"]

_PROGRAMS = ("pulseaudio", "pactl", "parec")
_CONTROL_S = 60.0
_LOOK_S = 0.02


def missing() -> str:
    """Why there can be no such microphone here; "" where there can."""
    absent = [name for name in _PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"needs {', '.join(absent)}: scripts/system --tests installs them"
    probe = [sys.executable, "-c", "import sounddevice"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        return "sounddevice does not load: scripts/system installs libportaudio2"
    return ""


class SoundServer:
    """Started, killed and frozen at one's word; its microphone is `mic:mic`.

    Attributes:
        environment: makes programs use it, and none but it.
        address: as PulseAudio's clients take it.
    """

    def __init__(self, folder: Path) -> None:
        """Prepare; `folder` is empty and keeps its sockets."""
        folder.chmod(0o700)
        self._folder = folder
        settings = folder / "client.conf"
        settings.write_text("autospawn = no\n")  # else a program that misses it starts another
        self.address = f"unix:{folder / 'native'}"
        self.environment = {
            "XDG_RUNTIME_DIR": str(folder),
            "PULSE_RUNTIME_PATH": str(folder),
            "PULSE_CLIENTCONFIG": str(settings),
        }
        self._server: subprocess.Popen[bytes] | None = None

    def start(self, timeout_s: float = 60.0) -> None:
        """Start it, and wait until its microphone gives sound.

        Raises:
            InputError: it did not start within `timeout_s`.
        """
        (self._folder / "pid").unlink(missing_ok=True)
        (self._folder / "native").unlink(missing_ok=True)
        command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1"]
        command += ["-L", "module-native-protocol-unix"]
        command += ["-L", "module-null-sink sink_name=fakemic rate=48000 channels=1"]
        command += ["-L", "module-remap-source source_name=mic master=fakemic.monitor"]
        self._server = subprocess.Popen(
            command,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline_s = time.monotonic() + timeout_s
        while not self._control("set-default-source", "mic"):
            if time.monotonic() >= deadline_s:
                self.kill()
                raise InputError(f"PulseAudio did not start within {timeout_s:.0f} s")
            time.sleep(_LOOK_S)
        self._control("set-default-sink", "fakemic")
        self._warm_up(deadline_s)

    def kill(self) -> None:
        """End it without a word to anybody."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

    def freeze(self) -> None:
        """Stop answering, with every connection open."""
        assert self._server is not None, "it was started"
        self._server.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on."""
        assert self._server is not None, "it was started"
        self._server.send_signal(signal.SIGCONT)

    def _warm_up(self, deadline_s: float) -> None:
        """Wait for the sink, which began 2 s ahead of time: no microphone opens that slowly.

        Nobody had asked it for less yet. From its first listener on it keeps a few milliseconds.
        """
        command = ["parec", "--latency-msec=10", "--device=fakemic.monitor"]
        with subprocess.Popen(
            command,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as listener:
            assert listener.stdout is not None, "piped"
            select.select([listener.stdout], [], [], max(0.0, deadline_s - time.monotonic()))
            listener.kill()

    def _control(self, *args: str) -> bool:
        done = subprocess.run(
            ["pactl", *args],
            env=self._environment(),
            capture_output=True,
            check=False,
            timeout=_CONTROL_S,
        )
        return done.returncode == 0

    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self.environment}
