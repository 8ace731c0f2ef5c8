"""The page behind `--help`: made from our own declarations, readable at 60 columns and at 200."""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from dataclasses import dataclass
from enum import Enum
from io import StringIO
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperCommand, TyperGroup
from typer.models import ArgumentInfo, OptionInfo, ParameterInfo

from streamavis_apps.exits import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["HelpCommand", "HelpGroup", "HelpRow", "page", "rows_of"]

_WIDEST = 100
_LEFT = 26  # of the descriptions, where they stand beside the names
_TWO_COLUMNS = 80  # narrower, they stand below
_INDENT = 2
_LARGEST_NUMBER = 1e9  # 32 years in seconds; no wait can be longer than 292 years
_LARGEST_WHOLE = 2**63 - 1  # of a seed
_COMMENT = re.compile(r"\s*\[dim\](.*?)\[/\]\s*$")
_PLAIN_NAMES = {int: "N", float: "NUMBER", str: "TEXT"}


@dataclass(frozen=True)
class HelpRow:
    """One option, argument or command."""

    name: str  # with what it takes: "--seconds NUMBER"
    text: str
    panel: str = "Options"


class HelpCommand(TyperCommand):
    """A command whose help is `page`, and whose numbers are of a size that something can hold."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse infinity, and what no clock or random generator takes, where a range is open."""
        rest: list[str] = super().parse_args(ctx, args)
        params: list[Any] = list(self.params)
        for param in params:
            value = ctx.params.get(param.name)
            if getattr(param, "min", None) is None or not isinstance(value, int | float):
                continue
            largest = _LARGEST_NUMBER if isinstance(value, float) else _LARGEST_WHOLE
            if not abs(value) <= largest:
                raise typer.BadParameter(
                    f"{value:g} is too large; at most {largest:g}.", ctx=ctx, param=param
                )
        return rest

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the page."""
        formatter.write(_rendered(self, ctx))


class HelpGroup(TyperGroup):
    """A group of commands whose help is `page`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Without a command: show the help, as what is wrong with the command line."""
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help(), err=True)
            raise typer.Exit(ExitCode.USAGE)
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the page."""
        formatter.write(_rendered(self, ctx))


def page(command: Any, usage: str, width: int) -> Text:
    """Everything there is to say about a command, in lines of `width` columns.

    Args:
        command: of typer; its callback's annotations say what it takes.
        usage: the line that shows how it is called.
        width: of the terminal, at least 40.
    """
    first, *more = textwrap.wrap(f"Usage: {usage}", width, subsequent_indent=" " * _INDENT)
    lines = [Text.assemble(("Usage:", "bold"), first.removeprefix("Usage:"))]
    lines += [*map(Text, more), Text()]
    lines += _prose(command.help or "", width)
    for panel, rows in _panels(command).items():
        lines += [Text(), Text(panel, "bold")]
        # Names of commands are short.
        left = max(len(row.name) for row in rows) + 4 if panel == "Commands" else _LEFT
        for row in rows:
            lines += _row(row, width, left if panel == "Commands" or width >= _TWO_COLUMNS else 0)
    if command.epilog:
        lines += [Text(), *_prose(command.epilog, width)]
    return Text("\n").join(lines)


def rows_of(callback: Callable[..., Any] | None) -> Iterator[HelpRow]:
    """What a command takes, as its signature declares it; hidden options are left out."""
    if callback is None:
        return
    function = inspect.unwrap(callback)
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        kind, *extras = get_args(hints[name])
        info = next((extra for extra in extras if isinstance(extra, ParameterInfo)), None)
        if info is None or info.hidden:
            continue
        kind, many = _bare(kind)
        notes = [*_notes(info, parameter.default, kind, many=many)]
        text = " ".join([info.help or "", *(f"[{note}]" for note in notes)]).strip()
        takes = "" if kind is bool else _takes(info, kind)
        if isinstance(info, ArgumentInfo):
            yield HelpRow(takes, text, "Arguments")
        else:
            assert isinstance(info, OptionInfo), "typer has two kinds"
            # In an annotation typer takes the first spelling for a default.
            given = [info.default, *(info.param_decls or ())]
            spellings = [one for one in given if isinstance(one, str) and one.startswith("-")]
            spelled = " ".join(spellings or [f"--{name.replace('_', '-')}"])
            yield HelpRow(f"{spelled} {takes}".strip(), text, info.rich_help_panel or "Options")


def _rendered(command: Any, ctx: Any) -> str:
    pieces = [row.name for row in rows_of(command.callback) if row.panel == "Arguments"]
    pieces += ["COMMAND ..."] if hasattr(command, "commands") else []
    usage = " ".join([ctx.command_path, "[OPTIONS]", *pieces])
    console = Console(file=StringIO(), force_terminal=sys.stdout.isatty())
    width = max(40, min(console.width, _WIDEST))
    console.print(page(command, usage, width), soft_wrap=True, highlight=False)
    assert isinstance(console.file, StringIO), "just made"
    return console.file.getvalue()


