"""The bottom of a model: its top blocks taken away, in its configuration too."""

from __future__ import annotations

import copy
from typing import Any

import torch

from ..core.errors import ModelError
from .blocks import find_blocks
from .encoder import first_line

__all__ = ["truncate"]

_DEPTHS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers")


def truncate(module: torch.nn.Module, layers: int) -> None:
    """Keep the embeddings, the bottom `layers` blocks, and what follows the last one (a final normalisation).

    The configuration is changed with it: what `save_pretrained` writes loads again at this depth.

    Raises
    ------
    ModelError
        If the model has fewer blocks, or its configuration cannot describe the shorter model.
    """
    blocks = find_blocks(module)
    if not 1 <= layers <= len(blocks):
        raise ModelError(
            f"A model keeps between 1 and all of its blocks: {type(module).__name__} has {len(blocks)}, asked for "
            f"{layers}. Give a number it has."
        )
    if layers == len(blocks):
        return
    config: Any = module.config
    shorter = copy.deepcopy(config)
    _shorten(shorter, len(blocks), layers)
    wanted = _shapes(blocks.modules[:layers])
    found = _rebuilt(module, shorter, blocks.path)
    if wanted != found:
        wrong = next(iter(sorted(wanted.items() ^ found.items())), ("", ()))[0]
        raise ModelError(
            f"A shorter model must load again by its configuration: {type(module).__name__} with {layers} of "
            f"{len(blocks)} blocks would not (first difference: {wrong!r}). Freeze the top instead of removing it."
        )
    _shorten(config, len(blocks), layers)
    del blocks.modules[layers:]


def _shorten(config: Any, depth: int, layers: int) -> None:
    """Set the number of layers, and cut the lists that have one entry a layer (``layer_types``)."""
    for name, value in list(config.to_dict().items()):
        if name in _DEPTHS and value == depth:
            setattr(config, name, layers)
        elif "layer" in name and isinstance(value, list | tuple) and len(value) == depth:
            setattr(config, name, getattr(config, name)[:layers])
    config.num_hidden_layers = layers


def _rebuilt(module: torch.nn.Module, config: Any, path: str) -> dict[str, tuple[int, ...]]:
    """Shapes of the blocks of the model that this configuration gives, built without memory."""
    build: Any = type(module)
    try:
        with torch.device("meta"):
            return _shapes(build(type(config).from_dict(config.to_dict())).get_submodule(path))
    except Exception as error:  # a foreign constructor may fail in any way
        raise ModelError(
            f"A shorter model must load again by its configuration: {build.__name__} refuses it "
            f"({first_line(error)}). Freeze the top instead of removing it."
        ) from error


def _shapes(module: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}
