"""The lexical baseline: the vector of a word piece, without its position or context."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ...core.errors import ModelError, ShapeError
from ...models import Encoder

__all__ = ["lexical_table"]


def lexical_table(source: Encoder | np.ndarray) -> np.ndarray:
    """Return the vectors that the lexical baseline reads: LayerNorm(word-piece embedding), without position or segment.

    Parameters
    ----------
    source : Encoder or ndarray of shape (vocabulary, width)
        A model, whose embedding table is taken with the layer norm of its embeddings if there is one; or a table.

    Returns
    -------
    ndarray of shape (vocabulary, width), float32

    Raises
    ------
    ModelError
        If the model has no embedding table.
    ShapeError
        If the array is not a matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from pyrepsim.probing.edge import lexical_table
    >>> lexical_table(np.eye(3)).dtype
    dtype('float32')
    """
    if not isinstance(source, Encoder):
        table = np.asarray(source, dtype=np.float32)
        if table.ndim != 2:
            raise ShapeError(f"A lexical table must have shape (vocabulary, width): got {table.shape}.")
        return table
    module = source.module
    get: Any = getattr(module, "get_input_embeddings", lambda: None)
    embedding = get()
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
