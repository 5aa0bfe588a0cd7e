"""An encoder: a Hugging Face model without its task head, as the hidden states it gives for token ids.

FOLDED: How long a sequence a model takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch

from ..core.errors import ModelError
from .source import tokenizer_digest, weights_digest

if TYPE_CHECKING:
    import torch

_UNSET = 1_000_000  # tokenizers say 1e30 when nobody told them a limit


def position_limit(module: torch.nn.Module) -> int | None:
    """Tokens for which the model has positions, or None where positions are relative.

    RoBERTa and its kin count positions from ``padding_idx + 1``, so a table of 514 serves 512 tokens.
    """
    limits = []
    for name, child in module.named_modules():
        if name.rpartition(".")[2] in ("position_embeddings", "embed_positions", "wpe"):
            padding, rows = getattr(child, "padding_idx", None), getattr(child, "num_embeddings", None)
            if rows is not None:
                limits.append(int(rows) if padding is None else int(rows) - int(padding) - 1)
    declared = getattr(module.config, "max_position_embeddings", None)
    if declared is not None and declared > 0:
        limits.append(int(declared))  # OPT and BART have two rows more than they can use
    return min(limits, default=None)


def sequence_limit(module: torch.nn.Module, tokenizer: Any) -> int | None:
    """The smaller of the model's and the tokenizer's limit, special tokens included."""
    known = [limit for limit in (position_limit(module), tokenizer.model_max_length) if limit is not None]
    limit = min(known, default=_UNSET)
    return int(limit) if limit < _UNSET else None


@dataclass(frozen=True, eq=False)
class Encoder:
    """A model ready for extraction; made by `load_encoder` or `wrap_encoder`.

    Attributes
    ----------
    name, revision
        What was asked for, and the hub commit it resolved to (None for a folder or a module in memory).
    layers
        Width of every hidden state, in order: ``"embeddings"`` (the input of the first block), then
        ``"layer.0"`` to ``"layer.N-1"`` (the output of each block). The last state is as the model returns
        it: decoders such as GPT-2 apply their final normalisation to it.
    max_length
        Tokens per sequence that the model and its tokenizer agree on, special tokens included; None if
        unlimited.
    position_limit
        Tokens per sequence beyond which the model has no positions; None if it has no table of them.
    weights, tokenizer_digest
        xxh3-128 of the weights in use, and of all that decides token ids.
    """

    name: str
    module: torch.nn.Module
    tokenizer: Any
    layers: Mapping[str, int]
    max_length: int | None
    position_limit: int | None
    weights: str
    tokenizer_digest: str
    revision: str | None = None

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    @property
    def vocabulary(self) -> int | None:
        """Rows of the token embedding; None if the model does not say."""
        find: Any = getattr(self.module, "get_input_embeddings", None)
        return getattr(find(), "num_embeddings", None) if find is not None else None

    @property
    def pad_id(self) -> int:
        """The id that fills a batch. Models without one ignore the value: the attention mask hides it."""
        pad = self.tokenizer.pad_token_id
        return 0 if pad is None else int(pad)

    def hidden_states(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """All hidden states, one (batch, tokens, width) tensor per entry of `layers`, without gradients."""
        with torch.inference_mode():
            return _forward(self.module, input_ids, attention_mask)

    def record(self) -> dict[str, str | None]:
        """What a store writes down to say which model made it."""
        return {"id": self.name, "revision": self.revision, "weights": self.weights}

    def __repr__(self) -> str:
        return f"Encoder({self.name!r}, layers={len(self.layers)}, max_length={self.max_length}, {self.device})"


def wrap_encoder(module: torch.nn.Module, tokenizer: Any, *, name: str, revision: str | None = None) -> Encoder:
    """An `Encoder` around a model that is already in memory: its base model, switched to evaluation mode."""
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            f"Extraction aligns tokens with the text by the offsets of a fast tokenizer: {name!r} has a slow one "
            f"({type(tokenizer).__name__}). Save it in fast form (tokenizer.json) beside the model."
        )
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        # Without tokenizer files transformers makes up a tokenizer that knows its special tokens only.
        raise ModelError(
            f"A model needs the tokenizer it was trained with: {name!r} has none with a vocabulary. Save the "
            "tokenizer into the model's folder with `tokenizer.save_pretrained(folder)`."
        )
    base: Any = getattr(module, "base_model", module)
    if getattr(base.config, "is_encoder_decoder", False):
        base = base.get_encoder()
    base = base.eval()
    return Encoder(
        name=name,
        module=base,
        tokenizer=tokenizer,
        layers=MappingProxyType(_layer_widths(base, name)),
        max_length=sequence_limit(base, tokenizer),
        position_limit=position_limit(base),
        weights=weights_digest(base),
        tokenizer_digest=tokenizer_digest(tokenizer),
        revision=revision,
    )


def _layer_widths(module: torch.nn.Module, name: str) -> dict[str, int]:
    """Names and widths of the hidden states, from one forward pass over two tokens."""
    device = next(module.parameters()).device
    ids = torch.zeros((1, 2), dtype=torch.long, device=device)
    try:
        with torch.inference_mode():
            states = _forward(module, ids, torch.ones_like(ids))
        shapes = [tuple(state.shape) for state in states]
    except Exception as error:  # a foreign forward may fail in any way
        raise ModelError(
            f"Extraction needs a model that gives hidden states for token ids: {name!r} ({type(module).__name__}) "
            f"does not ({first_line(error)}). Use a text encoder or decoder."
        ) from error
    if not shapes or any(len(shape) != 3 or shape[:2] != (1, 2) for shape in shapes):
        raise ModelError(
            f"Every hidden state must have one row per token: {name!r} ({type(module).__name__}) gives shapes "
            f"{shapes} for 2 tokens. Models that merge tokens between layers cannot be extracted."
        )
    names = ["embeddings"] + [f"layer.{index}" for index in range(len(shapes) - 1)]
    return {layer: shape[2] for layer, shape in zip(names, shapes, strict=True)}


def _forward(
    module: torch.nn.Module, input_ids: torch.Tensor, attention_mask: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    options = {"use_cache": False} if hasattr(module.config, "use_cache") else {}
    return module(
        input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True, **options
    ).hidden_states


def first_line(error: BaseException) -> str:
    """What a foreign error says, in one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no detail'}"