def _panels(command: Any) -> dict[str, list[HelpRow]]:
    """Rows by the heading they stand under, in order."""
    panels: dict[str, list[HelpRow]] = {"Arguments": [], "Options": []}
    for row in rows_of(command.callback):
        panels.setdefault(row.panel, []).append(row)
    names = {name for param in command.params for name in param.opts}
    if "--install-completion" in names:
        text = "Let this shell complete commands and options; --show-completion prints how."
        panels["Options"].append(HelpRow("--install-completion", text))
    panels["Options"].append(HelpRow("-h, --help", "Show this and exit."))
    commands = getattr(command, "commands", {})
    panels["Commands"] = [
        HelpRow(name, re.split(r"\n\s*\n", sub.help or "")[0]) for name, sub in commands.items()
    ]
    return {panel: rows for panel, rows in panels.items() if rows}


def _bare(kind: Any) -> tuple[Any, bool]:
    """A type without `| None` and without its list, and whether there was a list."""
    kinds = [one for one in get_args(kind) if one is not type(None)]
    if get_origin(kind) is list:
        return kinds[0], True
    return _bare(kinds[0]) if kinds else (kind, False)


def _takes(info: ParameterInfo, kind: Any) -> str:
    if info.metavar:
        return info.metavar
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(member.value) for member in kind)
    return _PLAIN_NAMES.get(kind, "FILE")


def _notes(info: ParameterInfo, default: Any, kind: Any, *, many: bool) -> Iterator[str]:
    """Range, default and the like, each of a few words."""
    least, most = info.min, info.max
    if least is not None and most is not None:
        yield f"{least:g} to {most:g}"
    elif least is not None:
        yield f"at least {least:g}"
    if many:
        yield "may be repeated"
    if default is inspect.Parameter.empty:
        yield "required"
    elif isinstance(info.show_default, str):
        yield f"default: {info.show_default}"
    elif default is not None and kind is not bool:
        value = default.value if isinstance(default, Enum) else default
        yield f"default: {f'{value:g}' if isinstance(value, float) else value}"
    if info.envvar and info.show_envvar:
        yield f"or in {info.envvar}"


def _prose(text: str, width: int) -> Iterator[Text]:
    """Paragraphs, flowed; what is indented keeps its lines."""
    for number, paragraph in enumerate(re.split(r"\n\s*\n", inspect.cleandoc(text))):
        if number:
            yield Text()
        flowing: list[str] = []
        for line in paragraph.splitlines():
            if not line.startswith(" "):
                flowing.append(line)
                continue
            yield from _wrapped(" ".join(flowing), 0, width) if flowing else ()
            flowing = []
            yield from _example(line, width)
        yield from _wrapped(" ".join(flowing), 0, width) if flowing else ()


def _example(line: str, width: int) -> Iterator[Text]:
    """A line to copy; where it is too long it goes on with a backslash, as a shell reads it."""
    whole = Text.from_markup(line)
    if len(whole.plain) <= width:
        yield whole
        return
    match = _COMMENT.search(line)
    command = _COMMENT.sub("", line).strip()
    if not command.startswith("streamavis "):
        hang = len(line) - len(line.lstrip())
        hang += len(line.strip()) - len(re.sub(r"^\d+\s+", "", line.strip()))  # "1    failed"
        first, *rest = _wrapped(line.strip(), 0, width - hang)
        yield Text(" " * _INDENT) + first
        yield from (Text(" " * hang) + one for one in rest)
        return
    if match:
        yield Text(f"{' ' * _INDENT}# {match[1]}", "dim")
    current = " " * _INDENT
    for word in re.findall(r"--\S+ (?!-)\S+|'[^']*'|\S+", command):
        if len(current) + len(word) + 3 > width and current.strip():
            yield Text(f"{current} \\")
            current = " " * (3 * _INDENT)
        current += word if not current.strip() else f" {word}"
    yield Text(current)


def _row(row: HelpRow, width: int, left: int) -> Iterator[Text]:
    """Name and text, which begins `left` columns in; 0: on the lines below the name."""
    name = Text(" " * _INDENT + row.name, "cyan")
    lines = list(_wrapped(row.text, left or 3 * _INDENT, width, markup=False))
    if lines and len(name.plain) + 2 <= left:
        yield name + lines[0].plain[len(name.plain) :]
        lines = lines[1:]
    else:
        yield name
    yield from lines


def _wrapped(text: str, left: int, width: int, *, markup: bool = True) -> Iterator[Text]:
    whole = Text.from_markup(text) if markup else Text(text)
    console = Console(file=StringIO(), width=width)
    lines: Iterable[Text] = whole.wrap(console, width - left) if text else ()
    for line in lines:
        line.rstrip()
        yield Text(" " * left) + line
