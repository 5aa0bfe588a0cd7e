"""Sentence-level probes: one vector for each document of a store, its [CLS] row or the mean of its tokens."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack

import numpy as np
import xxhash

from ..core.errors import OptionError, ShapeError, TextError
from ..store import ActivationStore
from .edge.documents import count_documents
from .edge.members import choose_members
from .edge.recipe import Recipe
from .edge.result import EdgeResult
from .edge.rows import StoreRows
from .edge.running import find_device, run_probes
from .edge.splits import check_one_model
from .edge.targets import Finding, Targets, pointers, ranges
from .edge.training import Split

__all__ = ["POOLING", "SENTENCE_RECIPE", "sentence_probe"]

POOLING = ("cls", "mean")

SENTENCE_RECIPE = Recipe(
    projection=None, family="linear", loss="softmax", learning_rate=1e-3, validate_every=100, max_validations=100
)
"""A linear classifier of the pooled vector; ``SENTENCE_RECIPE.but(family="mlp")`` has a hidden layer."""

LabelledSplit = tuple[ActivationStore, Sequence[str]]


def sentence_probe(
    store: ActivationStore,
    labels: Sequence[str],
    *,
    dev: LabelledSplit,
    test: LabelledSplit | None = None,
    task: str = "sentences",
    pooling: str = "cls",
    members: str | Sequence[str] | None = None,
    seeds: Iterable[int] = (0,),
    recipe: Recipe = SENTENCE_RECIPE,
    out: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    progress: bool | None = None,
) -> EdgeResult:
    """Probe one label for each document of a store, over all layers, mixes and seeds at once.

    Parameters
    ----------
    labels : sequence of str
        A label for each document, in their order.
    dev, test : (store, labels)
    pooling : {"cls", "mean"}
        The vector of a document: its first special token, or the mean of its content tokens.

    Other parameters as of `edge_probe`. With the default loss, F1 is accuracy. Documents without the rows that the
    pooling needs are left out and listed in the result's `findings`.

    Raises ShapeError unless there is one label for each document, TextError if no document has the rows.
    """
    if pooling not in POOLING:
        raise OptionError(f"pooling must be one of {', '.join(POOLING)}: got {pooling!r}.")
    chosen = choose_members(members, store.layers, seeds, lexical=False)
    given: dict[str, LabelledSplit] = {"train": (store, labels), "dev": dev} | ({"test": test} if test else {})
    wanted = {name for member in chosen for name in member.sources}
    vocabulary = tuple(sorted(set(labels)))
    with ExitStack() as stack:
        splits: dict[str, Split] = {}
        for name, (held, its) in given.items():
            check_one_model(store, held)
            rows = stack.enter_context(StoreRows(held, [layer for layer in held.layers if layer in wanted]))
            source = PooledRows(held, rows, pooling)
            splits[name] = Split(_targets(held, its, source, vocabulary, name), source)
        return run_probes(
            splits,
            chosen,
            recipe,
            task=task,
            layers=store.layers,
            about={
                "pooling": pooling,
                "stores": {name: held.digest for name, (held, _) in given.items()},
                "records": {
                    name: xxhash.xxh3_128_hexdigest(repr(list(its)).encode()) for name, (_, its) in given.items()
                },
            },
            out=out,
            device=find_device(device),
            progress=progress,
        )


def _targets(
    store: ActivationStore, labels: Sequence[str], source: PooledRows, vocabulary: tuple[str, ...], name: str
) -> Targets:
    n_documents = count_documents(store)
    if len(labels) != n_documents:
        raise ShapeError(f"There must be one label a document: {name} has {len(labels)}, {store.path} {n_documents}.")
    kept = np.flatnonzero(source.counts[:n_documents] > 0)
    if not len(kept):
        raise TextError(
            f"pooling={source.pooling!r} needs such rows: {store.path} has none. Extract all tokens, or pool otherwise."
        )
    findings = [
        Finding("document without rows to pool", f"document {document} of {name}")
        for document in range(n_documents)
        if not source.counts[document]
    ]
    place = {label: i for i, label in enumerate(vocabulary)}
    gold = [labels[document] for document in kept.tolist()]
    known = [place.get(label) for label in gold]
    unseen = {i: (gold[i],) for i, label in enumerate(known) if label is None}
    findings += [
        Finding("label not seen in training, counted as missed", f"document {kept[i]} of {name}", True) for i in unseen
    ]
    return Targets(
        labels=vocabulary,
        ptr=np.arange(len(kept) + 1),
        record=kept,
        spans=np.stack([kept, kept + 1], 1)[:, None],
        label_ptr=pointers([int(label is not None) for label in known]),
        label_ids=np.array([label for label in known if label is not None], np.int64),
        unseen=unseen,
        findings=tuple(findings),
    )


class PooledRows:
    """Documents as rows: row number i is document i, pooled. `counts` has the tokens that each is pooled from."""

    def __init__(self, store: ActivationStore, rows: StoreRows, pooling: str) -> None:
        self._rows, self.pooling = rows, pooling
        self.names, self.width = rows.names, rows.width
        self._tokens = np.flatnonzero(store.columns.mask("cls" if pooling == "cls" else "content"))
        n_documents = count_documents(store)
        bounds = np.searchsorted(store.columns.doc_id[self._tokens], np.arange(n_documents + 1))
        self._first, self.counts = bounds[:-1], np.diff(bounds)

    def read(self, rows: np.ndarray) -> np.ndarray:
        counts = self.counts[rows]
        tokens = self._rows.read(self._tokens[ranges(self._first[rows], counts)])
        starts = pointers(counts)[:-1]
        return np.add.reduceat(tokens, starts, axis=1) / counts[:, None].astype(np.float32)
