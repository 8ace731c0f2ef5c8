"""Where the microphones of an array are, and which direction is which.

Axes, in metres: x right, y up, z to the front (where the camera looks). Azimuth 0 is the front,
positive to the right; elevation is positive upwards; both in degrees.
"""

from __future__ import annotations

import itertools
import json
import math
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from streamavis.errors import ArgumentError, InputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["MAX_MICROPHONES", "SPEED_OF_SOUND", "MicArray", "read_array", "unit", "wrapped"]

SPEED_OF_SOUND: Final = 343.0  # m/s, dry air at 20 degrees C
MAX_MICROPHONES: Final = 16
_NEAREST: Final = 0.005  # m, of two microphones: nearer ones tell no direction
_FARTHEST: Final = 5.0  # m: beyond it the far-field model is wrong in any room
_FLAT: Final = 1e-3  # of the array's extent: thinner than this it is a line or a plane


@dataclass(frozen=True)
class MicArray:
    """Positions of microphones, in the order of the recording's channels.

    Attributes:
        positions: of each microphone (x, y, z), metres.
        yaw_deg: how far right of the camera's axis the array's own front points.
        name: for people.
        channels: of the recording, from 1, one for each microphone; None: the first ones in order.
    """

    positions: tuple[tuple[float, float, float], ...]
    yaw_deg: float = 0.0
    name: str = "array"
    channels: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse what no direction can be computed with.

        Raises:
            ArgumentError: fewer than 2 or more than 16 microphones, or two of them are nearer
                than 5 mm or farther than 5 m apart, or a number is not finite.
        """
        count = len(self.positions)
        if not 2 <= count <= MAX_MICROPHONES:
            raise ArgumentError(
                f"{self.name} has {count} microphones, expected 2 to {MAX_MICROPHONES}"
            )
        numbers = [value for place in self.positions for value in place] + [self.yaw_deg]
        if any(len(place) != 3 for place in self.positions) or not all(map(math.isfinite, numbers)):
            raise ArgumentError(
                f"{self.name}: expected [x, y, z] in metres for each microphone, all finite, "
                f"but got {self.positions}"
            )
        given = self.channels
        if given is not None and not (len(given) == len(set(given)) == count and min(given) > 0):
            raise ArgumentError(
                f"{self.name}: channels are {self.channels}, expected {count} different numbers "
                "from 1, one for each microphone"
            )
        for first, second in self.pairs:
            apart = math.dist(self.positions[first], self.positions[second])
            if not _NEAREST <= apart <= _FARTHEST:
                raise ArgumentError(
                    f"{self.name}: microphones {first + 1} and {second + 1} are {apart:g} m apart, "
                    f"expected {_NEAREST:g} to {_FARTHEST:g} m; positions are in metres"
                )

    @classmethod
    def stereo(cls, spacing_m: float) -> MicArray:
        """Two microphones beside each other: left is the first channel, right the second."""
        half = spacing_m / 2
        return cls(((-half, 0.0, 0.0), (half, 0.0, 0.0)), name=f"stereo {spacing_m:g} m")

    @classmethod
    def ring(cls, count: int, radius_m: float) -> MicArray:
        """Microphones on a horizontal circle, the first in front, then clockwise from above."""
        places = tuple(
            (
                radius_m * math.sin(2 * math.pi * number / count),
                0.0,
                radius_m * math.cos(2 * math.pi * number / count),
            )
            for number in range(count)
        )
        return cls(places, name=f"ring of {count}, radius {radius_m:g} m")

    @property
    def needed_channels(self) -> int:
        """How many channels a recording must have."""
        return max(self.channels or (len(self.positions),))

    def pick(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, microphones) of (n, channels); there must be `needed_channels`."""
        if self.channels is None:
            return samples[:, : len(self.positions)]
        return samples[:, [channel - 1 for channel in self.channels]]

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Every two microphones, by their channels."""
        return list(itertools.combinations(range(len(self.positions)), 2))

    @property
    def coordinates(self) -> NDArray[np.float64]:
        """(microphones, 3), metres, around their mean, in the camera's axes."""
        places = self._own
        yaw = math.radians(self.yaw_deg)
        right, front = places[:, 0].copy(), places[:, 2].copy()
        places[:, 0] = right * math.cos(yaw) + front * math.sin(yaw)
        places[:, 2] = front * math.cos(yaw) - right * math.sin(yaw)
        return places

    @property
    def _own(self) -> NDArray[np.float64]:
        """(microphones, 3), metres, around their mean, in the array's own axes."""
        places = np.array(self.positions, np.float64)
        return places - places.mean(axis=0)

    @property
    def all_round(self) -> bool:
        """True where front and back can be told apart: not all microphones are on one line.

        Raises:
            ArgumentError: all microphones are above each other, which gives no azimuth.
        """
        level = self._own[:, [0, 2]]
        extents = np.linalg.svd(level, compute_uv=False)
        if extents[0] < _NEAREST / 2:
            raise ArgumentError(
                f"{self.name}: all microphones are above each other, which gives no azimuth; "
                "turn the array so that they lie beside each other"
            )
        return bool(extents[1] > max(_FLAT, 0.05 * extents[0]))

    def azimuths(self, step_deg: float = 2.0) -> NDArray[np.float64]:
        """Degrees, of the directions the array can tell apart.

        All round, or the half in front of a line of microphones.
        """
        if self.all_round:
            return np.arange(-180.0, 180.0, step_deg)
        x, z = np.linalg.svd(self._own[:, [0, 2]])[2][0]  # along the line
        across = wrapped(math.degrees(math.atan2(-z, x)))  # of the line's normal
        if abs(across) > 90:  # the other normal is the front
            across = wrapped(across + 180)
        half = np.arange(-90.0, 90.0 + step_deg / 2, step_deg)
        return half + across + self.yaw_deg

    def delays(
        self, azimuths: NDArray[np.float64], elevation_deg: float = 0.0
    ) -> NDArray[np.float64]:
        """(directions, microphones) seconds by which a plane wave from each direction is late."""
        return -unit(azimuths, elevation_deg) @ self.coordinates.T / SPEED_OF_SOUND


