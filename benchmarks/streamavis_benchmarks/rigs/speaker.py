"""Plays sound into a sound server at the moments it belongs to."""

from __future__ import annotations

import ctypes
import statistics
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Self

import numpy as np

from streamavis.errors import InputError
from streamavis.types import SAMPLE_RATE

if TYPE_CHECKING:
    from types import TracebackType

    from streamavis_benchmarks.rigs.sounds import Sound

__all__ = ["Speaker"]

_LIBRARY = "libpulse-simple.so.0"
_PLAYBACK = 1  # PA_STREAM_PLAYBACK, pulse/def.h
_FLOAT32LE = 5  # PA_SAMPLE_FLOAT32LE, pulse/sample.h
_UNSET = 2**32 - 1
_BLOCK = SAMPLE_RATE // 100
_BUFFER_S = 0.1  # written ahead of what is heard
_OBSERVED = 200  # blocks that the place in time is the median of
_SETTLE_BLOCKS = 50  # silent ones, until it is known
_AGAIN_S = 0.1  # between attempts at a server that is not there
_NS = 1_000_000_000


class _Spec(ctypes.Structure):
    _fields_ = [
        ("format", ctypes.c_int),
        ("rate", ctypes.c_uint32),
        ("channels", ctypes.c_uint8),
    ]


class _Buffer(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_uint32) for name in ("maxlength", "tlength", "prebuf", "minreq", "fragsize")
    ]


class Speaker:
    """Keeps playing a sound that is a function of the monotonic clock; a context manager.

    A sample for time t is played at t by PulseAudio's own clock, the one by which a film player
    keeps lips in step: after every block the server says how long the next one will take to be
    heard (`pa_simple_get_latency`), and the median of the last two seconds is believed. A server
    that goes away is connected to again.
    """

    def __init__(self, address: str, sound: Sound) -> None:
        """Play `sound` to the default sink of the server at `address` (`unix:PATH`).

        Raises:
            InputError: PulseAudio's library is missing; names the package.
        """
        try:
            self._library = ctypes.CDLL(_LIBRARY)
        except OSError as error:
            raise InputError(
                f"{_LIBRARY} is missing; install it with: sudo apt-get install libpulse0"
            ) from error
        self._library.pa_simple_new.restype = ctypes.c_void_p
        self._library.pa_simple_get_latency.restype = ctypes.c_uint64
        self._begun: deque[int] = deque(maxlen=_OBSERVED)  # when sample 0 was heard, by each block
        self._address = address
        self._sound = sound
        self._stopped = threading.Event()
        # A daemon: a server that hangs keeps it inside the library.
        self._thread = threading.Thread(target=self._run, name="rig-speaker", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def restless_ms(self) -> float:
        """How far what the server said strayed from its median, at the 95th percentile."""
        begun = list(self._begun)
        if not begun:
            return 0.0
        return float(np.percentile(np.abs(np.array(begun) - statistics.median(begun)), 95)) / 1e6

    def stop(self) -> None:
        """Fall silent."""
        self._stopped.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        while not self._stopped.is_set():
            if (stream := self._connect()) is None:
                self._stopped.wait(_AGAIN_S)
                continue
            try:
                self._play(ctypes.c_void_p(stream))
            finally:
                self._library.pa_simple_free(ctypes.c_void_p(stream))

    def _connect(self) -> int | None:
        length = round(_BUFFER_S * SAMPLE_RATE) * 4
        stream: int | None = self._library.pa_simple_new(
            self._address.encode(), b"streamavis rig", _PLAYBACK, None, b"sound",
            ctypes.byref(_Spec(_FLOAT32LE, SAMPLE_RATE, 1)), None,
            ctypes.byref(_Buffer(_UNSET, length, _BLOCK * 4, _BLOCK * 4, _UNSET)), None,
        )  # fmt: skip
        return stream

    def _play(self, stream: ctypes.c_void_p) -> None:
        """Until it is stopped or the server is gone."""
        self._begun.clear()
        written = 0
        while not self._stopped.is_set():
            block = np.zeros(_BLOCK, np.float32)
            if len(self._begun) >= _SETTLE_BLOCKS:
                begin_ns = round(statistics.median(self._begun))
                times_s = begin_ns / _NS + (written + np.arange(_BLOCK)) / SAMPLE_RATE
                block = np.ascontiguousarray(self._sound(times_s), np.float32)
            data = block.tobytes()
            failed = ctypes.c_int(0)
            if self._library.pa_simple_write(stream, data, len(data), ctypes.byref(failed)) < 0:
                return
            written += _BLOCK
            ahead_us = self._library.pa_simple_get_latency(stream, ctypes.byref(failed))
            if failed.value:
                return
            heard_ns = time.monotonic_ns() + ahead_us * 1000
            self._begun.append(heard_ns - written * _NS // SAMPLE_RATE)
