"""Blocks, or a whole model, back to what they were before any training: drawn anew by the model's own rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from ..core.errors import ModelError
from .blocks import Blocks, find_blocks

__all__ = ["redraw", "reinitialise"]

_NO_RULE = "Re-initialisation uses the model's own rule: {} has no _init_weights. Use a model that transformers loads."
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
        _draw(blocks.modules[index], draw, type(module).__name__, seed, index)


def redraw(module: torch.nn.Module, *, seed: int) -> None:
    """Draw every weight of a model anew, embeddings included, as it does when it is made without a checkpoint.

    The device makes no difference, and no other random state moves. Raises ModelError as `reinitialise` does.
    """
    rule: Any = getattr(module, "_init_weights", None)
    if rule is None:
        raise ModelError(_NO_RULE.format(type(module).__name__))
    _draw(module, rule, type(module).__name__, seed)


def _draw(part: torch.nn.Module, rule: Any, model: str, *entropy: int) -> None:
    device = next(part.parameters()).device
    part.to("cpu")
    with torch.no_grad(), _seeded(*entropy), _unmarked(part):
        for parameter in part.parameters():
            parameter.fill_(torch.nan)  # what the rule passes over shows
        part.apply(rule)
    part.to(device)
    for name, parameter in part.named_parameters():
        if not torch.isfinite(parameter).all():
            raise ModelError(
                f"Re-initialisation must set every weight: the rule of {model} passes over {name!r}. Load the model "
                "again, and ablate it otherwise."
            )


def _rule(blocks: Blocks) -> Any:
    """`_init_weights` of the innermost model that holds the blocks."""
    parts = blocks.path.split(".")
    for end in range(len(parts) - 1, -1, -1):
        rule = getattr(blocks.module.get_submodule(".".join(parts[:end])), "_init_weights", None)
        if rule is not None:
            return rule
    raise ModelError(_NO_RULE.format(type(blocks.module).__name__))


@contextmanager
def _seeded(*entropy: int) -> Iterator[None]:
    state = torch.get_rng_state()
    try:
        torch.default_generator.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0]))
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
