"""A row per document: the mean over its chosen tokens, which are read in one sequence, or in several windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from ..data.documents import Corpus
from ..store.columns import TokenFlag, word_hashes

__all__ = ["Pieces", "document_columns", "find_pieces"]


@dataclass(frozen=True, eq=False)
class Pieces:
    """The chosen tokens of each document by sequence: a piece is all of them that are read in one sequence.

    Attributes
    ----------
    sequence : ndarray of shape (n_pieces,)
        The sequence of each piece, increasing.
    row : ndarray of shape (n_pieces,)
        The row that each piece is a part of: the number of its document among those that have rows.
    weight : ndarray of shape (n_pieces,)
        The fraction of the tokens of that row.
    """

    sequence: np.ndarray
    row: np.ndarray
    weight: np.ndarray

    @property
    def are_rows(self) -> bool:
        """Whether each row is a single piece."""
        return bool((self.weight == 1.0).all())

    def joined(self, means: torch.Tensor) -> torch.Tensor:
        """Return the means of rows from those of their pieces, (n_pieces, width), float64; added in reading order."""
        starts = np.searchsorted(self.row, np.arange(int(self.row[-1]) + 1))
        return torch.from_numpy(np.add.reduceat(means.numpy() * self.weight[:, None], starts, axis=0))


def find_pieces(document: np.ndarray, sequence: np.ndarray) -> Pieces:
    """Return the pieces of tokens with these documents and sequences, both in document order."""
    own, first, counts = np.unique(sequence, return_index=True, return_counts=True)
    _, row = np.unique(document[first], return_inverse=True)
    return Pieces(own, row, counts / np.bincount(row, weights=counts)[row])


def document_columns(corpus: Corpus, tokens: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the columns of the rows of documents from those of their tokens, by the names that the store uses.

    A document is identified by its number and a hash of its text (column ``token_id``), which are the same for every
    tokenizer.
    """
    document, first = np.unique(tokens["doc_id"], return_index=True)
    flags = np.bitwise_or.reduceat(tokens["flags"], first) if len(first) else tokens["flags"]
    kept = np.uint8(TokenFlag.UNKNOWN | TokenFlag.TRUNCATED_CONTEXT)
    own = [corpus[index] for index in document.tolist()]
    return {
        "doc_id": document,
        "position": np.zeros(len(document), np.int32),
        "token_id": word_hashes(one.text if one.chat is None else one.chat for one in own),
        "flags": flags & kept,
    }
