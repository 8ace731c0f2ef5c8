"""Text of a peer, a file or a model, made safe to show on a terminal."""

from __future__ import annotations

import logging
import re

__all__ = ["PlainFormatter", "shown"]

# What a terminal acts on instead of showing it: control characters (C0, DEL, C1), marks that turn
# the direction of text, line and paragraph separators, invisible operators, and half surrogates.
_HIDDEN = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff"
)
_ACTS = re.compile(f"[\t\n{_HIDDEN}]")
_ACTS_IN_LINES = re.compile(f"[{_HIDDEN}]")


def shown(text: str, *, lines: bool = False) -> str:
    """The text with U+FFFD in place of every character that a terminal acts on.

    Args:
        text: from any source.
        lines: keep line breaks and tabs.
    """
    return (_ACTS_IN_LINES if lines else _ACTS).sub("\ufffd", text)


class PlainFormatter(logging.Formatter):
    """Formats log records for a terminal: their text is `shown`."""

    def format(self, record: logging.LogRecord) -> str:
        """One record; a traceback keeps its lines."""
        return shown(super().format(record), lines=True)
