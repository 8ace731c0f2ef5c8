"""Data, losses, trainer and evaluation of our networks."""

import streamavis  # noqa: F401 - sets what torch reads from the environment, so before torch
