"""Changes to the layers of a model: remove the top blocks, re-initialise blocks, or reset layers to another model."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from ..core.errors import LayerError, ModelError
from .blocks import Blocks, find_blocks, paired_parameters
from .encoder import first_line
from .restoring import random_state_kept

__all__ = ["reinitialise", "reinitialise_all", "revert", "set_depth", "truncate"]

_DEPTH_OPTIONS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers")
_LOADED = "_is_hf_initialized"  # transformers does not initialise what has this attribute
_NO_RULE = "Re-initialisation uses the model's own rule: {} has no _init_weights. Use a model that transformers loads."


def truncate(module: torch.nn.Module, layers: int) -> None:
    """Keep the embeddings, the bottom `layers` blocks, and a final normalisation if there is one.

    The configuration changes too, so that a saved model loads again with this depth.

    Raises
    ------
    ModelError
        If the model has fewer blocks, or its configuration cannot describe the shorter model.
    """
    blocks = find_blocks(module)
    if not 1 <= layers <= len(blocks):
        raise ModelError(
            f"A model keeps between 1 and all of its blocks: {type(module).__name__} has {len(blocks)} blocks, got "
            f"layers={layers}. Give a number in this range."
        )
    if layers == len(blocks):
        return
    config: Any = module.config
    shorter = copy.deepcopy(config)
    set_depth(shorter, len(blocks), layers)
    expected = _shapes(blocks.modules[:layers])
    rebuilt = _rebuilt_shapes(module, shorter, blocks.path)
    if expected != rebuilt:
        wrong = next(iter(sorted(expected.items() ^ rebuilt.items())), ("", ()))[0]
        raise ModelError(
            f"A shorter model must load again from its configuration: {type(module).__name__} with {layers} of "
            f"{len(blocks)} blocks would not (first difference: {wrong!r}). Freeze the top instead of removing it."
        )
    set_depth(config, len(blocks), layers)
    del blocks.modules[layers:]


def set_depth(config: Any, depth: int, layers: int) -> None:
    """Set the number of layers, and shorten the lists with one entry per layer (``layer_types``)."""
    for name, value in list(config.to_dict().items()):
        if name in _DEPTH_OPTIONS and value == depth:
            setattr(config, name, layers)
        elif "layer" in name and isinstance(value, list | tuple) and len(value) == depth:
            setattr(config, name, getattr(config, name)[:layers])
    config.num_hidden_layers = layers


def _rebuilt_shapes(module: torch.nn.Module, config: Any, path: str) -> dict[str, tuple[int, ...]]:
    """Shapes of the blocks of a model built from this configuration, without allocating memory."""
    build: Any = type(module)
    try:
        with torch.device("meta"):
            return _shapes(build(type(config).from_dict(config.to_dict())).get_submodule(path))
    except Exception as error:  # another library's constructor may raise anything
        raise ModelError(
            f"A shorter model must load again from its configuration: {build.__name__} refuses it "
            f"({first_line(error)}). Freeze the top instead of removing it."
        ) from error


def _shapes(module: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}


def reinitialise(module: torch.nn.Module, indices: Iterable[int], *, seed: int) -> None:
    """Draw new weights for these blocks by the model's own initialisation rule.

    The weights of block i depend only on (`seed`, i), not on the device or on which other blocks are drawn. The global
    random state does not change.

    Raises
    ------
    ModelError
        If the model has no rule, or the rule does not set every weight. In the second case the block is unusable.
    """
    blocks = find_blocks(module)
    rule = _initialisation_rule(blocks)
    for index in indices:
        _draw(blocks.modules[index], rule, type(module).__name__, seed, index)


def reinitialise_all(module: torch.nn.Module, *, seed: int) -> None:
    """Draw new weights for the whole model, embeddings included, by its own initialisation rule.

    The weights do not depend on the device, and the global random state does not change. Raises ModelError as
    `reinitialise` does.
    """
    rule: Any = getattr(module, "_init_weights", None)
    if rule is None:
        raise ModelError(_NO_RULE.format(type(module).__name__))
    _draw(module, rule, type(module).__name__, seed)


def _draw(part: torch.nn.Module, rule: Any, model: str, *entropy: int) -> None:
    device = next(part.parameters()).device
    part.to("cpu")
    with torch.no_grad(), _seeded(*entropy), _marks_removed(part):
        for parameter in part.parameters():
            parameter.fill_(torch.nan)  # a weight that the rule does not set stays NaN
        part.apply(rule)
    part.to(device)
    for name, parameter in part.named_parameters():
        if not torch.isfinite(parameter).all():
            raise ModelError(
                f"Re-initialisation must set every weight: the rule of {model} does not set {name!r}. Load the model "
                "again, and use another ablation."
            )


def _initialisation_rule(blocks: Blocks) -> Any:
    """`_init_weights` of the innermost model that holds the blocks."""
    parts = blocks.path.split(".")
    for end in range(len(parts) - 1, -1, -1):
        rule = getattr(blocks.module.get_submodule(".".join(parts[:end])), "_init_weights", None)
        if rule is not None:
            return rule
    raise ModelError(_NO_RULE.format(type(blocks.module).__name__))


@contextmanager
def _seeded(*entropy: int) -> Iterator[None]:
    """Seed torch's generator, and restore its state afterwards."""
    with random_state_kept():
        torch.default_generator.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0]))
        yield


@contextmanager
def _marks_removed(block: torch.nn.Module) -> Iterator[None]:
    """Remove the marks by which transformers skips loaded weights, and restore them afterwards."""
    marked = [item for item in (*block.modules(), *block.parameters(), *block.buffers()) if hasattr(item, _LOADED)]
    marks = [getattr(item, _LOADED) for item in marked]
    for item in marked:
        delattr(item, _LOADED)
    try:
        yield
    finally:
        for item, mark in zip(marked, marks, strict=True):
            setattr(item, _LOADED, mark)


def revert(tuned: torch.nn.Module, base: torch.nn.Module, layers: Iterable[str]) -> torch.nn.Module:
    """Copy `tuned` and give these layers the weights of `base`, the encoder it was tuned from.

    Parameters
    ----------
    tuned, base
        Two models of one architecture and size. `base` may have more blocks.
    layers
        Any of ``"embeddings"``, ``"layer.0"`` (the first block) to ``"layer.N-1"``, and ``"rest"`` (a final
        normalisation), as in `Blocks.parameters_of`.

    Raises
    ------
    LayerError
        If `tuned` does not have a layer.
    ModelError
        If architectures or sizes differ.
    """
    wanted = [layers] if isinstance(layers, str) else list(layers)
    reverted = copy.deepcopy(tuned)
    blocks, base_blocks = find_blocks(reverted), find_blocks(base)
    if unknown := [layer for layer in wanted if layer not in blocks.layers]:
        raise LayerError(
            f"A layer is one of {', '.join(blocks.layers)}: {type(tuned).__name__} has no {', '.join(unknown)}."
        )
    with torch.no_grad():
        for layer in wanted:
            for _, weights, base_weights in paired_parameters(blocks, base_blocks, layer):
                weights.copy_(base_weights)
    return reverted
