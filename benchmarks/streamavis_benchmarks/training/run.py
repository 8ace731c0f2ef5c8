"""`streamavis bench training`: what is not done yet, then the report from the records alone."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streamavis_apps.exits import ExitCode, stop_on_signals
from streamavis_apps.figures import write
from streamavis_apps.terminal import Terminal
from streamavis_apps.train.run_folder import command_line

from streamavis.errors import InputError, OutputError
from streamavis_benchmarks.training.plan import STUDIES, Run, chosen, runs_of
from streamavis_benchmarks.training.record import read_all
from streamavis_benchmarks.training.report import document, markdown
from streamavis_benchmarks.training.work import Short, Worker

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console
    from streamavis_apps.exits import Stop

    from streamavis_benchmarks.training.record import Record

__all__ = ["StudyPlan", "run"]


@dataclass(frozen=True)
class StudyPlan:
    """What to run, and where everything goes."""

    out: Path  # a folder of runs
    short: Short | None  # None: nothing is run, the report is made from what is there
    only: list[str] = field(default_factory=list)  # names of studies
    seeds: int = 3
    minutes: float | None = None  # after which no further run begins
    report: Path | None = None
    json: Path | None = None


def run(plan: StudyPlan, *, console: Console | None = None) -> ExitCode:
    """Do what is not done, then print the report and write the files; not where it is stopped.

    Raises:
        StreamAVISError: a run failed, or a file cannot be read or written.
    """
    console = console or Terminal()
    studies = chosen(plan.only)
    if plan.short is not None:
        _check(plan.short)
        with stop_on_signals() as stop:
            stopped = _do_all(plan, runs_of(studies, plan.seeds), plan.short, stop, console)
        if stopped is not None:
            return stopped
    records = _records(plan)
    text = markdown(records, command_line())
    if plan.report is None:
        console.print(text, markup=False, soft_wrap=True)
    else:
        try:
            plan.report.write_text(text, encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{plan.report}: cannot be written: {error.strerror}") from error
        console.print(f"report   {plan.report}", markup=False, soft_wrap=True)
    write(console, plan.json, document(records, command_line()))
    return ExitCode.DONE


def _check(short: Short) -> None:
    for path in (short.train, short.val):
        if not path.is_dir():
            raise InputError(
                f"{path} is no folder; write the clips first: streamavis compose --data MATERIAL "
                f"--out {path} ..."
            )


def _do_all(
    plan: StudyPlan, runs: list[Run], short: Short, stop: Stop, console: Console
) -> ExitCode | None:
    """Do one run after the other; the exit code if a signal ended it."""
    worker = Worker(plan.out, short, stop)
    todo = [one for one in runs if not worker.done(one)]
    _say(console, f"{len(runs)} runs, {len(runs) - len(todo)} done before")
    began = time.monotonic()
    for number, one in enumerate(todo):
        gone = (time.monotonic() - began) / 60
        if plan.minutes is not None and gone > plan.minutes:
            _say(console, f"{plan.minutes:g} minutes are over: {len(todo) - number} runs are left")
            return None
        left = f", about {gone / number * (len(todo) - number):.0f} min left" if number else ""
        _say(console, f"{number + 1} of {len(todo)}: {one.name}{left}")
        if not worker.do(one, lambda line: _say(console, f"  {line}")):
            _say(console, "stopped; the same command goes on where it stands")
            return stop.exit_code
    return None


def _records(plan: StudyPlan) -> list[Record]:
    order = {v.name: place for place, v in enumerate(v for s in STUDIES for v in s.variants)}
    folders = sorted(path for path in plan.out.glob("*-seed*") if path.is_dir())
    found = [record for record in read_all(folders) if record.variant in order]
    return sorted(found, key=lambda record: (order[record.variant], record.seed))


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, soft_wrap=True)
