"""Withholding layers from an encoder that is about to be fine-tuned."""

from __future__ import annotations

import torch

from ..models.blocks import find_blocks
from ..models.reinitialisation import reinitialise
from ..models.truncation import truncate
from .recipes import Ablation

__all__ = ["apply"]


def apply(module: torch.nn.Module, ablation: Ablation, *, seed: int) -> None:
    """Change `module`, an encoder without head, in place; `seed` draws re-initialised weights.

    No random state but that of the drawing is touched: with the defaults, training goes as without an ablation.

    Raises
    ------
    OptionError
        If the model has too few blocks.
    ModelError
        If its blocks cannot be told apart, or it cannot be cut or drawn anew.
    """
    if not ablation:
        return
    ablation.check(len(find_blocks(module)))
    if ablation.layers is not None:
        truncate(module, ablation.layers)
    depth = len(find_blocks(module))
    if ablation.reinit:
        bottom = ablation.reinit_end == "bottom"
        drawn = range(ablation.reinit) if bottom else range(depth - ablation.reinit, depth)
        reinitialise(module, drawn, seed=seed)
    if ablation.freeze:
        for parameter in find_blocks(module).below(ablation.freeze).values():
            parameter.requires_grad_(False)
