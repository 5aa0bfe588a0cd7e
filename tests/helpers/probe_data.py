"""Small corpora for probes: words of one or two pieces, states with or without a signal, and their store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pyrepsim.store import ActivationStore, write_store

LAYERS = ("embeddings", "layer.0", "layer.1")


def sentences(rng: np.random.Generator, n: int, *, prefix: str = "") -> list[list[str]]:
    """Different sentences of 3 to 7 words."""
    return [[f"{prefix}{i}"] + [f"w{rng.integers(9)}" for _ in range(rng.integers(2, 7))] for i in range(n)]


def pieces(words: Sequence[str]) -> list[tuple[int, int, int]]:
    """(start, end, word) of each piece: words that end in an odd digit have two."""
    result, at = [], 0
    for index, word in enumerate(words):
        middle = at + 1 if int(word[-1]) % 2 else at + len(word)
        result += [(at, middle, index)] + ([(middle, at + len(word), index)] if middle < at + len(word) else [])
        at += len(word) + 1
    return result


def store_of(
    path: Path, texts: Sequence[Sequence[str]], states: Any, *, layers: Sequence[str] = LAYERS, **options: Any
) -> ActivationStore:
    """A store with [CLS], pieces and [SEP] of each text; `states(layer, document, word)` gives a piece's vector."""
    columns: dict[str, list[int]] = {name: [] for name in ("doc_id", "position", "token_id", "char_start", "char_end")}
    columns["flags"] = []
    rows: dict[str, list[np.ndarray]] = {layer: [] for layer in layers}
    for document, words in enumerate(texts):
        inside = [(-1, -1, -1), *pieces(words), (-1, -1, -1)]
        for position, (start, end, word) in enumerate(inside):
            token = 0 if word < 0 else 1 + int(words[word][-1])
            entry = (document, position, token, start, end, int(word < 0))
            for name, value in zip(columns, entry, strict=True):
                columns[name].append(value)
            for place, layer in enumerate(layers):
                rows[layer].append(states(place, document, word))
    arrays = {layer: np.stack(vectors).astype(np.float32) for layer, vectors in rows.items()}
    return write_store(
        path, arrays, columns={k: np.array(v) for k, v in columns.items()}, **({"dtype": "float32"} | options)
    )


def noise(rng: np.random.Generator, width: int) -> Any:
    """States that are random, always the same for a piece."""
    seed = int(rng.integers(2**31))
    return lambda *place: np.random.default_rng([seed, *(value + 1 for value in place)]).normal(size=width)


def labelled(
    texts: Sequence[Sequence[str]], rng: np.random.Generator, labels: Sequence[str], *, spans: int = 1, longest: int = 1
) -> list[dict[str, Any]]:
    """A target for every word but the last, with a random label; span1 starts at the word, span2 at a random one."""
    records = []
    for words in texts:
        targets = []
        for start in range(len(words) - 1):
            end = min(start + int(rng.integers(1, longest + 1)), len(words))
            target: dict[str, Any] = {"span1": [start, end], "label": labels[int(rng.integers(len(labels)))]}
            if spans == 2:
                other = int(rng.integers(len(words)))
                target["span2"] = [other, other + 1]
            targets.append(target)
        records.append({"text": " ".join(words), "targets": targets})
    return records


def signal(
    records: Sequence[dict[str, Any]], base: Any, layer: int, labels: Sequence[str], width: int, *, scale: float = 2.0
) -> Any:
    """`base` states, plus a vector for the label of the target that starts at a word, at one layer."""
    codes = np.random.default_rng(7).normal(size=(len(labels), width)) * scale
    vectors = {
        (document, target["span1"][0]): codes[labels.index(target["label"])]
        for document, record in enumerate(records)
        for target in record["targets"]
    }
    zero = np.zeros(width)
    return lambda place, document, word: (
        base(place, document, word) + (vectors.get((document, word), zero) if place == layer else zero)
    )
