"""A page about a data set, one file: tables, and charts drawn as SVG."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from itertools import pairwise
from string import Template
from typing import TYPE_CHECKING

from streamavis_apps.data.stats import ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamavis_training.data.stats import Figures, Histogram

__all__ = ["columns", "data_page"]

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 420, 230, 10, 10, 24, 40
_ROW, _NAMES = 18, 120  # of the charts of classes, pixels
_SHOWN = 60  # classes


def data_page(path: str, found: Sequence[Figures]) -> str:
    """The whole page.

    Args:
        path: of the data set, as the user named it.
        found: of each split.
    """
    head = "".join(f"<th>{escape(figures.name)}</th>" for figures in found)
    rows = ""
    for name, cell in ROWS.items():
        cells = [cell(figures) for figures in found]
        if any(text != "-" for text in cells):
            shown = "".join(f"<td>{escape(text)}</td>" for text in cells)
            rows += f"<tr><th>{escape(name)}</th>{shown}</tr>"
    template = Template(files(__package__).joinpath("data.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(path),
        summary=f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table>",
        splits="".join(_split(figures) for figures in found),
    )


def _split(figures: Figures) -> str:
    unit = "videos" if figures.videos else "pictures"
    charts = []
    if figures.videos:
        named = _between(figures.durations_s, 1, " s")
        charts.append(columns("Length of the videos", named, figures.durations_s.counts))
    counts = figures.instances_per_frame
    labels = [str(i) for i in range(len(counts) - 1)] + [f"{len(counts) - 1}+"]
    said = "Masks per frame" if figures.videos else "Objects per picture"
    charts.append(columns(said, labels, counts))
    silent, one = figures.frames_silent, figures.frames_single
    if silent is not None and one is not None and figures.frames_multiple is not None:
        kinds = [silent, one, figures.frames_multiple]
        charts.append(columns("Objects that sound, in frames", ["none", "one", "several"], kinds))
    areas = _between(figures.areas, 100, " %")
    charts.append(columns("Area of the masks, share of the picture", areas, figures.areas.counts))
    grid = "".join(f"<div>{chart}</div>" for chart in charts)
    return (
        f"<h2>{escape(figures.name)}</h2><div class='charts'>{grid}</div>"
        f"<h3>Classes: {unit}, objects and masks of each</h3>{_classes(figures, unit)}"
    )


def _between(histogram: Histogram, factor: float, unit: str) -> list[str]:
    edges = [f"{edge * factor:g}" for edge in histogram.edges]
    named = [f"{low}-{high}" for low, high in pairwise(edges)]
    return [*named, f"{edges[-1]}{unit}+"]


def columns(title: str, labels: Sequence[str], counts: Sequence[int]) -> str:
    """A chart of upright bars, each with its count above and its label below."""
    most = max(*counts, 1)
    step = (_WIDTH - _LEFT - _RIGHT) / len(counts)
    floor = _HEIGHT - _BOTTOM
    drawn = ""
    for i, (label, count) in enumerate(zip(labels, counts, strict=True)):
        height = (floor - _TOP) * count / most
        middle = _LEFT + (i + 0.5) * step
        said = f"{escape(label)}: {count:,}"
        drawn += (
            f'<rect class="bar" x="{middle - 0.38 * step:.1f}" y="{floor - height:.1f}"'
            f' width="{0.76 * step:.1f}" height="{height:.1f}"><title>{said}</title></rect>'
            f'<text x="{middle:.1f}" y="{floor - height - 4:.1f}" text-anchor="middle">'
            f"{_short(count)}</text>"
            f'<text x="{middle:.1f}" y="{floor + 14}" text-anchor="middle">{escape(label)}</text>'
        )
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        f' role="img" aria-label="{escape(title)}"><line class="grid" x1="{_LEFT}"'
        f' x2="{_WIDTH - _RIGHT}" y1="{floor}" y2="{floor}"/>{drawn}</svg></figure>'
    )


def _classes(figures: Figures, unit: str) -> str:
    ranked = sorted(figures.classes.items(), key=lambda c: (-c[1].objects, c[0]))
    shown = ranked[:_SHOWN]
    charts = ""
    for title, values in (
        (unit, [of.videos for _, of in shown]),
        ("objects", [of.objects for _, of in shown]),
        ("masks", [of.masks for _, of in shown]),
    ):
        charts += f"<div>{_lying(title, [label for label, _ in shown], values)}</div>"
    more = len(ranked) - len(shown)
    rest = f"<p>{more} more classes are in the JSON.</p>" if more else ""
    return f"<div class='charts'>{charts}</div>{rest}"


def _lying(title: str, labels: Sequence[str], counts: Sequence[int]) -> str:
    most = max([*counts, 1])
    height = _ROW * max(len(counts), 1) + 4
    drawn = ""
    for i, (label, count) in enumerate(zip(labels, counts, strict=True)):
        y = 2 + i * _ROW
        width = (_WIDTH - _NAMES - 56) * count / most
        drawn += (
            f'<text x="{_NAMES - 6}" y="{y + 12}" text-anchor="end">{escape(label)}</text>'
            f'<rect class="bar" x="{_NAMES}" y="{y + 2}" width="{width:.1f}"'
            f' height="{_ROW - 5}"/><text x="{_NAMES + width + 5:.1f}" y="{y + 12}">{count:,}'
            "</text>"
        )
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 {_WIDTH} {height}"'
        f' role="img" aria-label="{escape(title)} of each class">{drawn}</svg></figure>'
    )


def _short(count: int) -> str:
    if count < 10_000:
        return f"{count:,}"
    return f"{count / 1000:.0f}k" if count < 1_000_000 else f"{count / 1e6:.1f}M"
