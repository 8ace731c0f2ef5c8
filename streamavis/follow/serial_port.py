"""A serial port in raw mode, by the standard library."""

from __future__ import annotations

import fcntl
import os
import select
import termios
import tty
from typing import TYPE_CHECKING

from streamavis.errors import ArgumentError, OutputError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SerialPort"]


class SerialPort:
    """Bytes out, bytes in; nobody else may open the port meanwhile."""

    def __init__(self, path: Path, baud: int) -> None:
        """Open `path` at `baud` bits per second, 8 data bits, no parity, one stop bit.

        Raises:
            ArgumentError: the system does not know this rate.
            OutputError: the port cannot be opened, or is no serial port.
        """
        rate = getattr(termios, f"B{baud}", None)
        if not isinstance(rate, int):
            raise ArgumentError(
                f"baud is {baud}, which this system does not know; try 57600, 115200 or 1000000"
            )
        self._path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError as error:
            raise OutputError(
                f"{path}: {error.strerror}; is it plugged in, and are you in the group dialout?"
            ) from error
        try:
            tty.setraw(self._file)
            settings = termios.tcgetattr(self._file)
            settings[4] = settings[5] = rate
            termios.tcsetattr(self._file, termios.TCSANOW, settings)
            fcntl.ioctl(self._file, termios.TIOCEXCL)
        except (termios.error, OSError) as error:
            os.close(self._file)
            raise OutputError(f"{path}: is no serial port ({error})") from error

    def write(self, data: bytes) -> None:
        """Send everything, within 0.1 s.

        Raises:
            OutputError: the port is gone, or takes nothing.
        """
        left = memoryview(data)
        while left:
            _, ready, _ = select.select([], [self._file], [], 0.1)
            if not ready:
                raise OutputError(f"{self._path}: takes no data any more")
            try:
                left = left[os.write(self._file, left) :]
            except OSError as error:
                raise OutputError(f"{self._path}: {error.strerror}") from error

    def read(self, count: int, timeout_s: float) -> bytes:
        """At most `count` bytes as soon as there are any; none after `timeout_s`.

        Raises:
            OutputError: the port is gone.
        """
        ready, _, _ = select.select([self._file], [], [], timeout_s)
        if not ready:
            return b""
        try:
            data = os.read(self._file, count)
        except OSError as error:
            raise OutputError(f"{self._path}: {error.strerror}") from error
        if not data:
            raise OutputError(f"{self._path}: was unplugged")
        return data

    def drain(self) -> None:
        """Forget what has arrived and was not read."""
        termios.tcflush(self._file, termios.TCIFLUSH)

    def close(self) -> None:
        """Give the port back."""
        os.close(self._file)
