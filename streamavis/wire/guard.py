"""Keeps a publisher in step with its key folder: who it is, and who may read."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from streamavis.errors import KeyFileError
from streamavis.wire.keys import KeyFolder, ServerKeys
from streamavis.wire.ticker import Ticker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["LOOK_INTERVAL_S", "ConnectionGuard"]

LOOK_INTERVAL_S: Final = 0.25  # a revocation counts after that, and the others are back in 1 s
_MAX_REVOKED: Final = 1_000

_log = logging.getLogger(__name__)


class ConnectionGuard:
    """Watches a key folder.

    Attributes:
        keys: what it says; None: it cannot be read, so nobody may come in or stay.
        revoked: who was listed since this guard began and is no longer, key -> name.
    """

    def __init__(self, folder: Path, clock: Callable[[], int]) -> None:
        """Read the folder; `clock` is monotonic, ns.

        Raises:
            KeyFileError: it cannot be used, or lists nobody.
        """
        self._folder = KeyFolder(folder)
        self.ticker = Ticker(clock, LOOK_INTERVAL_S)
        self._print = self._folder.fingerprint()
        self.keys: ServerKeys | None = self._folder.load()
        self.revoked: dict[bytes, str] = {}
        self._faults: set[str] = set()  # told
        self._tell_faults(self.keys)
        if not self.keys.clients:
            raise KeyFileError(
                f"{folder} lists no client, so that nobody could read; add one: "
                "streamavis keys add NAME"
            )

    def look(self) -> bool:
        """Read the folder again if it is time and it has changed.

        Returns:
            True: somebody inside may no longer be, or the publisher has another key. An
            established connection outlives its key, so all of them must be closed.
        """
        if not self.ticker.tick():
            return False
        # Before it is read: what changes in between is noticed the next time.
        seen = self._folder.fingerprint()
        # What could not be read is tried again: the files may be sound, and this process at fault.
        if seen == self._print and self.keys is not None and not self.keys.faults:
            return False
        self._print = seen
        before = self.keys
        try:
            self.keys = self._folder.load()
        except KeyFileError as error:
            self.keys = None
            if before is not None:
                _log.error("nobody may read until this is mended: %s", error)
            return before is not None
        self._tell_faults(self.keys)
        if before is None:
            _log.warning("the key folder is in order again; readers may connect")
            return True
        return self._compare(before, self.keys)

    def _tell_faults(self, keys: ServerKeys) -> None:
        for fault in keys.faults:
            if fault not in self._faults:
                _log.warning("a client is not let in: %s", fault)
        self._faults = set(keys.faults)

    def _compare(self, before: ServerKeys, now: ServerKeys) -> bool:
        gone = {key: name for key, name in before.clients.items() if key not in now.clients}
        new = [name for key, name in now.clients.items() if key not in before.clients]
        if new:
            _log.info("may read from now on: %s", ", ".join(new))
        self.revoked = {**self.revoked, **gone}
        self.revoked = {k: name for k, name in self.revoked.items() if k not in now.clients}
        while len(self.revoked) > _MAX_REVOKED:
            del self.revoked[next(iter(self.revoked))]
        if gone:
            names = ", ".join(gone.values())
            _log.warning("revoked: %s; every reader has to connect again", names)
        if now.public != before.public:
            _log.warning("the publisher's key is another one; only new key files are good")
        return bool(gone) or (now.public, now.secret) != (before.public, before.secret)
