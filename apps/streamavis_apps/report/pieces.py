"""HTML and SVG pieces of the page: tables, bars, curves, a heat map. Text is escaped here."""

from __future__ import annotations

import math
from html import escape
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from streamavis.metrics import Evaluation

__all__ = ["bars", "curves", "figure", "heat_map", "legend", "short_names", "table"]

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 300, 210, 34, 8, 8, 26


def figure(value: float) -> str:
    """A number as the tables show it; a dash for NaN."""
    if math.isnan(value):
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.2f}"


def short_names(found: Sequence[Evaluation]) -> list[str]:
    """The files' names, with as many folders as make them unique; else numbers."""
    paths = [PurePath(one.source) for one in found]
    depth = 1
    while depth < max(len(path.parts) for path in paths):
        if len({path.parts[-depth:] for path in paths}) == len(paths):
            break
        depth += 1
    names = [str(PurePath(*path.parts[-depth:])) for path in paths]
    if len(set(names)) == len(names):
        return names
    return [f"{name} ({number})" for number, name in enumerate(names, start=1)]


def legend(names: Sequence[str]) -> str:
    """What colour stands for which file; nothing for a single one."""
    if len(names) < 2:
        return ""
    keys = (f'<span class="key c{i % 6}">{escape(name)}</span>' for i, name in enumerate(names))
    return f'<p class="legend">{"".join(keys)}</p>'


def table(
    heading: str,
    columns: Sequence[str],
    rows: Mapping[str, Sequence[float]],
    explained: Mapping[str, str],
) -> str:
    """Numbers of several files; `explained` says what a row's name means."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(
        f'<tr title="{escape(explained.get(name, ""))}"><th>{escape(name)}</th>'
        + "".join(f"<td>{figure(value)}</td>" for value in values)
        + "</tr>"
        for name, values in rows.items()
    )
    return (
        f'<div class="wide"><table><thead><tr><th>{escape(heading)}</th>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def bars(rows: Mapping[str, Sequence[float]]) -> str:
    """Horizontal bars in percent, one for each file, under the row's name."""
    return "".join(
        f'<div class="row"><span class="name" title="{escape(name)}">{escape(name)}</span>'
        f'<span class="bars">{"".join(_bar(i, value) for i, value in enumerate(values))}</span>'
        "</div>"
        for name, values in rows.items()
    )


def curves(
    title: str,
    thresholds: NDArray[np.float64],
    lines: Sequence[tuple[int, bool, NDArray[np.float64]]],
) -> str:
    """FSLA in percent over the IoU threshold.

    Args:
        title: of the chart.
        thresholds: (19) in 0..1.
        lines: number of the file, whether dashed, and (19) in 0..1; NaN is not drawn.
    """
    grid = "".join(
        f'<line class="grid" x1="{_x(0)}" x2="{_x(1)}" y1="{_y(v)}" y2="{_y(v)}"/>'
        f'<text x="{_LEFT - 5}" y="{_y(v) + 4}" text-anchor="end">{round(100 * v)}</text>'
        for v in (0, 0.25, 0.5, 0.75, 1)
    )
    grid += "".join(
        f'<text x="{_x(v)}" y="{_HEIGHT - 9}" text-anchor="middle">{v:g}</text>'
        for v in (0, 0.25, 0.5, 0.75, 1)
    )
    drawn = ""
    for number, dashed, values in lines:
        if not math.isnan(values[0]):
            points = " ".join(
                f"{_x(x):.1f},{_y(y):.1f}" for x, y in zip(thresholds, values, strict=True)
            )
            style = f"line c{number % 6}{' dashed' if dashed else ''}"
            drawn += f'<polyline class="{style}" points="{points}"/>'
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'role="img" aria-label="{escape(title)} over the IoU threshold">{grid}{drawn}</svg>'
        "</figure>"
    )


def heat_map(rows: Sequence[str], columns: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Counts by row and column, each cell as dark as its share of the row."""
    head = "".join(f'<th class="turned"><span>{escape(name)}</span></th>' for name in columns)
    body = ""
    for name, values in zip(rows, counts, strict=True):
        total = max(1, sum(values))
        cells = ""
        for column, value in zip(columns, values, strict=True):
            kind = "right" if column == name else "wrong"
            said = f"{name} taken for {column}: {value} of {total}"
            cells += (
                f'<td class="{kind}" style="--share:{value / total:.3f}" title="{escape(said)}">'
                f"{value or ''}</td>"
            )
        body += f"<tr><th>{escape(name)}</th>{cells}</tr>"
    return (
        f'<div class="wide"><table class="heat"><thead><tr><th>truth \\ predicted</th>{head}</tr>'
        f"</thead><tbody>{body}</tbody></table></div>"
    )


def _bar(number: int, value: float) -> str:
    width = 0.0 if math.isnan(value) else min(max(value, 0.0), 100.0)
    return (
        f'<span class="track"><span class="bar c{number % 6}" style="width:{width:.2f}%"></span>'
        f'<span class="value">{figure(value)}</span></span>'
    )


def _x(share: float) -> float:
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _y(share: float) -> float:
    return _TOP + (1 - share) * (_HEIGHT - _TOP - _BOTTOM)
