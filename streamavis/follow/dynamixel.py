"""Heads of two Dynamixel-like servos: protocol 2.0 over a serial line, X-series registers.

Packets: FF FF FD 00, id, length, instruction, parameters, CRC-16 (0x8005). Little-endian.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

from streamavis.errors import OutputError
from streamavis.follow.head import Pose

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Bus", "DynamixelHead", "Port", "crc16", "packet", "parse"]

PING: Final = 0x01
READ: Final = 0x02
WRITE: Final = 0x03
STATUS: Final = 0x55
SYNC_WRITE: Final = 0x83
BROADCAST: Final = 0xFE
# Registers of the X series: address, bytes.
TORQUE_ENABLE: Final = (64, 1)
BUS_WATCHDOG: Final = (98, 1)  # in units of 20 ms
GOAL_POSITION: Final = (116, 4)
PRESENT_POSITION: Final = (132, 4)

_HEADER: Final = b"\xff\xff\xfd\x00"
_TICKS_PER_DEG: Final = 4096 / 360
_CENTRE: Final = 2048
_ANSWER_S: Final = 0.02
_WATCHDOG: Final = 25  # 0.5 s: the servos stop by themselves when this program does not write
_LOST: Final = 10  # answers in a row that did not come, before the head counts as gone
_LONGEST: Final = 256  # bytes of an answer
_ERRORS: Final = {
    1: "result fail",
    2: "unknown instruction",
    3: "wrong checksum",
    4: "data range",
    5: "data length",
    6: "data limit",
    7: "access",
}


class Port(Protocol):
    """A serial line; see `SerialPort`."""

    def write(self, data: bytes) -> None: ...
    def read(self, count: int, timeout_s: float) -> bytes: ...
    def drain(self) -> None: ...
    def close(self) -> None: ...


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte << 8
        for _ in range(8):
            value = (value << 1 ^ 0x8005) & 0xFFFF if value & 0x8000 else value << 1 & 0xFFFF
        table.append(value)
    return tuple(table)


_CRC: Final = _crc_table()


def crc16(data: bytes) -> int:
    """CRC-16 with polynomial 0x8005, start 0, not reflected: that of protocol 2.0."""
    value = 0
    for byte in data:
        value = (value << 8 & 0xFFFF) ^ _CRC[value >> 8 ^ byte]
    return value


def packet(servo: int, instruction: int, parameters: bytes = b"") -> bytes:
    """An instruction as it travels; FF FF FD within it gets another FD."""
    body = bytes([instruction]) + parameters
    body = body.replace(b"\xff\xff\xfd", b"\xff\xff\xfd\xfd")
    data = _HEADER + bytes([servo]) + (len(body) + 2).to_bytes(2, "little") + body
    return data + crc16(data).to_bytes(2, "little")


def parse(data: bytes) -> tuple[int, int, bytes, bytes] | None:
    """Read the first whole packet of `data`, past anything that is none.

    Returns:
        Servo, instruction, parameters and the rest of the data; None: there is no whole packet.
    """
    start = data.find(_HEADER)
    while start >= 0:
        whole = data[start:]
        if len(whole) < 7:
            return None
        length = int.from_bytes(whole[5:7], "little")
        end = 7 + length
        if length < 3 or length > _LONGEST:
            start = data.find(_HEADER, start + 1)
            continue
        if len(whole) < end:
            return None
        if crc16(whole[: end - 2]) == int.from_bytes(whole[end - 2 : end], "little"):
            body = whole[7 : end - 2].replace(b"\xff\xff\xfd\xfd", b"\xff\xff\xfd")
            return whole[4], body[0], body[1:], whole[end:]
        start = data.find(_HEADER, start + 1)
    return None


class Bus:
    """Servos on one line, asked one after the other."""

    def __init__(self, port: Port, clock: Callable[[], float] = time.monotonic) -> None:
        """Talk over `port`; `clock` gives monotonic seconds."""
        self._port = port
        self._clock = clock

    def write(self, servo: int, register: tuple[int, int], value: int) -> None:
        """Set a register of one servo.

        Raises:
            OutputError: it does not answer, or refuses.
        """
        self._port.drain()
        self._port.write(packet(servo, WRITE, _field(register, value)))
        self._answer(servo)

    def write_all(self, register: tuple[int, int], values: dict[int, int]) -> None:
        """Set a register of several servos at once; they do not answer."""
        address, size = register
        parameters = address.to_bytes(2, "little") + size.to_bytes(2, "little")
        for servo, value in values.items():
            parameters += bytes([servo]) + value.to_bytes(size, "little", signed=True)
        self._port.write(packet(BROADCAST, SYNC_WRITE, parameters))

    def read(self, servo: int, register: tuple[int, int]) -> int:
        """A register of one servo, signed.

        Raises:
            OutputError: it does not answer, or refuses.
        """
        address, size = register
        self._port.drain()
        ask = address.to_bytes(2, "little") + size.to_bytes(2, "little")
        self._port.write(packet(servo, READ, ask))
        data = self._answer(servo)
        if len(data) != size:
            raise OutputError(f"servo {servo} answered with {len(data)} bytes, expected {size}")
        return int.from_bytes(data, "little", signed=True)

    def ping(self, servo: int) -> int:
        """The model number of a servo.

        Raises:
            OutputError: it does not answer.
        """
        self._port.drain()
        self._port.write(packet(servo, PING))
        return int.from_bytes(self._answer(servo)[:2], "little")

    def close(self) -> None:
        """Give the port back."""
        self._port.close()

    def _answer(self, servo: int) -> bytes:
        data = b""
        until_s = self._clock() + _ANSWER_S
        while (left_s := until_s - self._clock()) > 0:
            data += self._port.read(_LONGEST, left_s)
            while (found := parse(data)) is not None:
                which, instruction, parameters, data = found
                if which != servo or instruction != STATUS or not parameters:
                    continue  # another one's, or our own words where the line echoes them
                error = parameters[0] & 0x7F
                if error:
                    reason = _ERRORS.get(error, f"error {error}")
                    raise OutputError(f"servo {servo} refuses: {reason}")
                return parameters[1:]
        raise OutputError(f"servo {servo} does not answer; check its power, id and baud rate")


class DynamixelHead:
    """Pan and tilt servos, whose middle position, 2048, is the front.

    The servos have a watchdog of their own: when nothing is written to them for 0.5 s, because
    this program hangs or was killed, they stop.
    """

    def __init__(
        self,
        port: Port,
        *,
        pan: int = 1,
        tilt: int = 2,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Find both servos and switch their torque on, at the positions they are in.

        Args:
            port: the line they are on.
            pan: id of the servo whose positive direction is to the right; negative: to the left.
            tilt: id of the servo whose positive direction is upwards; negative: downwards.
            clock: monotonic seconds.

        Raises:
            OutputError: one of them does not answer, or refuses.
        """
        self._bus = Bus(port, clock)
        self._servos = {abs(pan): pan > 0, abs(tilt): tilt > 0}
        self._lost = 0
        try:
            present = {}
            for servo in self._servos:
                self._bus.ping(servo)
                self._bus.write(servo, BUS_WATCHDOG, 0)  # clears one that has struck
                present[servo] = self._bus.read(servo, PRESENT_POSITION)
                self._bus.write(servo, GOAL_POSITION, present[servo])
                self._bus.write(servo, TORQUE_ENABLE, 1)
                self._bus.write(servo, BUS_WATCHDOG, _WATCHDOG)
        except OutputError:
            self._bus.close()
            raise
        self._at = self._degrees(present)

    def pose(self) -> Pose:
        """Where both servos are; the last known place while an answer is missing.

        Raises:
            OutputError: ten answers in a row did not come.
        """
        try:
            ticks = {servo: self._bus.read(servo, PRESENT_POSITION) for servo in self._servos}
        except OutputError:
            self._lost += 1
            if self._lost >= _LOST:
                raise
            return self._at
        self._lost = 0
        self._at = self._degrees(ticks)
        return self._at

    def move(self, pose: Pose) -> None:
        """Send both goals in one packet."""
        angles = (pose.pan, pose.tilt)
        goals = {
            servo: _CENTRE + round((angle if positive else -angle) * _TICKS_PER_DEG)
            for (servo, positive), angle in zip(self._servos.items(), angles, strict=True)
        }
        self._bus.write_all(GOAL_POSITION, goals)

    def hold(self) -> None:
        """Stay where it is."""
        self.move(self.pose())

    def close(self) -> None:
        """Hold, switch the watchdog off and give the line back; the torque stays on."""
        try:
            for servo in self._servos:
                self._bus.write(servo, BUS_WATCHDOG, 0)
        finally:
            self._bus.close()

    def _degrees(self, ticks: dict[int, int]) -> Pose:
        pan, tilt = (
            (ticks[servo] - _CENTRE) / _TICKS_PER_DEG * (1 if positive else -1)
            for servo, positive in self._servos.items()
        )
        return Pose(pan, tilt)


def _field(register: tuple[int, int], value: int) -> bytes:
    address, size = register
    return address.to_bytes(2, "little") + value.to_bytes(size, "little", signed=True)
