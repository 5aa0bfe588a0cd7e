"""Digests that say which weights and which tokenizer made a representation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import xxhash

if TYPE_CHECKING:
    import torch


def weights_digest(module: torch.nn.Module) -> str:
    """xxh3-128 over names, dtypes, shapes and bytes of all weights, in order of name."""
    import torch

    digest = xxhash.xxh3_128()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def tokenizer_digest(tokenizer: Any) -> str:
    """xxh3-128 over what decides token ids: vocabulary, merges, normalisation, splitting, special tokens.

    Saved truncation and padding settings are left out: extraction never uses them, and they differ between a
    model and its fine-tuned descendants.
    """
    record = json.loads(tokenizer.backend_tokenizer.to_str())
    for irrelevant in ("version", "truncation", "padding", "decoder"):
        record.pop(irrelevant, None)
    return xxhash.xxh3_128(json.dumps(record, sort_keys=True).encode()).hexdigest()
