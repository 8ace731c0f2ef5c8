"""Protocol 2.0 against its published examples, and a head of simulated servos on a line."""

from __future__ import annotations

import os
import pty
from pathlib import Path

import pytest

from streamavis.errors import ArgumentError, OutputError
from streamavis.follow import Pose
from streamavis.follow.dynamixel import (
    BUS_WATCHDOG,
    GOAL_POSITION,
    PRESENT_POSITION,
    TORQUE_ENABLE,
    Bus,
    DynamixelHead,
    crc16,
    packet,
    parse,
)
from streamavis.follow.serial_port import SerialPort


class Servos:
    """A line with servos: takes instructions, keeps registers, answers. A `Port`."""

    def __init__(self, *ids: int) -> None:
        self.registers = {servo: bytearray(256) for servo in ids}
        for memory in self.registers.values():
            memory[132:136] = (2048).to_bytes(4, "little")
        self.noise = b""  # before each answer
        self.mute = False
        self.error = 0
        self.closed = False
        self._answers = b""

    def write(self, data: bytes) -> None:
        found = parse(data)
        assert found is not None, "a whole packet with its checksum"
        servo, instruction, parameters, rest = found
        assert not rest
        if instruction == 0x83:  # sync write
            address, size = (int.from_bytes(parameters[i : i + 2], "little") for i in (0, 2))
            for at in range(4, len(parameters), size + 1):
                self._set(parameters[at], address, parameters[at + 1 : at + 1 + size])
            return
        if self.mute or servo not in self.registers:
            return
        answer = b""
        if instruction == 0x01:
            answer = (1200).to_bytes(2, "little") + b"\x2d"
        elif instruction == 0x02:
            address, size = (int.from_bytes(parameters[i : i + 2], "little") for i in (0, 2))
            answer = bytes(self.registers[servo][address : address + size])
        elif instruction == 0x03:
            self._set(servo, int.from_bytes(parameters[:2], "little"), parameters[2:])
        self._answers += self.noise + packet(servo, 0x55, bytes([self.error]) + answer)

    def read(self, count: int, timeout_s: float) -> bytes:
        # In pieces, as a serial line gives them.
        data, self._answers = self._answers[:5], self._answers[5:]
        return data

    def drain(self) -> None:
        self._answers = b""

    def close(self) -> None:
        self.closed = True

    def value(self, servo: int, register: tuple[int, int]) -> int:
        address, size = register
        return int.from_bytes(self.registers[servo][address : address + size], "little")

    def _set(self, servo: int, address: int, data: bytes) -> None:
        self.registers[servo][address : address + len(data)] = data
        if address == GOAL_POSITION[0]:  # arrives at once
            self.registers[servo][132:136] = data


