"""Digests of weights and of tokenizers: two models with equal digests compute the same rows."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import xxhash

from ..core.errors import ModelError
from .adapters import Adapters

__all__ = ["tokenizer_digest", "weights_digest"]


def weights_digest(module: torch.nn.Module, adapters: Adapters | None = None) -> str:
    """xxh3-128 over names, dtypes, shapes and bytes of all weights, in order of name.

    With `adapters`, over those that are used now: with the adapter off, the digest is that of the base model.

    Of quantised weights, the parts that they are made of: integers, scales and zero points. A pooler that the model can
    do without is left out: hidden states do not depend on it, and `load_encoder` does not load it.

    Raises
    ------
    ModelError
        If a weight is not in memory (on the meta device, as where accelerate keeps it on the disk), or has no bytes.
    """
    weights = module.state_dict()
    if "add_pooling_layer" in inspect.signature(type(module).__init__).parameters:
        weights = {name: tensor for name, tensor in weights.items() if not name.startswith("pooler.")}
    return _digest(weights if adapters is None else adapters.weights(weights), type(module).__name__)


def _digest(weights: Mapping[str, Any], owner: str) -> str:
    """xxh3-128 over weights by name; `owner` names the model in errors."""
    digest = xxhash.xxh3_128()
    for name, value in sorted(weights.items()):
        for part, tensor in _parts(name, value):
            if isinstance(tensor, torch.Tensor):
                if tensor.device.type == "meta":
                    raise ModelError(
                        f"All weights must be in memory: {part!r} of {owner} is on the meta device, where a model has "
                        "no numbers. Load the model whole, without offloading to the CPU or the disk."
                    )
                digest.update(f"{part} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
                digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
            elif isinstance(tensor, str | int | float | bool | torch.dtype | torch.qscheme | None):
                digest.update(f"{part} {tensor!r}\n".encode())
            else:
                raise ModelError(
                    f"A weight is a tensor, or made of tensors and numbers: {part!r} of {owner} is of type "
                    f"{type(tensor).__name__}. Load the model without this quantisation."
                )
    return digest.hexdigest()


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield a plain weight as it is, and the parts of a quantised one, each with a name."""
    if isinstance(value, tuple | list):  # a packed Linear of torch.ao: (weight, bias)
        for index, item in enumerate(value):
            yield from _parts(f"{name}.{index}", item)
    elif isinstance(value, Mapping):
        for key, item in sorted(value.items(), key=lambda pair: str(pair[0])):
            yield from _parts(f"{name}.{key}", item)
    elif hasattr(value, "__tensor_flatten__"):  # a tensor of another library, such as torchao's
        names, settings = value.__tensor_flatten__()
        for part in names:
            yield from _parts(f"{name}.{part}", getattr(value, part))
        yield f"{name}.settings", repr(settings)
    elif isinstance(value, torch.Tensor) and value.is_quantized:
        yield f"{name}.integers", value.int_repr()
        if value.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
            yield f"{name}.scale", value.q_scale()
            yield f"{name}.zero_point", value.q_zero_point()
        else:
            yield f"{name}.scale", value.q_per_channel_scales()
            yield f"{name}.zero_point", value.q_per_channel_zero_points()
    else:
        yield name, value


def tokenizer_digest(tokenizer: Any) -> str:
    """xxh3-128 over everything that decides token ids: vocabulary, merges, normalisation, splitting, special tokens.

    Saved truncation and padding settings are left out: extraction does not use them, and they differ between a model
    and models fine-tuned from it.
    """
    record = json.loads(tokenizer.backend_tokenizer.to_str())
    for irrelevant in ("version", "truncation", "padding", "decoder"):
        record.pop(irrelevant, None)
    return xxhash.xxh3_128(json.dumps(record, sort_keys=True).encode()).hexdigest()
