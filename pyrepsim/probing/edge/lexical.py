"""The lexical baseline: a vector for every word piece, without its position or context."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ...core.errors import ModelError, ShapeError
from ...models import Encoder


def lexical_table(source: Encoder | np.ndarray) -> np.ndarray:
    """Float32 (vocabulary, width): LayerNorm(word-piece embedding), no position or segment added.

    source : an encoder, whose embedding table and, where its embeddings have one, layer norm are taken; or a table.

    Raises ModelError for a model without such a table, ShapeError for an array that is no matrix.
    """
    if not isinstance(source, Encoder):
        table = np.asarray(source, dtype=np.float32)
        if table.ndim != 2:
            raise ShapeError(f"A lexical table must have shape (vocabulary, width): got {table.shape}.")
        return table
    module = source.module
    find: Any = getattr(module, "get_input_embeddings", lambda: None)
    embedding = find()
    if not isinstance(embedding, torch.nn.Embedding):
        raise ModelError(
            f"The lexical baseline needs a table of word pieces: {source.name!r} has {type(embedding).__name__}. Give "
            "an array of shape (vocabulary, width)."
        )
    embeddings = getattr(module, "embeddings", None)
    norm = getattr(embeddings, "LayerNorm", None) or getattr(embeddings, "norm", None)
    with torch.no_grad():
        table = embedding.weight.float()
        if norm is not None:
            table = norm(table)
        return table.cpu().numpy()
