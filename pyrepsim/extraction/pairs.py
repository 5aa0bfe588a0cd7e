"""Pairs of texts, such as a premise and a hypothesis: which documents are pairs, and how long ones are cut."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from ..core.errors import OptionError, TextError
from ..data.documents import Corpus
from ..data.tokenizing import cut_pair

__all__ = ["check_pairs", "cut_pairs", "warn_of_joined"]

log = logging.getLogger("pyrepsim.extraction")


def check_pairs(corpus: Corpus) -> None:
    """Raise TextError if some documents are pairs and others are not."""
    kinds = {document.second is not None: document for document in corpus}
    if len(kinds) > 1:
        raise TextError(
            f"Documents must be all pairs or all single texts: {kinds[True].key!r} is a pair and {kinds[False].key!r} "
            "is none. Read them to two stores. A tuple of two strings is a pair, a list of strings is words."
        )


def cut_pairs(part: dict[str, np.ndarray], longest: int | None) -> dict[str, np.ndarray]:
    """Return the arrays of tokens of pairs, cut to `longest` tokens each; None for any length.

    The longer text of a pair is cut first. The pieces of a word that is cut belong to no word any more.

    Raises
    ------
    OptionError
        If special tokens alone are as many.
    """
    lengths = part["lengths"]
    long = np.zeros(len(lengths), bool) if longest is None else lengths > longest
    if longest is None or not long.any():
        return part
    keep, word, ends = np.ones(len(part["ids"]), bool), part["word"].copy(), np.cumsum(lengths)
    for document in np.flatnonzero(long):
        own = np.arange(ends[document] - lengths[document], ends[document])
        texts = [own[part["segment"][own] == text] for text in (0, 1)]
        n_special = len(own) - len(texts[0]) - len(texts[1])
        if longest <= n_special:
            raise OptionError(
                f"max_length must be more than the number of special tokens: got {longest}, of which {n_special} are "
                "special tokens of a pair. Raise max_length."
            )
        for text, n in zip(texts, cut_pair(len(texts[0]), len(texts[1]), longest - n_special), strict=True):
            keep[text[n:]] = False
            rest = text[:n]
            word[rest[np.isin(word[rest], word[text[n:]])]] = -1
    of_tokens = ("ids", "char_start", "char_end", "special", "assistant", "segment", "types")
    cut = {name: part[name][keep] for name in of_tokens}
    before = np.concatenate([[0], np.cumsum(keep)])
    kept = before[ends] - before[ends - lengths]
    return {**part, **cut, "word": word[keep], "lengths": kept, "cut": long}


def warn_of_joined(segment: np.ndarray, tokenizer: Any) -> None:
    """Log a warning if the tokenizer puts no token between the two texts of a pair."""
    if ((segment[:-1] == 0) & (segment[1:] == 1)).any():
        log.warning(
            "%s puts no token between the two texts of a pair: the second one follows the first at once. (Fine-tuning "
            "puts its separator there.) Give the tokenizer a template for pairs, or texts that have a separator.",
            type(tokenizer).__name__,
        )
