"""The torch library that all operators are defined in.

`define` + `impl` cost a quarter of `@custom_op` per call.
"""

from __future__ import annotations

import torch

__all__ = ["library", "ops"]

library = torch.library.Library("streamavis", "DEF")
ops = torch.ops.streamavis
