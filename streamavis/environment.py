"""What torch reads from the environment as it is loaded, set for speed before that."""

from __future__ import annotations

import logging
import os
import sys

__all__ = ["DEFAULTS", "prepare"]

_logger = logging.getLogger(__name__)

# Threads of GNU OpenMP spin for milliseconds while they wait, which a busy machine cannot spare: a
# model is then four to five times slower. Without any spinning a frame takes twice as long.
DEFAULTS = {"GOMP_SPINCOUNT": "5000"}


def prepare() -> None:
    """Set what the caller has not set, unless torch is loaded already; logs what was done."""
    missing = {name: value for name, value in DEFAULTS.items() if name not in os.environ}
    if not missing:
        return
    listed = ", ".join(f"{name}={value}" for name, value in missing.items())
    if "torch" in sys.modules:
        _logger.info(
            "torch was imported before streamavis, so %s is not set: on a busy machine the model "
            "is several times slower; import streamavis first, or set it yourself",
            listed,
        )
        return
    os.environ.update(missing)
    _logger.debug("set %s in the environment, for torch's threads", listed)
