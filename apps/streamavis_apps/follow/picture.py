"""A simulated head in a conversation, as a drawing: SVG, which needs no library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from streamavis.errors import OutputError
from streamavis_apps.follow.scene import CONVERSATION, PAN, play

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streamavis_apps.follow.scene import Scene, Trace

__all__ = ["drawing", "write_picture"]

_WIDTH: Final = 900
_HEIGHT: Final = 430
_LEFT, _RIGHT, _TOP, _BOTTOM = 150, 30, 56, 56
_COLOURS: Final = ("#2a78c8", "#c8502a", "#3c9646", "#8c50b4")
_STYLE: Final = "font-family: system-ui, sans-serif; font-size: 13px"


def write_picture(path: Path) -> None:
    """Play the conversation and draw it.

    Raises:
        OutputError: the file cannot be written, or is no SVG by its name.
    """
    if path.suffix.lower() != ".svg":
        raise OutputError(f"{path}: the drawing is SVG; name it {path.with_suffix('.svg').name}")
    try:
        path.write_text(drawing(CONVERSATION, play(CONVERSATION)), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def drawing(scene: Scene, trace: Trace) -> str:
    """Time to the right, pan upwards: who speaks where, what is in view, where the head points."""
    body = "\n".join(_parts(scene, trace))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" style="{_STYLE}">\n'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


def _parts(scene: Scene, trace: Trace) -> Iterator[str]:
    yield _text(_LEFT, 24, "A head follows a conversation (simulated)", weight="600")
    yield _text(
        _LEFT,
        42,
        "bars: who speaks, at their azimuth; grey: what the camera sees; line: where it points",
        colour="#666666",
    )
    yield from _axes(scene)
    yield _view(scene, trace)
    for person, colour in zip(scene.people, _COLOURS, strict=False):
        y = _y(person.azimuth)
        name = f"{person.name}, {person.azimuth:g}°"
        yield _text(_LEFT - 12, y + 4, name, anchor="end", colour=colour)
        for start, end in person.speaks:
            yield (
                f'<rect x="{_x(scene, start):.1f}" y="{y - 6:.1f}" rx="3" height="12" '
                f'width="{_x(scene, end) - _x(scene, start):.1f}" fill="{colour}"/>'
            )
    points = " ".join(
        f"{_x(scene, at_s):.1f},{_y(pose.pan):.1f}"
        for at_s, pose in zip(trace.times_s, trace.poses, strict=True)
    )
    yield f'<polyline points="{points}" fill="none" stroke="#111111" stroke-width="2"/>'
    if scene.silent_from_s < scene.seconds:
        x = _x(scene, scene.silent_from_s)
        yield (
            f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{_HEIGHT - _BOTTOM}" '
            'stroke="#b40000" stroke-dasharray="4 4"/>'
        )
        yield _text(x + 6, _TOP + 14, "the wire is silent:", colour="#b40000")
        yield _text(x + 6, _TOP + 30, "it stands still", colour="#b40000")


def _axes(scene: Scene) -> Iterator[str]:
    floor = _HEIGHT - _BOTTOM
    for pan in range(-90, 121, 30):
        y = _y(pan)
        yield (
            f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}" '
            'stroke="#e6e6e6"/>'
        )
        yield _text(_WIDTH - _RIGHT + 4, y + 4, f"{pan}°", colour="#999999", size=10)
    for second in range(0, int(scene.seconds) + 1, 2):
        x = _x(scene, second)
        yield _text(x, floor + 20, f"{second}", anchor="middle", colour="#999999")
    yield _text(_WIDTH - _RIGHT, floor + 40, "seconds", anchor="end", colour="#999999")


def _view(scene: Scene, trace: Trace) -> str:
    """The band of directions that the camera sees."""
    half = scene.hfov_deg / 2
    low = [
        f"{_x(scene, at_s):.1f},{_y(pose.pan - half):.1f}"
        for at_s, pose in zip(trace.times_s[::3], trace.poses[::3], strict=True)
    ]
    high = [
        f"{_x(scene, at_s):.1f},{_y(pose.pan + half):.1f}"
        for at_s, pose in zip(trace.times_s[::3], trace.poses[::3], strict=True)
    ]
    return f'<polygon points="{" ".join(low + high[::-1])}" fill="#000000" fill-opacity="0.08"/>'


def _x(scene: Scene, at_s: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * at_s / scene.seconds


def _y(pan: float) -> float:
    """Right is up: pan from the head's lowest shown angle to beyond its highest."""
    low, high = -90.0, PAN.high + 20
    share = (min(max(pan, low), high) - low) / (high - low)
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def _text(
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "start",
    colour: str = "#111111",
    weight: str = "400",
    size: int = 13,
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" '
        f'font-weight="{weight}" font-size="{size}">{escape(text)}</text>'
    )
