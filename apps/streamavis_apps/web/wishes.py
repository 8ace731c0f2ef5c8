"""Changes of settings, applied together where they come fast.

Every change renders a new picture for every viewer. So changes are applied a few times a second;
the last value of each setting counts, and no change is lost.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import msgspec

from streamavis.errors import SchemaError
from streamavis.limits import RateLimit
from streamavis_apps.web.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamavis_apps.web.settings import Controls

__all__ = ["CHANGES_PER_S", "Wishes"]

# A slider that is dragged feels immediate from about 10 a second on.
CHANGES_PER_S: Final = 10
_AT_ONCE: Final = 3


class Wishes:
    """Settings that viewers ask for; used on the event loop."""

    def __init__(self, controls: Controls, clock: Callable[[], int] = time.monotonic_ns) -> None:
        """Prepare; `clock` is monotonic, ns."""
        self._controls = controls
        self._pace = RateLimit(CHANGES_PER_S, _AT_ONCE, clock)
        self._waiting: dict[str, object] = {}
        self._applying: asyncio.Task[None] | None = None

    def add(self, data: bytes) -> None:
        """Apply a JSON object of settings, now or within a tenth of a second.

        Raises:
            SchemaError: it is malformed, or a value is out of its range; nothing changes.
        """
        try:
            update = msgspec.json.decode(data, type=dict[str, object])
            msgspec.convert(update, Settings)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise SchemaError(f"these settings are refused: {error}") from error
        self._waiting.update(update)
        if self._applying is not None:
            return
        if self._pace.take():
            self._apply()
        else:
            self._applying = asyncio.get_running_loop().create_task(self._later())

    async def applied(self) -> None:
        """Wait until everything that was added is in force."""
        if self._applying is not None:
            await asyncio.shield(self._applying)

    async def _later(self) -> None:
        try:
            await asyncio.sleep(self._pace.wait_s())
            self._pace.take()
        finally:
            self._applying = None
        self._apply()

    def _apply(self) -> None:
        update, self._waiting = self._waiting, {}
        self._controls.change(msgspec.json.encode(update))
