"""How streams are doing, in Prometheus' text format and as plain values for JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from streamavis.status import EngineReport

__all__ = ["as_json", "as_text"]

_QUANTILES = (("0.5", "p50_ms"), ("0.95", "p95_ms"), ("0.99", "p99_ms"), ("1", "max_ms"))
_HELP = {
    "streamavis_frames_captured_total": ("counter", "Frames the source gave."),
    "streamavis_frames_processed_total": ("counter", "Frames with a result."),
    "streamavis_frames_dropped_total": ("counter", "Frames without a result, by cause."),
    "streamavis_sink_dropped_total": ("counter", "Results a sink was too slow for."),
    "streamavis_sink_failed": ("gauge", "1 for a sink that failed and is closed."),
    "streamavis_stage_seconds": ("summary", "Latency of each stage since the start."),
    "streamavis_input_state": ("gauge", "1 for the state a camera or microphone is in."),
    "streamavis_video_state": ("gauge", "1 for the state of the picture."),
    "streamavis_audio_state": ("gauge", "1 for the state of the sound."),
    "streamavis_model_failed": ("gauge", "1 while the model is given up."),
    "streamavis_degraded_steps": ("gauge", "How many steps are given up to keep up."),
    "streamavis_worker_seconds": ("gauge", "How long a thread has been at what it does."),
}


def as_json(reports: Mapping[str, EngineReport]) -> dict[str, Any]:
    """Everything the reports say, by stream, as plain values."""
    return {"streams": {stream: asdict(report) for stream, report in reports.items()}}


def as_text(reports: Mapping[str, EngineReport]) -> str:
    """The reports in Prometheus' text exposition format 0.0.4."""
    lines: dict[str, list[str]] = {name: [] for name in _HELP}
    for stream, report in reports.items():
        for name, labels, value in _samples(report):
            family = name.removesuffix("_count").removesuffix("_sum")
            pairs = {"stream": stream, **labels}
            text = ",".join(f'{key}="{_escaped(pairs[key])}"' for key in pairs)
            lines[family if family in lines else name].append(f"{name}{{{text}}} {value:.9g}")
    out = []
    for name, (kind, meaning) in _HELP.items():
        if lines[name]:
            out += [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}", *lines[name]]
    return "\n".join([*out, ""])


def _samples(report: EngineReport) -> Iterator[tuple[str, dict[str, str], float]]:
    yield "streamavis_frames_captured_total", {}, report.captured
    yield "streamavis_frames_processed_total", {}, report.processed
    yield from _each("streamavis_frames_dropped_total", "cause", report.dropped.items())
    yield from _each("streamavis_sink_dropped_total", "sink", report.sink_dropped.items())
    yield from _each("streamavis_sink_failed", "sink", ((s, 1.0) for s in report.sink_failures))
    for stage, times in report.stages.items():
        name = "streamavis_stage_seconds"
        for quantile, key in _QUANTILES:
            labels = {"stage": stage, "quantile": quantile}
            yield name, labels, times[key] / 1e3  # type: ignore[literal-required]
        yield f"{name}_sum", {"stage": stage}, times["mean_ms"] * times["count"] / 1e3
        yield f"{name}_count", {"stage": stage}, times["count"]
    for known in report.inputs:
        labels = {"input": known.source, "modality": known.modality, "state": known.state}
        yield "streamavis_input_state", labels, 1
    for name, state in (("video", report.video), ("audio", report.audio)):
        if state is not None:
            yield f"streamavis_{name}_state", {"state": state}, 1
    yield "streamavis_model_failed", {}, report.model == "failed"
    yield "streamavis_degraded_steps", {}, len(report.degraded)
    for worker, pulse in report.workers.items():
        yield "streamavis_worker_seconds", {"worker": worker, "doing": pulse.doing}, pulse.for_s


def _each(
    name: str, label: str, values: Iterable[tuple[str, float]]
) -> Iterator[tuple[str, dict[str, str], float]]:
    for key, value in values:
        yield name, {label: key}, value


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
