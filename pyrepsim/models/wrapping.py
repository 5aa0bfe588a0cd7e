"""`wrap`: an `Encoder` of a model in memory, without a copy and without a change of the model."""

from __future__ import annotations

import os
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
import transformers

from ..core.errors import ModelError, PyrepsimError
from .adapters import Adapters, configs_of
from .block_points import find_blocks
from .calls import trace_calls
from .digests import tokenizer_digest, weights_digest
from .encoder import Encoder, first_line, hidden_states
from .parts import Whole, encoder_part
from .points import Rows
from .quantization import quantization_of
from .restoring import undisturbed
from .source import ModelSource, fetched, locate_model

__all__ = ["base_module", "has_tokenizer", "load_tokenizer", "make_encoder", "wrap"]

_TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.txt", "vocab.json", "spiece.model"),
    "sentencepiece.bpe.model",
)
_BATCHES = (
    "A model of images, sound or anything else reads batches of tensors: rs.extract(model, DataLoader, out=...), see "
    "docs/items.md."
)
_UNSET = 1_000_000  # a tokenizer without a limit has a model_max_length of 1e30


def wrap(
    model: torch.nn.Module,
    tokenizer: Any = None,
    *,
    name: str | None = None,
    revision: str | None = None,
    adapter: str | None = None,
) -> Encoder:
    """Make an `Encoder` of a model in memory. The model is neither copied nor changed.

    Its base model is read: without task head, without the decoder of an encoder-decoder, without
    ``DataParallel`` or ``torch.compile`` around it; of a SentenceTransformer its transformer. It is in evaluation mode
    while it is read. Afterwards its training flags, gradients, hooks and the random state are as they were.

    Parameters
    ----------
    model : torch.nn.Module
        A transformers model on any device and of any dtype. Weights that are changed later need another `wrap`, because
        the encoder records their digest.
    tokenizer : optional
        The fast tokenizer that belongs to it. Default: the one of ``model.name_or_path``, the place it was loaded from.
    name : str, optional
        Name for messages and records. Default: ``model.name_or_path``, or the name of its class.
    revision : str, optional
        Commit for records.
    adapter : {"on", "off"} or str, optional
        Use the adapter of a ``PeftModel``, or its base model alone, or the adapter of this name. Default: as it is.

    Returns
    -------
    Encoder
        Every function that takes a model takes it.

    Raises
    ------
    ModelError
        If the model is not one of transformers that gives hidden states for token ids, its tokenizer is not found, is
        slow or has no vocabulary, or a weight is not in memory.

    Examples
    --------
    >>> import pyrepsim as rs
    >>> from transformers import AutoModel
    >>> model = AutoModel.from_pretrained("bert-base-uncased").train()
    >>> encoder = rs.wrap(model)
    >>> encoder.name, list(encoder.layers)[:2], model.training
    ('bert-base-uncased', ['embeddings', 'layer.0'], True)
    """
    base, _ = base_module(model)
    origin = str(getattr(base, "name_or_path", "") or "")
    if tokenizer is None:
        _check_reads_tokens(base)
        tokenizer = _tokenizer_of(model, base, origin, revision)
    attention, by_itself = getattr(base.config, "_attn_implementation", None), "eager"
    if getattr(base, "_supports_sdpa", False):
        by_itself = "sdpa"
    attention = None if attention == by_itself else attention
    encoder = make_encoder(
        model, tokenizer, name=name or origin or type(base).__name__, revision=revision, attention=attention
    )
    return encoder if adapter is None else encoder.with_adapter(adapter)


