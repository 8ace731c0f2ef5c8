"""The goals for a model of the real world, and what was measured beside them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamavis_benchmarks.real.labels import GROUPS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Extra", "Line", "class_table", "lines"]

_VERDICTS = {True: "met", False: "missed", None: "-"}
_LEAST_PICTURES = {
    "person": 0.75,
    "dog, cat, bird": 0.60,
    "car, bus, truck, motorcycle": 0.50,
}


@dataclass(frozen=True)
class Line:
    """One goal."""

    what: str
    goal: str
    value: str
    met: bool | None  # None: nothing was measured, or there is no goal
    figure: float  # NaN where nothing was measured

    @property
    def verdict(self) -> str:
        return _VERDICTS[self.met]


@dataclass(frozen=True)
class Extra:
    """What is not a count."""

    own: dict[str, float]  # corrected scores on composed clips; {} where not measured
    no_audio: dict[str, float]  # of the model without sound
    step: dict[str, float]  # of `speed.step_ms`
    threads: int


def lines(counts: Mapping[str, float], extra: Extra) -> list[Line]:
    """Every row of the table, measured or not."""
    return [
        *_recordings(counts),
        *_pictures(counts),
        *_composed(counts),
        *_other_sounds(counts),
        *_scores(extra),
        _endless(counts),
        _speed(extra),
    ]


def class_table(counts: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Per class of the model: objects, found, reported and right on whole pictures."""
    names = ("objects", "found", "reported", "reported right")
    classes: dict[str, dict[str, float]] = {}
    for key, value in counts.items():
        row, _, name = key.partition("/")
        if row.startswith("class, "):
            entry = classes.setdefault(row.removeprefix("class, "), dict.fromkeys(names, 0))
            entry[name] = value
    return dict(sorted(classes.items(), key=lambda one: -one[1]["objects"]))


def _recordings(counts: Mapping[str, float]) -> list[Line]:
    return [
        _least(counts, "talking heads: persons found", "talking", "found", "objects", 0.95),
        _least(counts, "talking heads: sounding right", "talking", "right", "known", 0.90),
        _least(counts, "all persons of 3 % or more: found", "people", "found", "objects", 0.75),
    ]


def _pictures(counts: Mapping[str, float]) -> list[Line]:
    found = []
    for group in GROUPS:
        what = f"pictures, recall: {group}"
        row = f"pictures, {group}"
        found.append(_least(counts, what, row, "found", "objects", _LEAST_PICTURES[group]))
        if group == "person":
            what, row = "pictures, recall: two persons or more", "pictures, two persons"
            found.append(_least(counts, what, row, "found", "objects", 0.60))
    what = "pictures, precision of reports"
    return [*found, _least(counts, what, "pictures", "reported right", "reported", 0.70)]


def _composed(counts: Mapping[str, float]) -> list[Line]:
    own, plain = "composed, own", "composed, own, no pairs"
    pairs = _least(
        counts, "composed, pairs: the right one louder", own, "pairs_right", "pairs", None
    )
    return [
        _least(counts, "composed: visible IoU", own, "visible_iou", "visible_objects", 0.60),
        _least(counts, "composed: class right", own, "visible_right", "visible_hits", 0.85),
        _least(counts, "composed: sounding, precision", plain, "hits", "detections", 0.65),
        _least(counts, "composed: sounding, recall", plain, "hits", "sounding_objects", 0.60),
        pairs,
    ]


