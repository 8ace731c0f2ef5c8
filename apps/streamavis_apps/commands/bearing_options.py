"""Options that say where camera and microphones look and listen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from streamavis.bearing import Geometry

__all__ = ["Calibration", "FrameId", "Hfov", "MicArrayFile", "MicSpacing", "geometry_of"]

_PANEL = "Bearings"

Hfov = Annotated[
    float | None,
    typer.Option(
        min=1,
        max=179,
        metavar="DEGREES",
        help="The camera's horizontal field of view: every object gets its bearing.",
        rich_help_panel=_PANEL,
    ),
]

Calibration = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The camera's calibration in place of --hfov: TOML, JSON, or YAML of OpenCV or ROS.",
        rich_help_panel=_PANEL,
    ),
]

MicSpacing = Annotated[
    float | None,
    typer.Option(
        min=0.005,
        max=5,
        metavar="METRES",
        help="Between two microphones, the left one first: the sound gets its azimuth.",
        rich_help_panel=_PANEL,
    ),
]

MicArrayFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Positions of several microphones, TOML or JSON, in place of --mic-spacing.",
        rich_help_panel=_PANEL,
    ),
]

FrameId = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Of the camera's axes, in every result, for ROS.",
        show_default="none",
        rich_help_panel=_PANEL,
    ),
]


def geometry_of(
    hfov: float | None,
    calibration: Path | None,
    mic_spacing: float | None,
    mic_array: Path | None,
    frame_id: str,
) -> Geometry:
    """What the options say of camera and microphones.

    Raises:
        BadParameter: two of them say the same thing.
        InputError: a file cannot be read, or is none of its kind.
    """
    if hfov is not None and calibration is not None:
        raise typer.BadParameter("--hfov and --calibration exclude each other.")
    if mic_spacing is not None and mic_array is not None:
        raise typer.BadParameter("--mic-spacing and --mic-array exclude each other.")
    if len(frame_id) > 256:
        raise typer.BadParameter("--frame-id has more than 256 characters.")
    from streamavis.bearing import Geometry, MicArray, read_array, read_camera

    array = None if mic_spacing is None else MicArray.stereo(mic_spacing)
    if mic_array is not None:
        array = read_array(mic_array)
        array.azimuths()  # refuses one that gives no azimuth
    return Geometry(
        hfov_deg=hfov,
        calibration=None if calibration is None else read_camera(calibration),
        array=array,
        frame_id=frame_id,
    )
