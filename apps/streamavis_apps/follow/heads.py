"""Which head `--head` names, opened."""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from streamavis.errors import ArgumentError
from streamavis.follow import SimulatedHead

if TYPE_CHECKING:
    from streamavis.follow import Head

__all__ = ["open_head"]

_EXPECTED = (
    "expected sim, dynamixel:DEVICE?baud=57600&pan=1&tilt=2, "
    "ros:TOPIC?pan=JOINT&tilt=JOINT, or MODULE:NAME of your own driver"
)


def open_head(text: str) -> Head:
    """Open the head that `text` names.

    Args:
        text: `sim`; `dynamixel:DEVICE` with `?baud=`, `pan=`, `tilt=` (ids, negative where the
            servo turns the other way); `ros:TOPIC` with `?pan=`, `tilt=`, `states=`; or
            `MODULE:NAME` of something callable that gives a `streamavis.follow.Head`.

    Raises:
        ArgumentError: the text names no head.
        OutputError: the head cannot be opened, or does not answer.
    """
    kind, _, rest = text.partition(":")
    place, _, query = rest.partition("?")
    options = dict(parse_qsl(query))
    if text == "sim":
        return SimulatedHead(time.monotonic_ns)
    if kind == "dynamixel" and place:
        return _dynamixel(text, place, options)
    if kind == "ros":
        return _ros(text, place, options)
    if kind and place and not query:
        return _own(kind, place, text)
    raise ArgumentError(f"--head {text!r}: {_EXPECTED}")


def _dynamixel(text: str, device: str, options: dict[str, str]) -> Head:
    from streamavis.follow.dynamixel import DynamixelHead
    from streamavis.follow.serial_port import SerialPort

    numbers = {"baud": 57_600, "pan": 1, "tilt": 2}
    for name, value in options.items():
        if name not in numbers or not value.lstrip("-").isdecimal():
            raise ArgumentError(f"--head {text!r}: {name}={value} is not known; {_EXPECTED}")
        numbers[name] = int(value)
    ids = {abs(numbers["pan"]), abs(numbers["tilt"])}
    if len(ids) != 2 or not ids <= set(range(1, 253)):
        raise ArgumentError(f"--head {text!r}: pan and tilt need two ids from 1 to 252")
    port = SerialPort(Path(device), numbers["baud"])
    return DynamixelHead(port, pan=numbers["pan"], tilt=numbers["tilt"])


def _ros(text: str, topic: str, options: dict[str, str]) -> Head:
    from streamavis.follow.ros import RosHead

    unknown = options.keys() - {"pan", "tilt", "states"}
    if unknown:
        raise ArgumentError(f"--head {text!r}: {sorted(unknown)[0]} is not known; {_EXPECTED}")
    return RosHead(
        topic or "/head_controller/joint_trajectory",
        pan=options.get("pan", "head_pan_joint"),
        tilt=options.get("tilt", "head_tilt_joint"),
        states=options.get("states", "/joint_states"),
    )


def _own(module: str, name: str, text: str) -> Head:
    """A driver of the user's own, from the folder the command is started in or installed."""
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ArgumentError(f"--head {text!r}: {error}; {_EXPECTED}") from error
    finally:
        sys.path.pop(0)
    head: Head = found()
    return head