class Clock:
    """Seconds that pass with each look, so that no answer is waited for in real time."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += 0.0005
        return self.now_s


def head(servos: Servos, **options: int) -> DynamixelHead:
    return DynamixelHead(servos, clock=Clock(), **options)


def test_packets_are_those_of_the_protocols_documentation() -> None:
    assert packet(1, 0x01).hex(" ") == "ff ff fd 00 01 03 00 01 19 4e", "ping of servo 1"
    goal = (116).to_bytes(2, "little") + (512).to_bytes(4, "little")
    assert packet(1, 0x03, goal).hex(" ") == ("ff ff fd 00 01 09 00 03 74 00 00 02 00 00 ca 89"), (
        "goal position 512 of servo 1"
    )
    ask = (132).to_bytes(2, "little") + (4).to_bytes(2, "little")
    assert packet(1, 0x02, ask).hex(" ") == "ff ff fd 00 01 07 00 02 84 00 04 00 1d 15"
    status = bytes.fromhex("ff ff fd 00 01 08 00 55 00 a6 00 00 00 8c c0")
    assert parse(status) == (1, 0x55, b"\x00\xa6\x00\x00\x00", b"")
    assert crc16(status[:-2]) == 0xC08C


def test_a_header_within_parameters_is_stuffed_and_read_back() -> None:
    tricky = b"\x01\xff\xff\xfd\x02"
    data = packet(7, 0x03, tricky)
    assert b"\xff\xff\xfd\xfd" in data
    assert parse(data) == (7, 0x03, tricky, b"")


def test_noise_broken_packets_and_halves_are_passed_over() -> None:
    good = packet(3, 0x55, b"\x00\x01")
    broken = good[:-1] + bytes([good[-1] ^ 1])
    assert parse(b"\x12\xff" + broken + good) == (3, 0x55, b"\x00\x01", b"")
    assert parse(good[:-1]) is None
    assert parse(b"") is None
    assert parse(b"\xff\xff\xfd\x00\x01\xff\xff" + good) == (3, 0x55, b"\x00\x01", b"")


def test_a_head_is_switched_on_where_it_is_with_the_servos_own_watchdog() -> None:
    servos = Servos(1, 2)
    servos.registers[1][132:136] = (2048 + 512).to_bytes(4, "little")
    opened = head(servos)
    assert servos.value(1, GOAL_POSITION) == 2560, "no jump"
    assert servos.value(1, TORQUE_ENABLE) == servos.value(2, TORQUE_ENABLE) == 1
    assert servos.value(1, BUS_WATCHDOG) == servos.value(2, BUS_WATCHDOG) == 25
    assert opened.pose() == Pose(45.0, 0.0)
    opened.close()
    assert servos.value(1, BUS_WATCHDOG) == 0
    assert servos.value(1, TORQUE_ENABLE) == 1, "it does not fall"
    assert servos.closed


def test_goals_go_to_both_servos_in_their_directions() -> None:
    servos = Servos(4, 9)
    opened = head(servos, pan=-9, tilt=4)
    opened.move(Pose(90, -45))
    assert servos.value(9, GOAL_POSITION) == 1024
    assert servos.value(4, GOAL_POSITION) == 1536
    assert opened.pose() == Pose(90, -45)
    opened.hold()
    assert servos.value(9, GOAL_POSITION) == 1024


def test_a_lost_answer_is_bridged_and_a_dead_servo_is_said() -> None:
    servos = Servos(1, 2)
    opened = head(servos)
    opened.move(Pose(10, 0))
    here = opened.pose()
    servos.mute = True
    assert [opened.pose() for _ in range(9)] == [here] * 9
    with pytest.raises(OutputError, match="does not answer; check its power"):
        opened.pose()
    servos.mute = False
    opened.pose()


def test_a_missing_servo_and_a_refusal_name_the_servo() -> None:
    servos = Servos(1)
    with pytest.raises(OutputError, match="servo 2 does not answer"):
        head(servos)
    assert servos.closed
    servos = Servos(1, 2)
    servos.error = 6
    with pytest.raises(OutputError, match="servo 1 refuses: data limit"):
        head(servos)


def test_echoes_and_noise_on_the_line_do_no_harm() -> None:
    servos = Servos(1, 2)
    servos.noise = packet(1, 0x02, b"\x84\x00\x04\x00") + b"\xff\xff\x00"
    assert head(servos).pose() == Pose(0, 0)
    assert Bus(servos, Clock()).read(1, PRESENT_POSITION) == 2048


def test_a_serial_port_carries_bytes_and_belongs_to_one() -> None:
    ours, theirs = pty.openpty()
    try:
        port = SerialPort(Path(os.ttyname(theirs)), 57_600)
        data = bytes(range(256))
        port.write(data)
        assert os.read(ours, 1000) == data, "nothing is changed on the way"
        os.write(ours, b"\r\n\x03\x11")
        assert port.read(10, 5.0) == b"\r\n\x03\x11"
        assert port.read(10, 0.0) == b""
        port.close()
    finally:
        os.close(ours)
        os.close(theirs)


def test_what_is_no_serial_port_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="group dialout"):
        SerialPort(tmp_path / "ttyUSB7", 57_600)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is no serial port"):
        SerialPort(tmp_path / "file", 57_600)
    with pytest.raises(ArgumentError, match="baud is 12345"):
        SerialPort(tmp_path / "file", 12_345)
