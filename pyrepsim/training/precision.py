"""The number type of a recipe's products."""

from __future__ import annotations

import torch

from ..errors import OptionError

__all__ = ["autocast_type"]

_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def autocast_type(precision: str, device: torch.device) -> torch.dtype:
    """The type of `Recipe.precision` on this device; "auto" is bfloat16 on a GPU that has it, otherwise float32.

    Raises OptionError for float16 on a CPU, where gradients cannot be scaled.
    """
    if precision == "auto":
        return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32
    if precision == "fp16" and device.type == "cpu":
        raise OptionError("precision='fp16' needs a GPU: the device is the CPU. Use 'bf16' or 'fp32'.")
    return _TYPES[precision]
