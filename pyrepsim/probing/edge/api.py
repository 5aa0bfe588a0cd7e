"""`edge_probe`: from a store and records to scores of all layers, mixes and seeds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack

import numpy as np

from ...models import Encoder
from ...store import ActivationStore
from .evaluation import rule_of
from .lexical import lexical_table
from .members import choose_members
from .recipe import Recipe
from .result import EdgeResult
from .running import find_device, run_probes
from .splits import Given, Records, SplitLike, align_splits, given_split, open_splits


def edge_probe(
    store: ActivationStore,
    records: Records,
    *,
    dev: SplitLike,
    test: SplitLike | None = None,
    task: str = "spans",
    members: str | Sequence[str] | None = None,
    seeds: Iterable[int] | None = None,
    lex: Encoder | np.ndarray | None = None,
    recipe: Recipe | None = None,
    texts: Sequence[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    progress: bool | None = None,
) -> EdgeResult:
    """Train edge probes over all layers, mixes of layers and seeds of a frozen encoder at once, and score them.

    Parameters
    ----------
    store : ActivationStore
        Token states of the records' texts, which are its documents in their order: each text once
        (``probe_texts(records)``), or one for each record.
    records : iterable of {"text": str, "targets": [{"span1": [s, e], "span2"?: [s, e], "label": str | [str]}]}
        Training targets; spans count words, which single spaces separate, e one past the last.
    dev, test : (store, records) or (store, records, texts)
        Split for validations, and one that is only scored. `texts` as below.
    task : str
        Decides the scoring (`rule_of`), the published schedule (`Recipe.for_task`) and the seeds (DPR: 5).
    members : str or list of str
        "layers", "mixes", "top", "mix", "mix.K", "lex" or a layer's name, see `choose_members`. Default: layers,
        mixes, and lex if given.
    seeds : ints
        Each trains every member once more. Default: 0, or 0 to 4 for DPR.
    lex : Encoder or array of shape (vocabulary, width)
        Where the lexical baseline takes its vectors from: see `lexical_table`.
    recipe : Recipe
        Default: ``Recipe.for_task(task)``.
    texts : list of str
        Texts of the store's documents, in their order, if these are more or other than the records'.
    out : path
        Folder that the state of training is saved to after each validation. The same call goes on from it.
    device : str
        Where the probes train: a torch device.
    progress : bool
        Show a bar with the losses of all members; None shows it on a terminal only.

    Raises
    ------
    TextError, RowMismatchError
        If records have another shape, no target can be probed, or a store holds other texts.
    LayerError, OptionError, ShapeError, StoreError
        If members, seeds, widths of layers or the folder do not serve.
    """
    recipe = Recipe.for_task(task) if recipe is None else recipe
    table = None if lex is None else lexical_table(lex)
    seeds = range(rule_of(task).seeds) if seeds is None else seeds
    chosen = choose_members(members, store.layers, seeds, lexical=lex is not None)
    where = find_device(device)
    given = {"train": Given(store, records, texts), "dev": given_split("dev", dev)}
    if test is not None:
        given["test"] = given_split("test", test)
    targets, digests = align_splits(given)
    with ExitStack() as stack:
        return run_probes(
            open_splits(stack, given, targets, chosen, table),
            chosen,
            recipe,
            task=task,
            layers=store.layers,
            about=digests,
            out=out,
            device=where,
            progress=progress,
        )
