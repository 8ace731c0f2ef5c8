"""Which keys results are published with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamavis.errors import WireError
from streamavis.wire.address import is_local
from streamavis.wire.keys import default_folder

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["keys_for"]


def keys_for(address: str, keys: Path | None, insecure: bool) -> Path | None:
    """Return the key folder to publish `address` with; None: in clear.

    Beyond this machine the user's own folder is taken unless another is named or `insecure` says
    to do without.

    Raises:
        WireError: the address is malformed, or beyond this machine and there are no keys yet.
    """
    if keys is not None or insecure or is_local(address):
        return keys
    folder = default_folder()
    if not folder.exists():
        raise WireError(
            f"{address} reaches beyond this machine, where only readers with a key may read, and "
            f"there are no keys in {folder}; run: streamavis keys init, then for each reader: "
            "streamavis keys add NAME (or let everybody read with --insecure)"
        )
    return folder
