"""A microphone, held by a child process, as sound on the engine's clock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from streamavis.errors import InputError
from streamavis.io.array_sound import ArraySound
from streamavis.io.child.messages import (
    ChildRequest,
    FoundMicrophone,
    Listed,
    OpenedMicrophone,
    SoundMessage,
)
from streamavis.io.child.pump import Pump
from streamavis.io.live.capture import Capture, Captured, Device
from streamavis.io.live.sample_clock import SampleClock, SoundBlock
from streamavis.io.live.steady import SteadySound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamavis.bearing import MicArray
    from streamavis.clock import Clock
    from streamavis.io.live.address import DeviceAddress

__all__ = ["list_microphones", "microphone_device"]

_STALL_S = 0.4
_GIVE_UP_S = 1.0
_RATES = range(4_000, 400_000)  # Hz


def microphone_device(address: DeviceAddress, array: MicArray | None = None) -> Device:
    """The microphone at `mic:NAME`; with `array` its channels are the microphones of that."""

    def open_capture(clock: Clock) -> Capture:
        return _MicrophoneCapture(address, clock, array)

    return Device(address.name, "audio", open_capture, stall_s=_STALL_S, give_up_s=_GIVE_UP_S)


def list_microphones() -> list[FoundMicrophone]:
    """Every microphone of this machine, asked afresh.

    Raises:
        InputError: the PortAudio library is missing; names the package.
    """
    for message in Pump(ChildRequest("list"), "microphones"):
        if isinstance(message, Listed):
            return message.microphones
    return []


class _MicrophoneCapture:
    fps: float | None = None
    has_sound = True

    def __init__(self, address: DeviceAddress, clock: Clock, array: MicArray | None) -> None:
        self._clock = clock
        self._name = address.name
        channels = 0 if array is None else array.needed_channels
        self._pump = Pump(
            ChildRequest("microphone", address.target, channels=channels), address.name
        )
        self._array = None if array is None else ArraySound(array, address.name)
        self._placing: SampleClock | None = None
        self._rate = 0

    @property
    def timing(self) -> str:
        """By which clock, and how far that is off."""
        if self._placing is None:
            return ""
        by = "ADC time" if self._placing.by_adc else "sample count"
        return f"{self._rate} Hz, timed by {by}, {-self._placing.rate_error * 1e6:+.0f} ppm"

    def abort(self) -> None:
        self._pump.abort()

    def __iter__(self) -> Iterator[Captured]:
        messages = iter(self._pump)
        opened = next(messages, None)
        if opened is None:  # aborted
            return
        if not isinstance(opened, OpenedMicrophone) or opened.rate not in _RATES:
            raise InputError(f"{self._name}: its capture process said {opened!r} first")
        self._rate = opened.rate
        self._placing = placing = SampleClock(opened.rate)
        steady = SteadySound(opened.rate)
        for message in messages:
            if isinstance(message, SoundMessage):
                if self._array is not None and message.channels:
                    yield from self._bearings(message, self._array)
                for placed in placing.place(self._block(message)):
                    yield from steady.feed(*placed)

    def _bearings(self, message: SoundMessage, array: ArraySound) -> Iterator[Captured]:
        """From every channel, at the card's rate: mono and its time go another way."""
        samples = np.frombuffer(message.array, np.float32).reshape(-1, message.channels)
        block = self._block(message)
        length_ns = len(samples) * 1_000_000_000 // self._rate
        age_ns = length_ns if block.age_ns is None else block.age_ns
        yield from array.block(samples, self._rate, block.arrival_ns - age_ns)

    def _block(self, message: SoundMessage) -> SoundBlock:
        """From the child's monotonic clock, which is the machine's, to the engine's."""
        since_ns = time.monotonic_ns() - message.monotonic_ns
        return SoundBlock(
            np.frombuffer(message.samples, np.float32),
            self._clock.now_ns() - since_ns,
            message.age_ns,
            message.overflow,
            message.missed,
        )
