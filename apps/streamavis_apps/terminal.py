"""The console that every program prints on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.segment import Segment

from streamavis_apps.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import ConsoleOptions, RenderableType

__all__ = ["Terminal"]


class Terminal(Console):
    """A console for text of others: nothing in it is taken for markup or for a command.

    Whatever is printed, in tables and live pictures as well, has the characters that a terminal
    acts on replaced (`text.shown`). Text in square brackets is shown as it is; a program whose own
    texts are markup asks for it, and escapes all others.
    """

    def __init__(self, *, markup: bool = False, **options: Any) -> None:
        """Prepare.

        Args:
            markup: read rich's markup in strings.
            options: of `rich.console.Console`.
        """
        super().__init__(markup=markup, highlight=False, **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render to segments of safe text; rich's own cursor movements are left alone."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(shown(segment.text, lines=True), segment.style)
