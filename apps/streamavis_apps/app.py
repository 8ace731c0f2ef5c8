"""The command tree of `streamavis`: global options, error reports, subcommands.

Modules under `commands/` import typer and nothing heavier, so that help and completion are
instant; each command imports its program when it runs.
"""

from __future__ import annotations

import importlib.metadata
import traceback
from typing import Annotated, Any

import typer

from streamavis.redaction import redacted
from streamavis_apps.commands import (
    bench,
    bridge,
    calibrate,
    compose,
    convert,
    data,
    demo,
    devices,
    doctor,
    follow,
    inspect,
    keys,
    live,
    play,
    predict,
    record,
    replay,
    reproduce,
    segment,
    synth,
    train,
    view,
)
from streamavis_apps.commands import eval as evaluate
from streamavis_apps.exits import describe, exit_code_of
from streamavis_apps.help_page import HelpCommand, HelpGroup

__all__ = ["Commands", "app"]

_EPILOG = """\
[bold]Start here[/]
  streamavis demo                               [dim]the whole path at work[/]
  streamavis replay clip.mp4 --record out.mp4   [dim]your clip, annotated[/]
  streamavis live --view window                 [dim]your camera and microphone[/]
  streamavis replay clip.mp4 --publish tcp://127.0.0.1:5555
  streamavis view tcp://127.0.0.1:5555          [dim]in a second terminal[/]
  streamavis doctor                             [dim]what is missing, and its cure[/]

[bold]Exit codes[/]
  0    done; also after SIGTERM, with every output closed
  1    failed: one line on stderr says what and why
  2    the command line is wrong
  3    the input broke off; what could be decoded is in the outputs
  130  interrupted by Ctrl-C, with every output closed
  143  training ended by SIGTERM, with a checkpoint
"""


_USAGE_ERROR: Any = typer.BadParameter.__bases__[0]  # of every wrong command line


class Commands(HelpGroup):
    """Subcommands whose expected errors end in one line on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand; see `exits.describe` for the errors it reports."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # typer ends quietly when `| head` has seen enough
        except (Exception, KeyboardInterrupt) as error:
            line = describe(error)
            if line is None:
                if isinstance(error, _USAGE_ERROR):  # quotes what was given
                    error.message = redacted(error.message)
                raise
            if ctx.params["debug"]:
                typer.echo(redacted(traceback.format_exc()), err=True, nl=False)
            typer.echo(f"streamavis: error: {line}", err=True)
            raise typer.Exit(exit_code_of(error)) from error


app = typer.Typer(
    cls=Commands,
    epilog=_EPILOG,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"streamavis {importlib.metadata.version('streamavis')}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback behind an error.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Live audio-visual instance segmentation: objects in view, which of them sound, and where."""


app.command("demo", cls=HelpCommand)(demo.command)
app.command("replay", cls=HelpCommand)(replay.command)
app.command("live", cls=HelpCommand)(live.command)
app.command("view", cls=HelpCommand)(view.command)
app.command("follow", cls=HelpCommand)(follow.command)
app.command("record", cls=HelpCommand)(record.command)
app.command("play", cls=HelpCommand)(play.command)
app.command("bridge", cls=HelpCommand)(bridge.command)
app.command("devices", cls=HelpCommand)(devices.command)
app.command("calibrate", cls=HelpCommand)(calibrate.command)
app.command("synth", cls=HelpCommand)(synth.command)
app.command("compose", cls=HelpCommand)(compose.command)
app.command("train", cls=HelpCommand)(train.command)
app.command("eval", cls=HelpCommand)(evaluate.command)
app.command("predict", cls=HelpCommand)(predict.command)
app.command("reproduce", cls=HelpCommand)(reproduce.command)
app.command("convert", cls=HelpCommand)(convert.command)
app.command("segment", cls=HelpCommand)(segment.command)
app.command("inspect", cls=HelpCommand)(inspect.command)
app.command("doctor", cls=HelpCommand)(doctor.command)
app.add_typer(data.app, name="data")
app.add_typer(keys.app, name="keys")
app.add_typer(bench.app, name="bench")
