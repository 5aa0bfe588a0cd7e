"""Sentences with random trees, and stores whose activations encode the trees or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash

from pyrepsim.store import ActivationStore, write_store

TAGS = ["NN", "VB", "DT", "IN", "JJ", ",", "."]


@dataclass(frozen=True)
class TreeOfWords:
    words: tuple[str, ...]
    heads: tuple[int, ...]
    xpos: tuple[str, ...]
    where: str


def random_sentences(
    n: int, rng: np.random.Generator, *, longest: int = 12, only_leaves: bool = False
) -> list[TreeOfWords]:
    """Trees in which the head of each word is one that was attached before it; some tags are punctuation.

    only_leaves : punctuation has no words below it, as in most sentences of a treebank; gold trees then have no ties.
    """
    sentences = []
    for number in range(n):
        length = int(rng.integers(2, longest + 1))
        order = rng.permutation(length) + 1
        heads = np.zeros(length, int)
        for place in range(1, length):
            heads[order[place] - 1] = order[rng.integers(max(0, place - 3), place)]
        words = tuple(f"w{word}" for word in rng.integers(0, 10_000, length))
        tags = [TAGS[i] for i in rng.integers(0, len(TAGS), length)]
        if only_leaves:
            tags = ["NN" if word in heads or not heads[word - 1] else tag for word, tag in enumerate(tags, start=1)]
        sentences.append(TreeOfWords(words, tuple(heads.tolist()), tuple(tags), f"toy.conllu:{number + 1}"))
    return sentences


def embedded(heads: Sequence[int], width: int) -> np.ndarray:
    """Each arc has its own direction; a word is the sum of the directions from the root to it. Shape (n, width).

    Squared distances are then the path lengths of the tree, squared norms the depths.
    """
    vectors = np.zeros((len(heads), width), np.float32)
    for word in range(len(heads)):
        at = word
        while heads[at]:
            vectors[word, at] = 1
            at = heads[at] - 1
    return vectors


def word_rows(sentences: Sequence[TreeOfWords]) -> dict[str, np.ndarray]:
    """The token columns of a store of these words."""
    lengths = [len(sentence.words) for sentence in sentences]
    position = np.concatenate([np.arange(length) for length in lengths])
    identity = [xxhash.xxh32_intdigest(word.encode()) & 0x7FFFFFFF for s in sentences for word in s.words]
    doc_id = np.repeat(np.arange(len(sentences)), lengths)
    return {"doc_id": doc_id, "position": position, "word_id": position, "token_id": np.array(identity)}


def store_of(
    path: Path, sentences: Sequence[TreeOfWords], layers: dict[str, np.ndarray], **options: object
) -> ActivationStore:
    options = {"dtype": "float32", "plan": {"rows": {"unit": "word"}}} | options
    return write_store(path, layers, columns=word_rows(sentences), **options)
