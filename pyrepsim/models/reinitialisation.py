"""Blocks back to what they were before any training: drawn anew by the model's own rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from ..errors import ModelError
from .blocks import Blocks, find_blocks

__all__ = ["reinitialise"]

_DONE = "_is_hf_initialized"  # by which transformers skips what was loaded


def reinitialise(module: torch.nn.Module, indices: Iterable[int], *, seed: int) -> None:
    """Draw the weights of these blocks anew, as the model does when it is made without a checkpoint.

    Block i depends on (`seed`, i) alone: sweeps over the number of blocks are nested, and the device makes no
    difference. No other random state moves.

    Raises
    ------
    ModelError
        If the model has no rule for its weights, or the rule passes over some; the block is then spoilt.
    """
    blocks = find_blocks(module)
    draw = _rule(blocks)
    for index in indices:
        block = blocks.modules[index]
        device = next(block.parameters()).device
        block.to("cpu")
        with torch.no_grad(), _seeded(seed, index), _unmarked(block):
            for parameter in block.parameters():
                parameter.fill_(torch.nan)  # what the rule passes over shows
            block.apply(draw)
        block.to(device)
        for name, parameter in block.named_parameters():
            if not torch.isfinite(parameter).all():
                raise ModelError(
                    f"Re-initialisation must set every weight of a block: the rule of {type(module).__name__} passes "
                    f"over {name!r}. Load the model again, and ablate it otherwise."
                )


def _rule(blocks: Blocks) -> Any:
    """`_init_weights` of the innermost model that holds the blocks."""
    parts = blocks.path.split(".")
    for end in range(len(parts) - 1, -1, -1):
        rule = getattr(blocks.module.get_submodule(".".join(parts[:end])), "_init_weights", None)
        if rule is not None:
            return rule
    raise ModelError(
        f"Re-initialisation uses the model's own rule: {type(blocks.module).__name__} has no _init_weights. Use a "
        "model that transformers loads."
    )


@contextmanager
def _seeded(seed: int, index: int) -> Iterator[None]:
    state = torch.get_rng_state()
    try:
        torch.default_generator.manual_seed(int(np.random.SeedSequence((seed, index)).generate_state(1, np.uint64)[0]))
        yield
    finally:
        torch.set_rng_state(state)


@contextmanager
def _unmarked(block: torch.nn.Module) -> Iterator[None]:
    """Without the marks of what a checkpoint has filled."""
    marked = [item for item in (*block.modules(), *block.parameters(), *block.buffers()) if hasattr(item, _DONE)]
    marks = [getattr(item, _DONE) for item in marked]
    for item in marked:
        delattr(item, _DONE)
    try:
        yield
    finally:
        for item, mark in zip(marked, marks, strict=True):
            setattr(item, _DONE, mark)