def _other_sounds(counts: Mapping[str, float]) -> list[Line]:
    own = _share(counts, "composed, own", "hits", "detections")
    swapped = _share(counts, "composed, swapped", "hits", "detections")
    met = None if math.isnan(own) or math.isnan(swapped) else swapped <= own / 2
    text = "-" if math.isnan(swapped) else f"{swapped:.3f}, own {own:.3f}"
    if math.isnan(swapped) and counts.get("composed, swapped/frames"):
        met, text = True, "nothing sounds"
    found = [Line("another clip's sound: precision", "at most half of own", text, met, swapped)]
    for what, rows, most in (
        ("silence: frames with a sounding track", ("silence",), 0.005),
        ("noise: frames with a sounding track", ("noise",), 0.02),
        (
            "narrator or music off screen: the same",
            ("narrator", "music", "off screen"),
            0.10,
        ),
    ):
        names = [f"composed, {row}" for row in rows]
        frames = sum(counts.get(f"{name}/frames", 0) for name in names)
        alarms = sum(counts.get(f"{name}/alarm_frames", 0) for name in names)
        share = alarms / frames if frames else math.nan
        found.append(_most(what, share, most, frames))
    frames = counts.get("silent clips/frames", 0)
    quiet = 1 - counts.get("silent clips/alarms", 0) / frames if frames else math.nan
    met = None if math.isnan(quiet) else quiet >= 0.99
    text = "-" if math.isnan(quiet) else f"{quiet:.3f} of {frames:.0f}"
    what = "real clips, silence: frames kept quiet"
    return [*found, Line(what, ">= 0.99", text, met, quiet)]


def _scores(extra: Extra) -> list[Line]:
    fsla, hota = extra.own.get("FSLA", math.nan), extra.own.get("HOTA", math.nan)
    no_audio = extra.no_audio.get("HOTA", math.nan)
    ratio = hota / no_audio if no_audio > 0 else math.nan
    beside = f", without sound {extra.no_audio.get('FSLA', math.nan):.2f}" if extra.no_audio else ""
    text = "-" if math.isnan(fsla) else f"{fsla:.2f}{beside}"
    first = Line("composed, corrected FSLA", ">= 40", text, _known(fsla, fsla >= 40), fsla)
    text = "-" if math.isnan(hota) else f"{hota:.2f}, without sound {no_audio:.2f}, {ratio:.2f}x"
    met = _known(ratio, ratio >= 1.5)
    return [
        first,
        Line("composed, corrected HOTA", ">= 1.5x the model without sound", text, met, hota),
    ]


def _endless(counts: Mapping[str, float]) -> Line:
    pairs = (("visible_iou", "visible_objects"), ("sounding_iou", "sounding_objects"))
    worst, texts = math.nan, []
    for part, whole in pairs:
        rows = ("endless, first", "endless, last")
        first, last = (100 * _share(counts, row, part, whole) for row in rows)
        if not math.isnan(first) and not math.isnan(last):
            worst = max(abs(last - first), 0 if math.isnan(worst) else worst)
            texts.append(f"{part.partition('_')[0]} {first:.1f} to {last:.1f}")
    minutes = counts.get("endless/seconds", 0) / 60
    text = f"{worst:.2f} after {minutes:.0f} min ({'; '.join(texts)})" if texts else "-"
    met = _known(worst, worst <= 0.5)
    what = "endless: last minute against first, IoU"
    return Line(what, "within 0.5 points", text, met, worst)


def _speed(extra: Extra) -> Line:
    p50 = extra.step.get("p50_ms", math.nan)
    text = "-" if math.isnan(p50) else f"{p50:.1f} ms, p95 {extra.step['p95_ms']:.1f}"
    what = f"step, 640x360 in, {extra.threads} threads, p50"
    return Line(what, "<= 50 ms", text, _known(p50, p50 <= 50), p50)


def _share(counts: Mapping[str, float], row: str, part: str, whole: str) -> float:
    total = counts.get(f"{row}/{whole}", 0)
    return counts.get(f"{row}/{part}", 0) / total if total else math.nan


def _least(
    counts: Mapping[str, float], what: str, row: str, part: str, whole: str, least: float | None
) -> Line:
    share = _share(counts, row, part, whole)
    text = "-" if math.isnan(share) else f"{share:.3f} of {counts[f'{row}/{whole}']:.0f}"
    if least is None:
        return Line(what, "report", text, None, share)
    return Line(what, f">= {least:g}", text, _known(share, share >= least), share)


def _most(what: str, share: float, most: float, frames: float) -> Line:
    text = "-" if math.isnan(share) else f"{share:.3f} of {frames:.0f}"
    return Line(what, f"<= {most:g}", text, _known(share, share <= most), share)


def _known(value: float, met: bool) -> bool | None:
    return None if math.isnan(value) else met
