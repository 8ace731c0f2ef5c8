"""Addresses as they may be shown: without user name, password or token.

Cameras and services take secrets in their addresses. What a command prints, whoever wrote the
sentence, goes through `redacted` first.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

__all__ = ["display_name", "redacted"]

# What FFmpeg's protocols and many cameras take, and nobody's secret.
_HARMLESS = {"channel", "fifo_size", "format", "fps", "height", "listen", "overrun_nonfatal"}
_HARMLESS |= {"buffer_size", "pkt_size", "resolution", "size", "stream", "subtype", "width"}
# One slash too: a path type makes `rtsp:/user` of `rtsp://user`.
_ADDRESS = re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]*:/{1,2}[^\s'\"<>]+")
_PORT = re.compile(r"^[^:]*$|:\d*$|\]$")  # a host, with a port or without
_AFTER = ":;,.?`)]}"  # punctuation of the sentence around an address


def display_name(url: object) -> str:
    """The address as it may be shown: no user name, no password, no value of a query.

    Cameras take passwords as `?pwd=...` under any name, so only what is known to be harmless stays.
    """
    text = str(url)
    if "://" not in text:
        return text
    try:
        parts = urlsplit(text)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return f"{text.partition('://')[0]}://***"
    if "@" in parts.netloc and parts.netloc.rpartition("@")[0]:
        parts = parts._replace(netloc=f"***@{parts.netloc.rpartition('@')[2]}")
    elif not _PORT.search(parts.netloc) and "@" in parts.path:  # a password with a slash in it
        host, slash, path = parts.path.rpartition("@")[2].partition("/")
        parts = parts._replace(netloc=f"***@{host}", path=slash + path)
    if any(key not in _HARMLESS for key, _ in pairs):
        shown = (f"{k}={v if k in _HARMLESS else '***'}" for k, v in pairs)
        parts = parts._replace(query="&".join(shown))
    return parts.geturl()


def redacted(text: str) -> str:
    """`text` with every address in it as `display_name` shows it."""
    return _ADDRESS.sub(_hidden, text)


def _hidden(found: re.Match[str]) -> str:
    address = found[0].rstrip(_AFTER)
    scheme, slashes, rest = re.split(r"(:/{1,2})", address, maxsplit=1)
    shown = display_name(f"{scheme}://{rest}").replace("://", slashes, 1)
    if shown.lower() == address.lower():  # nothing was hidden: as it was written
        return found[0]
    return shown + found[0][len(address) :]