def make_encoder(
    model: torch.nn.Module, tokenizer: Any, *, name: str, revision: str | None, attention: str | None
) -> Encoder:
    """As `wrap`; `attention` is the implementation that was chosen, to be recorded."""
    base, whole = base_module(model)
    _check_tokenizer(tokenizer, name)
    adapters = Adapters(base, configs_of(model))
    weights = weights_digest(base, adapters)  # first, because a weight that is not in memory cannot be used either
    layers, first_block = _layer_widths(base, name)
    return Encoder(
        name=name,
        module=base,
        tokenizer=tokenizer,
        layers=MappingProxyType(layers),
        max_length=_sequence_limit(base, tokenizer),
        position_limit=_position_limit(base),
        weights=weights,
        tokenizer_digest=tokenizer_digest(tokenizer),
        revision=revision,
        whole=whole,
        settings=model_settings(base, attention, adapters),
        adapters=adapters,
        first_block=first_block,
    )


def model_settings(base: torch.nn.Module, attention: str | None, adapters: Adapters) -> dict[str, str]:
    """What differs from a model in float32 on one device."""
    parameters = list(base.parameters())
    dtypes = sorted({str(one.dtype).removeprefix("torch.") for one in parameters if one.is_floating_point()})
    devices = sorted({str(one.device) for one in parameters})
    settings = {
        "model_dtype": None if dtypes == ["float32"] else "+".join(dtypes),
        "device_map": None if len(devices) == 1 else "+".join(devices),
        "attention": attention,
        "quantization": quantization_of(base),
        "adapter": adapters.active if adapters else None,
    }
    return {name: value for name, value in settings.items() if value}


def base_module(model: torch.nn.Module) -> tuple[torch.nn.Module, Whole | None]:
    """The base model within `model`, and its place in an encoder-decoder. Nothing is copied or changed.

    Raises
    ------
    ModelError
        If there is no transformers model in it.
    """
    inner: Any = unwrapped(_transformer_of(model) or model)
    if not hasattr(inner, "config"):
        raise ModelError(
            f"Texts are read by a model of transformers, such as AutoModel loads: {type(model).__name__} has no config."
            f" {_BATCHES}"
        )
    return encoder_part(inner)


def _check_reads_tokens(base: Any) -> None:
    """Refuse a model of images or sound before its tokenizer is looked for."""
    if (reads := getattr(base, "main_input_name", "input_ids")) != "input_ids":
        raise ModelError(
            f"Texts are read by a model that gives hidden states for token ids: {type(base).__name__} reads {reads}. "
            f"{_BATCHES}"
        )


def unwrapped(model: torch.nn.Module) -> torch.nn.Module:
    """The module without ``DataParallel``, ``torch.compile`` and adapters of peft around it."""
    while (held := _held(model)) is not None:
        model = held
    return model


def _held(model: Any) -> Any:
    """The module that a wrapper of torch or peft holds; None for another module."""
    if isinstance(model, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
        return model.module
    if isinstance(compiled := model._modules.get("_orig_mod"), torch.nn.Module):
        return compiled
    return model.get_base_model() if hasattr(model, "get_base_model") else None  # a PeftModel


def _transformer_of(model: torch.nn.Module) -> Any:
    """The transformer of a SentenceTransformer, its first module; None for another model."""
    if not any(one.__module__.partition(".")[0] == "sentence_transformers" for one in type(model).__mro__):
        return None
    return getattr(next(iter(model.children()), None), "auto_model", None)


def _tokenizer_of(model: Any, base: Any, origin: str, revision: str | None) -> Any:
    """The tokenizer of a model in memory, from the place it was loaded from."""
    if _transformer_of(model) is not None:
        return model.tokenizer
    if not origin:
        raise ModelError(
            f"A model in memory needs the tokenizer it was trained with: {type(base).__name__} was not loaded from a "
            "place where one could be (its name_or_path is empty). Pass it: rs.wrap(model, tokenizer)."
        )
    try:
        return load_tokenizer(locate_model(origin, revision=revision))
    except Exception as error:
        raise ModelError(
            f"A model in memory needs the tokenizer it was trained with: {type(base).__name__} was loaded from "
            f"{origin!r}, where none is found ({first_line(error)}). Pass it: rs.wrap(model, tokenizer)."
        ) from error


def load_tokenizer(*sources: ModelSource) -> Any:
    """The fast tokenizer of the first of these folders and hub ids that has one; a hub id is taken to."""
    source = next((one for one in sources if not os.path.isdir(one.location) or has_tokenizer(one)), sources[0])
    try:
        return transformers.AutoTokenizer.from_pretrained(
            source.location, revision=source.revision or "main", use_fast=True, trust_remote_code=False
        )
    except Exception as error:  # transformers raises OSError, ValueError, KeyError and others
        raise ModelError(
            f"A model needs a fast tokenizer beside its weights: none could be loaded for {source.name!r} "
            f"({first_line(error)}). Save one there with `tokenizer.save_pretrained(folder)`. {_BATCHES}"
        ) from error


def has_tokenizer(source: ModelSource) -> bool:
    """Whether a folder, or a commit on the hub, holds files of a tokenizer."""
    folder = Path(source.location)
    folder = folder if folder.is_dir() else fetched(source, _TOKENIZER_FILES)
    return any((folder / name).is_file() for name in _TOKENIZER_FILES)


def _check_tokenizer(tokenizer: Any, name: str) -> None:
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            f"Extraction aligns tokens with the text by the offsets of a fast tokenizer: {name!r} has a slow one "
            f"({type(tokenizer).__name__}). Save it in fast form (tokenizer.json) beside the model."
        )
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        # Without tokenizer files transformers creates a tokenizer that knows only its special tokens.
        raise ModelError(
            f"A model needs the tokenizer it was trained with: {name!r} has none with a vocabulary. Save the "
            "tokenizer into the model's folder with `tokenizer.save_pretrained(folder)`."
        )


