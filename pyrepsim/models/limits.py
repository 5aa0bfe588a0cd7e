"""How long a sequence a model takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
