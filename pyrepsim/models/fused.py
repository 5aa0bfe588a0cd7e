"""Where queries, keys and values are in the output of a projection that computes more than one of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

__all__ = ["fused_columns", "gated_columns"]

# "one after the other": all heads of the queries, then of the keys, then of the values.
# "by group": for each key head its queries, its key and its value.
# CodeGen: four parts, one for each of the devices that it was trained on: queries, values and keys of its heads.
_ONE_AFTER_THE_OTHER = (
    "DbrxAttention",
    "DecisionTransformerGPT2Attention",
    "GPT2Attention",
    "ImageGPTAttention",
    "ModernBertAttention",
    "MptAttention",
    "Phi3Attention",
)
_BY_GROUP = ("BloomAttention", "GPTNeoXAttention", "GPTNeoXJapaneseAttention", "PersimmonAttention")

# Projections of queries that give for each head the query, and then the gate of its result.
_GATED = ("Qwen3NextAttention", "Qwen3_5Attention", "Qwen3_5MoeAttention", "Qwen4ExpTextAttention")


def gated_columns(attention: torch.nn.Module, width: int, n_heads: int) -> np.ndarray | None:
    """Return the columns of the queries, head after head, in a projection that computes gates too; None for others."""
    if type(attention).__name__ not in _GATED or width % (2 * n_heads):
        return None
    return np.arange(width).reshape(n_heads, 2, -1)[:, 0].reshape(-1)


def fused_columns(attention: torch.nn.Module, width: int, n_heads: int) -> dict[str, np.ndarray] | None:
    """Return the columns of queries, keys and values, head after head; None for an unknown order.

    Parameters
    ----------
    attention : torch.nn.Module
        The module that holds the projection. Its class decides the order, because no shape shows it.
    width : int
        Number of columns of the projection.
    n_heads : int
        Number of heads of the queries. Keys and values may have fewer.
    """
    if type(attention).__name__ == "CodeGenAttention" and not width % 12:
        parts = np.arange(width).reshape(4, 3, -1)
        return {role: parts[:, place].reshape(-1) for role, place in (("queries", 0), ("keys", 2), ("values", 1))}
    found = _order(attention, n_heads)
    if found is None:
        return None
    by_group, n_keys = found
    if n_keys < 1 or n_heads % n_keys or width % (n_heads + 2 * n_keys):
        return None
    heads = np.arange(width).reshape(n_heads + 2 * n_keys, -1)
    if by_group:
        groups = heads.reshape(n_keys, n_heads // n_keys + 2, -1)
        parts = groups[:, :-2], groups[:, -2], groups[:, -1]
    else:
        parts = heads[:n_heads], heads[n_heads : n_heads + n_keys], heads[n_heads + n_keys :]
    return {role: part.reshape(-1) for role, part in zip(("queries", "keys", "values"), parts, strict=True)}


def _order(attention: Any, n_heads: int) -> tuple[bool, int] | None:
    """Whether columns are ordered by group, and the number of heads of the keys."""
    name = type(attention).__name__
    if name == "FalconAttention":
        if attention.new_decoder_architecture:
            return True, attention.num_kv_heads
        return not attention.multi_query, 1 if attention.multi_query else n_heads
    if name == "GPTBigCodeAttention":
        return not attention.multi_query, 1 if attention.multi_query else n_heads
    if name in _BY_GROUP:
        return True, n_heads
    if name in _ONE_AFTER_THE_OTHER:
        return False, getattr(attention, "num_key_value_heads", n_heads)
    return None