def _layer_widths(module: torch.nn.Module, name: str) -> tuple[dict[str, int], str | None]:
    """Names and widths of the hidden states, from one forward pass over few tokens; `first_block` of an `Encoder`."""
    device = next(module.parameters()).device
    rows = Rows(1, min(7, _position_limit(module) or 7))
    ids = torch.zeros((1, rows.tokens), dtype=torch.long, device=device)
    try:
        with undisturbed(module):
            whole, states = trace_calls(module, lambda: hidden_states(module, ids, torch.ones_like(ids)))
    except PyrepsimError:
        raise
    except Exception as error:  # another library's forward pass may raise anything
        raise ModelError(
            f"Texts are read by a model that gives hidden states for token ids: {name!r} ({type(module).__name__}) "
            f"does not ({first_line(error)}). {_BATCHES}"
        ) from error
    if not states:
        raise ModelError(
            f"Texts are read by a model that gives hidden states for token ids: {name!r} ({type(module).__name__}) "
            f"gives none. {_BATCHES}"
        )
    names = ["embeddings"] + [f"layer.{index}" for index in range(len(states) - 1)]
    blocks = find_blocks(whole, states, rows) or []
    late = blocks and not rows.equal(blocks[0].read, states[0])
    widths = {layer: state.shape[2] for layer, state in zip(names, states, strict=True)}
    return widths, blocks[0].path if late else None


def _position_limit(module: torch.nn.Module) -> int | None:
    """Number of tokens that the model has positions for, or None if positions are relative.

    RoBERTa and similar models count positions from ``padding_idx + 1``, so a table of 514 serves 512 tokens.
    """
    limits = []
    for name, child in module.named_modules():
        if name.rpartition(".")[2] in ("position_embeddings", "embed_positions", "wpe"):
            padding, rows = getattr(child, "padding_idx", None), getattr(child, "num_embeddings", None)
            if rows is not None:
                limits.append(int(rows) if padding is None else int(rows) - int(padding) - 1)
    declared = getattr(module.config, "max_position_embeddings", None)
    if declared is not None and declared > 0:
        limits.append(int(declared))  # the tables of OPT and BART have two extra rows
    return min(limits, default=None)


def _sequence_limit(module: torch.nn.Module, tokenizer: Any) -> int | None:
    """The smaller of the model's and the tokenizer's limit, special tokens included."""
    known = [limit for limit in (_position_limit(module), tokenizer.model_max_length) if limit is not None]
    limit = min(known, default=_UNSET)
    return int(limit) if limit < _UNSET else None
