"""`fit_edge_probes`: from stores and records to the scores of all layers, mixes and seeds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...core.errors import OptionError, RowMismatchError
from ...models import Encoder
from ...models.loading import resolve_device
from ...store import ActivationStore
from ...version import __version__
from ..checkpoint import load_state, save_state
from ..rows import StoreRows
from .evaluation import evaluate, rule_of
from .lexical import lexical_table
from .recipe import LEXICAL, EdgeProbeRecipe, Member, choose_members
from .records import read_records, records_digest
from .result import EdgeResult, collect_result
from .targets import Targets, align
from .training import JointTraining, Split

__all__ = [
    "Records",
    "SplitLike",
    "StoreSplit",
    "align_splits",
    "as_split",
    "check_loss",
    "fit_edge_probes",
    "open_splits",
]

Records = Iterable[Mapping[str, Any]]
SplitLike = tuple[ActivationStore, Records] | tuple[ActivationStore, Records, Sequence[str]]


class StoreSplit(NamedTuple):
    """A split as the caller gives it; `texts` are those of the store's documents, if they are not the records'."""

    store: ActivationStore
    records: Records
    texts: Sequence[str] | None = None


def fit_edge_probes(
    store: ActivationStore,
    records: Records,
    *,
    dev: SplitLike,
    test: SplitLike | None = None,
    task: str = "spans",
    members: str | Sequence[str] | None = None,
    seeds: Iterable[int] | None = None,
    lex: Encoder | np.ndarray | None = None,
    recipe: EdgeProbeRecipe | None = None,
    texts: Sequence[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    progress: bool | None = None,
) -> EdgeResult:
    """Train edge probes on all layers, mixes of layers and seeds of a frozen encoder together, and score them.

    An edge probe classifies one or two spans of words from their token states (Tenney et al., 2019).

    Parameters
    ----------
    store : ActivationStore
        Token states of the records' texts, which are its documents in their order: each text once
        (``probe_texts(records)``), or one for each record.
    records : iterable of {"text": str, "targets": [{"span1": [s, e], "span2": [s, e], "label": str or list of str}]}
        Training targets; span2 is optional. Spans count words, which are separated by single spaces; e is one past
        the last word.
    dev, test : (store, records) or (store, records, texts)
        The split for validations, and a split that is only scored. `texts` as below.
    task : str, default "spans"
        Decides the scoring (`rule_of`), the published schedule (`EdgeProbeRecipe.for_task`) and the seeds (DPR: 5).
    members : str or list of str, optional
        "layers", "mixes", "top", "mix", "mix.K", "lex" or the name of a layer: see `choose_members`. Default: layers,
        mixes, and lex if given.
    seeds : iterable of int, optional
        Each seed trains every member once. Default: 0, or 0 to 4 for DPR.
    lex : Encoder or ndarray of shape (vocabulary, width), optional
        The vectors of the lexical baseline: see `lexical_table`.
    recipe : EdgeProbeRecipe, optional
        Default: ``EdgeProbeRecipe.for_task(task)``.
    texts : list of str, optional
        Texts of the store's documents, in their order, if they are not those of the records.
    out : path, optional
        Folder that the training state is saved to after each validation. The same call continues from it.
    device : str, default "cpu"
        The torch device that the probes train on; "auto" is a GPU if there is one.
    progress : bool, optional
        Show a progress bar with the losses of all members; None: on a terminal and in a notebook; lines in a log.

    Returns
    -------
    EdgeResult

    Raises
    ------
    TextError
        If records have another shape, or no target can be probed.
    RowMismatchError
        If a store holds other texts, or the stores come from different models.
    LayerError, OptionError, ShapeError
        If members, seeds or widths of layers are not valid.
    StoreError
        If `out` holds another training.

    Examples
    --------
    The label of a word is a feature of layer "b" and not of layer "a":

    >>> import numpy as np, pyrepsim as rs
    >>> from pyrepsim.probing.edge import EdgeProbeRecipe, fit_edge_probes
    >>> rng = np.random.default_rng(0)
    >>> words = rng.integers(2, size=(200, 5))
    >>> records = [
    ...     {"text": "w w w w w", "targets": [{"span1": [i, i + 1], "label": "NV"[k]} for i, k in enumerate(row)]}
    ...     for row in words
    ... ]
    >>> signal = np.stack([words.ravel(), 1 - words.ravel()], axis=1).astype("float32")
    >>> starts = np.tile(np.arange(5) * 2, 200)
    >>> store = rs.write_store(
    ...     "acts", {"a": rng.standard_normal(signal.shape).astype("float32"), "b": signal},
    ...     columns={"doc_id": np.repeat(np.arange(200), 5), "position": np.tile(np.arange(5), 200),
    ...              "token_id": words.ravel(), "char_start": starts, "char_end": starts + 1})
    >>> recipe = EdgeProbeRecipe(projection=4, hidden=4, learning_rate=0.01, validate_every=20, max_validations=5)
    >>> result = fit_edge_probes(store, records, dev=(store, records), members="layers",
    ...                          recipe=recipe, progress=False)
    >>> result.f1("b")
    1.0
    >>> result.f1("a") < 0.7
    True
    """
    recipe = EdgeProbeRecipe.for_task(task) if recipe is None else recipe
    table = None if lex is None else lexical_table(lex)
    rule = rule_of(task)
    seeds = range(rule.seeds) if seeds is None else seeds
    chosen = choose_members(members, store.layers, seeds, lexical=lex is not None)
    torch_device = resolve_device(device)
    given = {"train": StoreSplit(store, records, texts), "dev": as_split("dev", dev)}
    if test is not None:
        given["test"] = as_split("test", test)
    targets, digests = align_splits(given)
    check_loss(recipe, targets)
    settings = {"task": task, "members": [list(member.key) for member in chosen], "recipe": dict(vars(recipe))}
    request = {**settings, **digests, "version": __version__}
    with ExitStack() as stack:
        splits = open_splits(stack, given, targets, chosen, table)
        training = JointTraining(chosen, splits["train"], splits["dev"], recipe, device=torch_device)
        path = None if out is None else Path(out) / "training.pt"
        saved = None if path is None else load_state(path, request)
        if saved is not None:
            training.restore(saved)

        def save() -> None:
            if path is not None:
                save_state(path, training.state(), request)

        training.run(progress=progress, desc=f"{task}: {len(chosen)} probes", after_validation=save)
        network, parameters = training.final()
        evaluations = {
            name: evaluate(
                network, parameters, split.targets, split.source, recipe, device=torch_device, keep=rule.keep
            )
            for name, split in splits.items()
            if name != "train"
        }
        return collect_result(
            training,
            targets,
            evaluations,
            task=task,
            weights=network.mixing_weights(parameters).detach().cpu().numpy(),
            gammas=parameters["mix.gamma"].detach().cpu().numpy(),
            layers=store.layers,
            request=request,
        )


def as_split(name: str, split: Any) -> StoreSplit:
    """Return what the caller gave as a split; OptionError unless it is (store, records) or (store, records, texts)."""
    if not isinstance(split, tuple) or len(split) not in (2, 3) or not isinstance(split[0], ActivationStore):
        raise OptionError(f"{name} must be (store, records) or (store, records, texts): got {type(split).__name__}.")
    return StoreSplit(*split)


def align_splits(given: Mapping[str, StoreSplit]) -> tuple[dict[str, Targets], dict[str, Any]]:
    """Return the targets of every split, with the labels of "train", and the digests of stores and records.

    Raises OptionError if splits have different numbers of spans, RowMismatchError if their stores come from different
    models.
    """
    targets: dict[str, Targets] = {}
    digests: dict[str, str] = {}
    for name, split in given.items():
        records = read_records(split.records, name)
        labels = targets["train"].labels if targets else None
        targets[name] = align(split.store, records, name=name, labels=labels, texts=split.texts)
        digests[name] = records_digest(records)
        if targets[name].n_spans != targets["train"].n_spans:
            raise OptionError(
                f"All splits of a task must have the same number of spans: train has {targets['train'].n_spans}, "
                f"{name} {targets[name].n_spans}."
            )
        _check_same_model(given["train"].store, split.store)
    return targets, {"records": digests, "stores": {name: split.store.digest for name, split in given.items()}}


def _check_same_model(train: ActivationStore, other: ActivationStore) -> None:
    """Raise RowMismatchError unless both stores have the same layers and, as far as they record it, one model."""
    weights = [store.planned("model", "weights") for store in (train, other)]
    if weights[0] != weights[1] or train.widths != other.widths:
        raise RowMismatchError(
            f"All splits must be extracted from one model: {train.path} and {other.path} come from models with "
            "different weights or layers. Extract both with the same model."
        )


def check_loss(recipe: EdgeProbeRecipe, targets: Mapping[str, Targets]) -> None:
    """Raise OptionError if targets have several labels and the loss is for one."""
    for name, split in targets.items():
        if recipe.loss == "softmax" and int(np.diff(split.label_ptr).max()) > 1:
            raise OptionError(
                f"loss='softmax' is for one label per target: {name} has targets with several. Use loss='sigmoid'."
            )


def open_splits(
    stack: ExitStack,
    given: Mapping[str, StoreSplit],
    targets: Mapping[str, Targets],
    members: Sequence[Member],
    table: np.ndarray | None,
) -> dict[str, Split]:
    """Return the targets of every split with the rows that the members read, open until `stack` is closed."""
    needed = {name for member in members for name in member.sources}
    sources = [name for name in (*given["train"].store.layers, LEXICAL) if name in needed]
    return {
        name: Split(targets[name], stack.enter_context(StoreRows(split.store, sources, table)))
        for name, split in given.items()
    }
