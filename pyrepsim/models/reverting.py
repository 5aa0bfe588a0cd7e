"""Layers of a tuned model set back to what they were before it was tuned."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator

import torch

from ..core.errors import LayerError, ModelError
from .blocks import Blocks, find_blocks

__all__ = ["paired_parameters", "revert"]


def revert(tuned: torch.nn.Module, base: torch.nn.Module, layers: Iterable[str]) -> torch.nn.Module:
    """A copy of `tuned` in which these layers have the weights of `base`, the encoder it was tuned from.

    Parameters
    ----------
    layers
        Of ``"embeddings"``, ``"layer.0"`` (the first block) to ``"layer.N-1"``, and ``"rest"`` (a final
        normalisation); `Blocks.parameters_of` says what belongs to each.

    Raises
    ------
    LayerError
        For a layer that `tuned` does not have.
    ModelError
        If the two are not of one architecture and size. `base` may have more blocks.
    """
    wanted = [layers] if isinstance(layers, str) else list(layers)
    reverted = copy.deepcopy(tuned)
    blocks, source = find_blocks(reverted), find_blocks(base)
    if unknown := [layer for layer in wanted if layer not in blocks.layers]:
        raise LayerError(
            f"A layer is one of {', '.join(blocks.layers)}: {type(tuned).__name__} has no {', '.join(unknown)}."
        )
    with torch.no_grad():
        for layer in wanted:
            for _, ours, theirs in paired_parameters(blocks, source, layer):
                ours.copy_(theirs)
    return reverted


def paired_parameters(
    tuned: Blocks, base: Blocks, layer: str
) -> Iterator[tuple[str, torch.nn.Parameter, torch.nn.Parameter]]:
    """Name, weights in `tuned` and weights in `base` of all parameters of one layer.

    What only one of them has among the ``"rest"``, such as a pooler, is passed over.
    """
    if len(tuned) > len(base):
        raise ModelError(
            f"A model is compared with the one it was tuned from: it has {len(tuned)} blocks, the base {len(base)}. "
            "Exchange them, or give the base it came from."
        )
    ours, theirs = tuned.parameters_of(layer), base.parameters_of(layer)
    names = [name for name in ours if name in theirs] if layer == "rest" else list(ours)
    for name in names:
        shape, found = tuple(ours[name].shape), tuple(theirs[name].shape) if name in theirs else "absent"
        if shape != found:
            raise ModelError(
                f"A model is compared with the one it was tuned from: {name!r} is {shape} in one and {found} in the "
                "other. Give two models of one architecture, size and vocabulary."
            )
        yield name, ours[name], theirs[name]
