"""Option types that several subcommands share."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

__all__ = ["LiveView", "Model", "Size", "View", "parse_size", "parse_speed"]


class View(StrEnum):
    """Where pictures are shown."""

    NONE = "none"
    WINDOW = "window"


class LiveView(StrEnum):
    """Where live pictures are shown."""

    NONE = "none"
    WINDOW = "window"


Model = Annotated[
    str,
    typer.Option(metavar="NAME|FILE", help="Shipped weights by name, or a .safetensors file."),
]


def parse_speed(text: str) -> float:
    """Read `--speed`: a positive factor of real time, or `max` (infinity)."""
    try:
        speed = math.inf if text == "max" else float(text)
    except ValueError:
        speed = math.nan
    if not speed > 0:
        raise typer.BadParameter(f"{text!r} is neither a positive number nor 'max'.")
    return speed


@dataclass(frozen=True)
class Size:
    """Of a picture, in pixels."""

    width: int
    height: int


def parse_size(text: str) -> Size:
    """Read `--size`: `WIDTHxHEIGHT`, both at least 32."""
    width, cross, height = text.partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        raise typer.BadParameter(f"{text!r} is not WIDTHxHEIGHT, such as 320x180.")
    if min(int(width), int(height)) < 32:
        raise typer.BadParameter(f"{text!r} is smaller than 32 pixels on a side.")
    return Size(int(width), int(height))
