"""The page's sections, filled into `page.html`."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

import numpy as np

from streamavis.metrics import SUMMARY
from streamavis_apps.report.pieces import bars, curves, heat_map, legend, short_names, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streamavis.metrics import Evaluation, FileScores, GroundTruth
    from streamavis_apps.report.frames import Shot

__all__ = ["page"]

_SHOWN = 24  # videos before the fold
_NOTHING = "nothing"
_EXPLAINED = {
    "FSLA": "frames in which everything that sounds is found and nothing else, mean over IoU",
    "FSLAn": "the same for silent frames",
    "FSLAs": "the same for frames with one source",
    "FSLAm": "the same for frames with several sources",
    "HOTA": "geometric mean of detection and association, mean over IoU and classes",
    "DetA": "detection accuracy",
    "AssA": "association accuracy",
    "DetRe": "detection recall",
    "DetPr": "detection precision",
    "AssRe": "association recall",
    "AssPr": "association precision",
    "LocA": "IoU of what was matched",
    "mAP": "average precision of whole tracks, IoU 0.5 to 0.95",
    "AP_s": "mAP of tracks up to 128 x 128 pixels",
    "AP_m": "mAP of tracks of 128 x 128 to 256 x 256 pixels",
    "AP_l": "mAP of tracks from 256 x 256 pixels on",
    "AR": "recall of whole tracks",
    "hours": "of video",
    "id_switches_per_hour": "an object is found again as another track, after silence or not",
    "fragments_per_hour": "an object that sounds is lost and found again",
    "onset_p50_ms": "from where an object starts to sound to where it is found, median",
    "onset_p95_ms": "the same, of the slowest twentieth",
    "onsets": "starts that were found; what sounds from the first frame on has none",
    "onsets_missed": "starts that were not found before the object fell silent",
    "offset_p50_ms": "from where an object falls silent to where its track does, median",
    "offset_p95_ms": "the same, of the slowest twentieth",
    "offsets": "ends of sound that the track followed",
    "offsets_missed": "tracks that went on until the object sounded again or the video ended",
    "silence_min": "minutes in which nothing sounds",
    "false_sounding_s_per_min": "seconds of each such minute with a sounding track",
}


def page(
    truth: GroundTruth,
    found: Sequence[Evaluation],
    best: FileScores | None,
    shots: Sequence[Shot],
) -> str:
    """The whole page.

    Args:
        truth: what was compared with.
        found: one for each file of predictions, at least one.
        best: the oracle, if requested.
        shots: frames to show, see `worst_frames`.
    """
    names = short_names(found)
    scores = [one.corrected or one.official for one in found]
    charted = [one for one in scores if one is not None]
    frames = sum(len(video.frames) for video in truth.videos)
    objects = sum(len(video.tracks) for video in truth.videos)
    template = Template(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(", ".join(names)),
        truth=escape(truth.source),
        extent=f"{len(truth.videos)} videos, {frames} frames, {objects} tracks",
        protocol=charted[0].protocol if charted else "no",
        summary=_summary(names, found, best),
        legend=legend(names),
        curves=_curves(found),
        streaming=table("", names, _rows([one.streaming for one in found]), _EXPLAINED),
        classes=_classes(scores),
        videos=_videos(scores),
        confusion=_confusions(names, found, {c.id: c.name for c in truth.categories}),
        frames=_shots(shots),
    )


def _summary(names: Sequence[str], found: Sequence[Evaluation], best: FileScores | None) -> str:
    columns, values, errors = [], [], ""
    for name, one in zip(names, found, strict=True):
        for scores in (one.official, one.corrected):
            if scores is not None:
                columns.append(f"{name} {scores.protocol}" if len(names) > 1 else scores.protocol)
                values.append(scores.summary)
        if one.official_error is not None:
            line = f"{name}: no official numbers, {one.official_error}"
            errors += f'<p class="error">{escape(line)}</p>'
    if best is not None:
        columns.append("oracle, official")
        values.append(best.summary)
    rows = {key: [one[key] for one in values] for key in SUMMARY}
    return table("percent", columns, rows, _EXPLAINED) + errors


def _curves(found: Sequence[Evaluation]) -> str:
    charts = ""
    for name in SUMMARY[:4]:
        lines = [
            (number, scores.protocol == "official", scores.curves[name])
            for number, one in enumerate(found)
            for scores in (one.corrected, one.official)
            if scores is not None
        ]
        thresholds = np.arange(1, 20) / 20
        charts += curves(name, thresholds, lines)
    return charts


def _classes(scores: Sequence[FileScores | None]) -> str:
    sections = ""
    for metric in ("HOTA", "AP"):
        rows = _rows(
            [
                {name: values[metric] for name, values in one.classes.items()} if one else {}
                for one in scores
            ]
        )
        best_first = dict(sorted(rows.items(), key=lambda row: -np.nan_to_num(row[1][0], nan=-1)))
        sections += f"<div><h3>{metric}</h3>{bars(best_first)}</div>"
    return sections


def _videos(scores: Sequence[FileScores | None]) -> str:
    rows = _rows([one.videos if one else {} for one in scores])
    worst_first = sorted(rows.items(), key=lambda row: (float(np.nanmean(row[1])), row[0]))
    shown, rest = dict(worst_first[:_SHOWN]), dict(worst_first[_SHOWN:])
    if not rest:
        return bars(shown)
    more = f"<summary>{len(rest)} more</summary>"
    return bars(shown) + f"<details>{more}{bars(rest)}</details>"


def _confusions(
    names: Sequence[str], found: Sequence[Evaluation], labels: Mapping[int, str]
) -> str:
    sections = ""
    for name, one in zip(names, found, strict=True):
        seen = {side for pair in one.confusion for side in pair if side is not None}
        listed = [id_ for id_ in labels if id_ in seen] + sorted(seen - labels.keys())
        sides: list[int | None] = [*listed, None]
        texts = [labels.get(id_, f"class {id_}") for id_ in listed] + [_NOTHING]
        counts = [[one.confusion[row, column] for column in sides] for row in sides]
        heading = f"<h3>{escape(name)}</h3>" if len(names) > 1 else ""
        sections += f"<div>{heading}{heat_map(texts, texts, counts)}</div>"
    return sections


def _shots(shots: Sequence[Shot]) -> str:
    sections = "".join(
        f'<section class="shot"><h3>{escape(shot.caption)}</h3><div class="pictures">'
        + "".join(
            f'<figure><img alt="{escape(label)}" src="{source}">'
            f"<figcaption>{escape(label)}</figcaption></figure>"
            for label, source in shot.pictures
        )
        + "</div></section>"
        for shot in shots
    )
    if not sections:
        return ""
    note = "At most two of a video. Colours and numbers are those of the classes."
    return f'<h2 id="frames">Worst frames</h2><p>{note}</p>{sections}'


def _rows(columns: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Columns turned to rows; NaN where a column does not have the name."""
    names = dict.fromkeys(name for column in columns for name in column)
    return {name: [column.get(name, float("nan")) for column in columns] for name in names}
