"""Quantised weights: which a module has, and the configurations by which transformers makes them at loading."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import torch
import transformers

from ..core.errors import MissingExtraError, OptionError

__all__ = ["quantization_config", "quantization_of"]

_NAMES = ("bitsandbytes-8bit", "bitsandbytes-4bit", "torchao-int8")
_BITS = {"load_in_8bit": "8bit", "load_in_4bit": "4bit"}


def quantization_config(quantization: Any, dtype: Any) -> Any:
    """The configuration for transformers of a name; one of transformers' own is returned as it is.

    Parameters
    ----------
    quantization : str or object
        "bitsandbytes-8bit", "bitsandbytes-4bit" (nf4), "torchao-int8" (weights only), or a quantisation configuration
        of transformers.
    dtype : torch.dtype or "auto"
        Type of the weights that stay as they are, in which 4-bit weights are multiplied.

    Raises
    ------
    OptionError
        If the name is unknown.
    MissingExtraError
        If the library is not installed.
    """
    if not isinstance(quantization, str):
        return quantization
    if quantization not in _NAMES:
        raise OptionError(
            f"quantization must be one of {', '.join(_NAMES)}, or a configuration of transformers: got "
            f"{quantization!r}."
        )
    library = quantization.partition("-")[0]
    try:
        if quantization == "torchao-int8":
            quantize = importlib.import_module("torchao.quantization")
            return transformers.TorchAoConfig(quantize.Int8WeightOnlyConfig())
        importlib.import_module(library)
    except ImportError as error:
        raise MissingExtraError(
            f"quantization={quantization!r} needs {library}, which cannot be imported ({error}). Install it with `pip "
            f"install {library}`."
        ) from error
    if quantization == "bitsandbytes-8bit":
        return transformers.BitsAndBytesConfig(load_in_8bit=True)
    options = {} if dtype == "auto" else {"bnb_4bit_compute_dtype": dtype}
    return transformers.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", **options)


def quantization_of(module: torch.nn.Module) -> str | None:
    """Which quantised weights a module has, such as "bitsandbytes-8bit" or "torchao Int8Tensor"; None for none."""
    config: Any = getattr(getattr(module, "config", None), "quantization_config", None)
    config = config if isinstance(config, dict | None) else config.to_dict()
    method: Any = None if config is None else config.get("quant_method")
    method = getattr(method, "value", method)
    if method not in (None, "torchao"):
        options: Any = config
        bits = next((bits for name, bits in _BITS.items() if options.get(name)), options.get("bits"))
        return str(method) if bits is None else f"{method}-{bits}"
    return ", ".join(sorted(set(_kinds(module)))) or None


def _kinds(module: torch.nn.Module) -> Iterator[str]:
    for child in module.modules():
        if isinstance(packed := getattr(child, "_packed_params", None), torch.nn.Module):
            yield f"torch.ao {str(getattr(packed, 'dtype', '')).removeprefix('torch.')}"
        for parameter in child.parameters(recurse=False):
            for kind in (type(parameter), type(parameter.data)):
                if (library := kind.__module__.partition(".")[0]) != "torch":
                    yield f"{library} {kind.__name__}"
