"""Splits of records, each aligned with its store and opened for reading."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np

from ...core.errors import OptionError, RowMismatchError
from ...store import ActivationStore
from .members import LEXICAL, Member
from .records import digest_of, read_records
from .rows import StoreRows
from .targets import Targets, align
from .training import Split

Records = Iterable[Mapping[str, Any]]
SplitLike = tuple[ActivationStore, Records] | tuple[ActivationStore, Records, Sequence[str]]


class Given(NamedTuple):
    """A split as the caller gave it; `texts` are those of the store's documents, if they are not the records'."""

    store: ActivationStore
    records: Records
    texts: Sequence[str] | None = None


def given_split(name: str, split: Any) -> Given:
    """What was passed as a split; OptionError unless it is (store, records) or (store, records, texts)."""
    if not isinstance(split, tuple) or len(split) not in (2, 3) or not isinstance(split[0], ActivationStore):
        raise OptionError(f"{name} must be (store, records) or (store, records, texts): got {type(split).__name__}.")
    return Given(*split)


def align_splits(given: Mapping[str, Given]) -> tuple[dict[str, Targets], dict[str, Any]]:
    """Targets of every split, with the labels of "train", and the digests of stores and records (JSON).

    Raises OptionError if splits have other numbers of spans, RowMismatchError if their stores come from other models.
    """
    targets: dict[str, Targets] = {}
    digests: dict[str, str] = {}
    for name, split in given.items():
        records = read_records(split.records, name)
        labels = targets["train"].labels if targets else None
        targets[name] = align(split.store, records, name=name, labels=labels, held=split.texts)
        digests[name] = digest_of(records)
        if targets[name].n_spans != targets["train"].n_spans:
            raise OptionError(
                f"All splits of a task must have equally many spans: train has {targets['train'].n_spans}, {name} "
                f"{targets[name].n_spans}."
            )
        check_one_model(given["train"].store, split.store)
    return targets, {"records": digests, "stores": {name: split.store.digest for name, split in given.items()}}


def check_one_model(ours: ActivationStore, theirs: ActivationStore) -> None:
    """Raise RowMismatchError unless both stores hold the same layers of one model, as far as they say."""
    weights = [store.plan.get("model", {}).get("weights") for store in (ours, theirs)]
    if weights[0] != weights[1] or ours.widths != theirs.widths:
        raise RowMismatchError(
            f"All splits must be extracted from one model: {ours.path} and {theirs.path} come from models with other "
            "weights or layers. Extract both with the same model."
        )


def open_splits(
    stack: ExitStack,
    given: Mapping[str, Given],
    targets: Mapping[str, Targets],
    members: Sequence[Member],
    table: np.ndarray | None,
) -> dict[str, Split]:
    """The targets of every split with the rows that the members read, open for as long as `stack` is."""
    layers = given["train"].store.layers
    wanted = {name for member in members for name in member.sources}
    sources = [name for name in (*layers, LEXICAL) if name in wanted]
    return {
        name: Split(targets[name], stack.enter_context(StoreRows(split.store, sources, table)))
        for name, split in given.items()
    }
