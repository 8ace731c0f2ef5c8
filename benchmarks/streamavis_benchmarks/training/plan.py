"""Which runs there are: name, recipe, settings, seed. Every run is one `streamavis train`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from streamavis.errors import ArgumentError

__all__ = ["MAIN", "STUDIES", "TEACHER", "Run", "Study", "Variant", "chosen", "runs_of"]

Kind = Literal["teacher", "student", "untrained"]


@dataclass(frozen=True)
class Variant:
    """One row of a table: one run, or one for each seed."""

    name: str
    title: str
    kind: Kind
    settings: tuple[str, ...] = ()  # as `--set` takes them, besides the short recipe's


@dataclass(frozen=True)
class Study:
    """One table."""

    name: str  # of `--only`
    title: str
    variants: tuple[Variant, ...]
    # A row of the first study that belongs in this table too: what the variants differ from.
    base: str = ""
    remark: str = ""


@dataclass(frozen=True)
class Run:
    """One training run, and how its weights are predicted with."""

    study: str
    variant: str
    title: str
    kind: Kind
    settings: tuple[str, ...]
    seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.variant}-seed{self.seed}"


_NO_TEACHER = tuple(
    f"distill.teacher.{term}=0" for term in ("class_", "bce", "dice", "query", "sounding")
)
_NO_FULL = (
    "distill.full=0",
    *(f"distill.own.{term}=0" for term in ("class_", "bce", "dice", "sounding")),
)
TEACHER = "teacher"
MAIN = Study(
    "main",
    "Teacher, and what of it is left when it is causal",
    (
        Variant(TEACHER, "teacher, offline", "teacher"),
        Variant("teacher-causal", "teacher's weights, causal, untrained", "untrained"),
        Variant(
            "undistilled",
            "student, truth alone",
            "student",
            ("start=scratch", "trainer.rate=1e-3", *_NO_TEACHER, *_NO_FULL),
        ),
        Variant("distilled", "student, distilled", "student"),
        Variant(
            "no-audio", "student, distilled, without sound", "student", ("network.audio=none",)
        ),
    ),
)


def _students(*rows: tuple[str, str, tuple[str, ...]]) -> tuple[Variant, ...]:
    return tuple(Variant(name, title, "student", settings) for name, title, settings in rows)


def _teachers(*rows: tuple[str, str, tuple[str, ...]]) -> tuple[Variant, ...]:
    return tuple(Variant(name, title, "teacher", settings) for name, title, settings in rows)


STUDIES = (
    MAIN,
    Study(
        "ablation-start",
        "Parts of distillation",
        _students(
            ("weights-alone", "teacher's weights, truth alone", (*_NO_TEACHER, *_NO_FULL)),
            (
                "guidance-alone",
                "from scratch, guided by the teacher",
                ("start=scratch", "trainer.rate=1e-3"),
            ),
            ("causal-alone", "distilled, later frames never in view", _NO_FULL),
        ),
        base="distilled",
        remark="Later frames are in view from the next remembered frame on, a second later. Parts "
        "of 0.6 s never have one.",
    ),
    Study(
        "ablation-rate",
        "Learning rate of the student (distilled: 3e-4)",
        _students(
            ("rate-high", "1e-3", ("trainer.rate=1e-3",)),
            ("rate-low", "1e-4", ("trainer.rate=1e-4",)),
        ),
        base="distilled",
    ),
    Study(
        "ablation-steps",
        "How long the student is trained",
        _students(("steps-480", "480 steps", ("trainer.steps=480",))),
        base="distilled",
    ),
    Study(
        "ablation-sinks",
        "Sinks S (distilled: 4) and pinned first frame",
        _students(
            ("sinks-0", "S = 0", ("network.sinks=0",)),
            ("sinks-1", "S = 1", ("network.sinks=1",)),
            ("sinks-4-pinned", "S = 4, first frame pinned", ("network.pin_first=1",)),
        ),
        base="distilled",
        remark="Clips that are shorter than the window never drop a frame from memory.",
    ),
    Study(
        "ablation-window",
        "Window W of remembered frames (distilled: 6)",
        _students(
            ("window-3", "W = 3", ("network.window=3",)),
            ("window-12", "W = 12", ("network.window=12",)),
        ),
        base="distilled",
        remark="One frame a second is remembered: clips of 5 s fill five places.",
    ),
    Study(
        "ablation-gate",
        "What a frame's slots start from (distilled: a learned gate)",
        _students(
            ("slots-previous", "the previous slots", ("network.slot_start=previous",)),
            ("slots-learned", "learned queries", ("network.slot_start=learned",)),
        ),
        base="distilled",
    ),
    Study(
        "ablation-fusion",
        "How sound enters (distilled: deformable, and between frames)",
        _students(
            ("fusion-dense", "dense", ("network.fusion=dense",)),
            ("fusion-frame-off", "FL-AVFM off", ("network.fusion=none",)),
            ("fusion-video-off", "VL-AVFM off", ("network.audio_layers=0",)),
        ),
        base="distilled",
    ),
    Study(
        "ablation-similarity",
        "Weight of the teacher's similarity loss (teacher: 0.5)",
        _teachers(
            ("similarity-0", "0", ("losses.similarity=0.0",)),
            ("similarity-0.1", "0.1", ("losses.similarity=0.1",)),
            ("similarity-1", "1", ("losses.similarity=1.0",)),
        ),
        base=TEACHER,
    ),
)


def chosen(names: list[str]) -> list[Study]:
    """Studies by name; none named: the first.

    Raises:
        ArgumentError: there is no such study.
    """
    known = {study.name: study for study in STUDIES}
    for name in names:
        if name not in known:
            raise ArgumentError(f"there is no study {name!r}; expected one of: {', '.join(known)}")
    return [known[name] for name in names] or [MAIN]


def runs_of(studies: list[Study], seeds: int) -> list[Run]:
    """What has to be run, in order: the teacher first, then every row seed by seed.

    The first study's teacher, its causal form and all teachers of ablations have seed 0 alone.
    """
    found: dict[str, Run] = {}

    def add(study: Study, variant: Variant, seed: int) -> None:
        run = Run(study.name, variant.name, variant.title, variant.kind, variant.settings, seed)
        found.setdefault(run.name, run)

    add(MAIN, MAIN.variants[0], 0)
    for study in studies:
        for variant in study.variants:
            if variant.kind != "student":
                add(study, variant, 0)
    for seed in range(seeds):
        for study in studies:
            needed = [v for v in MAIN.variants if v.name == study.base and v.kind == "student"]
            for variant in (*needed, *study.variants):
                if variant.kind == "student":
                    add(MAIN if variant in needed else study, variant, seed)
    return list(found.values())
