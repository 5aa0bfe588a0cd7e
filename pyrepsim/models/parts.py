"""The encoder of an encoder-decoder: pyrepsim keeps this part alone, and saves it under the whole model's names."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

__all__ = ["Whole", "encoder_part"]


@dataclass(frozen=True)
class Whole:
    """What saving a part needs of the whole model, which itself is not kept in memory.

    Attributes
    ----------
    architecture : str
        The class of the whole model.
    config
        Its configuration.
    names : mapping of str to str
        From the name of each weight of the part to its name in the whole model.
    """

    architecture: str
    config: Any
    names: Mapping[str, str]


def encoder_part(module: torch.nn.Module) -> tuple[torch.nn.Module, Whole | None]:
    """Return the base model, or the encoder of an encoder-decoder and its place in the whole model."""
    base: Any = getattr(module, "base_model", module)
    if not _reads_the_same(base, module):  # in DINOv3, the list of blocks has the name of a base model
        base = module
    # the configuration of a saved T5EncoderModel denies that AutoModel's T5Model has a decoder
    halves = all(isinstance(getattr(base, half, None), torch.nn.Module) for half in ("encoder", "decoder"))
    if not halves and not getattr(base.config, "is_encoder_decoder", False):
        return base, None
    part = base.get_encoder()
    if not _reads_the_same(part, base):  # in Funnel, the blocks alone
        return base, None
    first: dict[int, str] = {}  # a weight that is shared with the decoder has several names, and is saved by the first
    for name, weight in base.state_dict(keep_vars=True).items():
        first.setdefault(id(weight), name)
    names = {name: first[id(weight)] for name, weight in part.state_dict(keep_vars=True).items()}
    return part, Whole(type(base).__name__, base.config, names)


def _reads_the_same(part: Any, whole: Any) -> bool:
    """Whether a part has the argument by which the whole model is given its data: token ids, pixels, a sound."""
    name = getattr(whole, "main_input_name", None)
    takes = [name in inspect.signature(one.forward).parameters for one in (whole, part)]
    return part is whole or takes != [True, False]
