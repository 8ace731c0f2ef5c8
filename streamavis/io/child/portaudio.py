"""Microphones through PortAudio, for the child process that holds one."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from streamavis.errors import InputError, MissingExtraError
from streamavis.io.child.messages import FoundMicrophone, OpenedMicrophone, SoundMessage

if TYPE_CHECKING:
    from collections.abc import Iterator

    import msgspec
    from numpy.typing import NDArray

__all__ = ["BlockRing", "microphones", "sound"]

_BLOCK_S = 0.01
_LATENCY_S = 0.04
_RING_S = 2.0
_DRAIN_S = 0.004
_NO_LIBRARY = (
    "the PortAudio library is missing; install it with: sudo apt-get install libportaudio2"
)


class BlockRing:
    """Where the audio callback leaves blocks for the thread that drains them.

    Everything is allocated beforehand. One thread writes, one reads; a block that finds no room
    is counted and its length told with the next one that does.
    """

    def __init__(
        self, frames: int, channels: int, blocks: int = 1024, *, keeps_channels: bool = False
    ) -> None:
        self._keeps_channels = keeps_channels
        self._samples = np.zeros((frames, channels), np.float32)
        self._lengths = np.zeros(blocks, np.int64)
        self._times = np.zeros((blocks, 2), np.int64)  # monotonic ns; age ns, -1: unknown
        self._flags = np.zeros((blocks, 2), np.int64)  # overflow, frames missed before it
        self._written = self._read = 0  # blocks
        self._head = self._tail = 0  # frames
        self._missed = 0
        self._overflow = False  # of blocks that found no room

    def put(
        self, samples: NDArray[np.float32], monotonic_ns: int, age_ns: int, overflow: bool
    ) -> None:
        """Copy (n, channels) in; called by the audio callback."""
        count, room = len(samples), len(self._samples) - (self._head - self._tail)
        if count > room or self._written - self._read >= len(self._lengths):
            self._missed += count
            self._overflow = self._overflow or overflow
            return
        start = self._head % len(self._samples)
        first = min(count, len(self._samples) - start)
        self._samples[start : start + first] = samples[:first]
        self._samples[: count - first] = samples[first:]
        place = self._written % len(self._lengths)
        self._lengths[place] = count
        self._times[place] = monotonic_ns, age_ns
        self._flags[place] = overflow or self._overflow, self._missed
        self._missed, self._overflow = 0, False
        self._head += count
        self._written += 1

    def take(self) -> SoundMessage | None:
        """The oldest block, mixed to mono; None where there is none."""
        if self._read == self._written:
            return None
        place = self._read % len(self._lengths)
        count = int(self._lengths[place])
        index = (self._tail + np.arange(count)) % len(self._samples)
        samples = self._samples[index]
        mono = samples.mean(axis=1, dtype=np.float32)
        (when, age), (overflow, missed) = self._times[place].tolist(), self._flags[place].tolist()
        self._tail += count
        self._read += 1
        return SoundMessage(
            mono.tobytes(),
            when,
            None if age < 0 else age,
            bool(overflow),
            int(missed),
            samples.shape[1] if self._keeps_channels else 0,
            samples.tobytes() if self._keeps_channels else b"",
        )


def microphones() -> list[FoundMicrophone]:
    """Every input device, PulseAudio's and PipeWire's own sources included.

    Raises:
        InputError: the PortAudio library is missing; names the package.
    """
    sounddevice = _sounddevice()
    default = _default_input(sounddevice)
    found = [
        FoundMicrophone(
            str(device["name"]),
            round(device["default_samplerate"]),
            int(device["max_input_channels"]),
            default=index == default,
        )
        for index, device in enumerate(sounddevice.query_devices())
        if device["max_input_channels"] > 0
    ]
    return found + [
        FoundMicrophone(name, rate, channels) for name, rate, channels in _pulse_sources()
    ]


def sound(name: str, channels: int = 0) -> Iterator[msgspec.Struct]:
    """Open a microphone and yield its blocks for ever.

    Args:
        name: of the microphone.
        channels: that are wanted by themselves, beside the mono mix; 0: none.

    Raises:
        InputError: there is none of that name, it cannot be opened, or it stopped.
    """
    sounddevice = _sounddevice()
    device, rate = _find(sounddevice, name)
    info = sounddevice.query_devices(device)
    most = int(info["max_input_channels"])
    if channels > most:
        raise InputError(f"has {most} channels of sound, but the array needs {channels}")
    stream, ring = _open(sounddevice, device, rate, most, channels)
    with stream:
        yield OpenedMicrophone(str(info["name"]), rate)
        while stream.active:
            while (block := ring.take()) is not None:
                yield block
            time.sleep(_DRAIN_S)
    raise InputError("the sound system stopped the microphone")


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ModuleNotFoundError as error:
        raise MissingExtraError("sounddevice", "engine") from error
    except OSError as error:
        raise InputError(_NO_LIBRARY) from error
    return sounddevice


def _open(
    sounddevice: Any, device: int, rate: int, channels: int, wanted: int
) -> tuple[Any, BlockRing]:
    """As many channels as are wanted; 0: mono where the device can do it, else what it has."""
    problem: Exception | None = None
    counts = (wanted, channels) if wanted else (1, min(2, channels), channels)
    for count in dict.fromkeys(counts):
        ring = BlockRing(round(_RING_S * rate), count, keeps_channels=wanted > 0)

        def callback(
            samples: NDArray[np.float32],
            frames: int,
            times: Any,
            status: Any,
            ring: BlockRing = ring,
        ) -> None:
            now_ns = time.monotonic_ns()
            adc_s, current_s = times.inputBufferAdcTime, times.currentTime
            age_ns = round((current_s - adc_s) * 1e9) if adc_s > 0 else -1
            ring.put(samples, now_ns, age_ns, bool(status.input_overflow))

        try:
            stream = sounddevice.InputStream(
                device=device,
                channels=count,
                samplerate=rate,
                blocksize=round(_BLOCK_S * rate),
                latency=_LATENCY_S,
                dtype="float32",
                callback=callback,
            )
        except sounddevice.PortAudioError as error:
            problem = error
        else:
            return stream, ring
    raise InputError(f"cannot be opened: {problem}")


def _find(sounddevice: Any, name: str) -> tuple[int, int]:
    """Number and native rate of the device called `name`.

    `name` is `default`, its number, its name, a PulseAudio source's name, or part of its name.
    """
    inputs = {
        index: (str(device["name"]), round(device["default_samplerate"]))
        for index, device in enumerate(sounddevice.query_devices())
        if device["max_input_channels"] > 0
    }
    if name == "default":
        default = _default_input(sounddevice)
        if default not in inputs:
            raise InputError("there is no microphone")
        return default, inputs[default][1]
    if name.isdecimal() and int(name) in inputs:
        return int(name), inputs[int(name)][1]
    for index, (own, rate) in inputs.items():
        if own == name:
            return index, rate
    pulse = next((index for index, (own, _) in inputs.items() if own == "pulse"), None)
    sources = {} if pulse is None else {name: rate for name, rate, _ in _pulse_sources()}
    if pulse is not None and name in sources:
        os.environ["PULSE_SOURCE"] = name  # libpulse asks for it as it connects
        return pulse, sources[name]
    for index, (own, rate) in inputs.items():
        if name.lower() in own.lower():
            return index, rate
    there = ", ".join([own for own, _ in inputs.values()] + list(sources)) or "none"
    raise InputError(f"there is no such microphone; there are: {there}")


def _default_input(sounddevice: Any) -> int:
    try:
        return int(sounddevice.query_devices(kind="input")["index"])
    except (sounddevice.PortAudioError, ValueError):
        return -1


def _pulse_sources() -> list[tuple[str, int, int]]:
    """Name, rate and channels of PulseAudio's sources, which PortAudio does not list."""
    program = shutil.which("pactl")
    if program is None:
        return []
    command = [program, "list", "short", "sources"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=2, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    sources = []
    for line in done.stdout.splitlines():
        fields = line.split("\t")
        if len(fields) < 4:
            continue
        words = fields[3].split()  # s16le 1ch 48000Hz
        if len(words) == 3 and words[1][:-2].isdecimal() and words[2][:-2].isdecimal():
            sources.append((fields[1], int(words[2][:-2]), int(words[1][:-2])))
    return sources