def unit(azimuth_deg: NDArray[np.float64], elevation_deg: float = 0.0) -> NDArray[np.float64]:
    """(n, 3) unit vectors towards directions, axes as above."""
    azimuth, elevation = np.radians(azimuth_deg), math.radians(elevation_deg)
    level = math.cos(elevation)
    up = np.full_like(azimuth, math.sin(elevation))
    return np.stack([level * np.sin(azimuth), up, level * np.cos(azimuth)], axis=-1)


def wrapped(degrees: float) -> float:
    """The same direction within [-180, 180)."""
    return (degrees + 180.0) % 360.0 - 180.0


def read_array(path: Path) -> MicArray:
    """Read an array's geometry from a TOML or JSON file.

    `positions` is a list of [x, y, z] in metres (x right, y up, z to the front), one for each
    channel; `yaw_deg`, `name` and `channels` (numbers from 1, where not the first ones) may follow.

    Raises:
        InputError: the file cannot be read, or says something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
        fields = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path}: is neither TOML nor JSON: {error}") from error
    try:
        return _array(fields, path.stem)
    except (ArgumentError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: {_reason(error)}; expected positions = [[x, y, z], ...] in metres, "
            "one for each channel"
        ) from error


def _array(fields: dict[str, Any], name: str) -> MicArray:
    unknown = fields.keys() - {"positions", "yaw_deg", "name", "channels"}
    if unknown:
        raise ArgumentError(f"unknown key {sorted(unknown)[0]!r}")
    places = tuple((float(x), float(y), float(z)) for x, y, z in fields["positions"])
    given = fields.get("channels")
    return MicArray(
        places,
        float(fields.get("yaw_deg", 0.0)),
        str(fields.get("name", name)),
        None if given is None else tuple(int(channel) for channel in given),
    )


def _reason(error: Exception) -> str:
    return f"the key {error} is missing" if isinstance(error, KeyError) else str(error)
