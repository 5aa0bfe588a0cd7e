"""`edge_probe`: from a store and records to scores of all layers, mixes and seeds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...errors import BackendError, OptionError, RowMismatchError
from ...models import Encoder
from ...store import ActivationStore
from ...version import __version__
from .checkpoint import Checkpoint
from .evaluation import evaluate
from .lexical import lexical_table
from .members import Member, choose_members
from .recipe import Recipe
from .records import digest_of, read_records
from .result import EdgeResult, collect
from .rows import StoreRows
from .rules import rule_of
from .targets import Targets, align
from .training import JointTraining, Split

Records = Iterable[Mapping[str, Any]]
SplitLike = tuple[ActivationStore, Records] | tuple[ActivationStore, Records, Sequence[str]]


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
        Training targets; spans count words that whitespace separates, e one past the last.
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
    rule = rule_of(task)
    recipe = Recipe.for_task(task) if recipe is None else recipe
    table = None if lex is None else lexical_table(lex)
    chosen = choose_members(
        members, store.layers, range(rule.seeds) if seeds is None else seeds, lexical=lex is not None
    )
    where = _device(device)
    given: dict[str, tuple[ActivationStore, Records, Sequence[str] | None]] = {"train": (store, records, texts)}
    for name, split in (("dev", dev), ("test", test)):
        if split is not None:
            given[name] = (split[0], split[1], split[2] if len(split) > 2 else None)
    sources = _sources(chosen, store)
    targets: dict[str, Targets] = {}
    digests: dict[str, str] = {}
    with ExitStack() as stack:
        splits: dict[str, Split] = {}
        for name, (held, its_records, its_texts) in given.items():
            checked = read_records(its_records, name)
            labels = targets["train"].labels if targets else None
            targets[name] = align(held, checked, name=name, labels=labels, held=its_texts)
            digests[name] = digest_of(checked)
            _check_alike(targets[name], targets["train"], held, store, name)
            rows = stack.enter_context(StoreRows(held, sources, table))
            splits[name] = Split(targets[name], rows)
        _check_loss(recipe, targets)
        training = JointTraining(chosen, splits["train"], splits["dev"], recipe, device=where)
        about = {
            "task": task,
            "members": [list(member.key) for member in chosen],
            "recipe": vars(recipe),
            "records": digests,
            "stores": {name: held.digest for name, (held, *_) in given.items()},
            "version": __version__,
        }
        checkpoint = None if out is None else Checkpoint(Path(out), about)
        if checkpoint is not None:
            checkpoint.resume(training)
        save = None if checkpoint is None else lambda: checkpoint.save(training)
        training.run(progress=progress, desc=f"{task}: {len(chosen)} probes", saved=save)
        network, parameters = training.final()
        scored = {
            name: evaluate(
                network, parameters, targets[name], splits[name].source, recipe, device=where, keep=rule.keep
            )
            for name in given
            if name != "train"
        }
    weights = network.mixing_weights(parameters).detach().cpu().numpy()
    gammas = parameters["mix.gamma"].detach().cpu().numpy()
    return collect(
        training, targets, scored, task=task, weights=weights, gammas=gammas, layers=store.layers, about=about
    )


def _sources(members: Sequence[Member], store: ActivationStore) -> tuple[str, ...]:
    """The layers that some member reads, in the store's order, then the lexical table."""
    wanted = {name for member in members for name in member.sources}
    return tuple(name for name in (*store.layers, "lex") if name in wanted)


def _check_alike(targets: Targets, train: Targets, held: ActivationStore, store: ActivationStore, name: str) -> None:
    if targets.n_spans != train.n_spans:
        raise OptionError(
            f"All splits of a task must have equally many spans: train has {train.n_spans}, {name} {targets.n_spans}."
        )
    ours, theirs = (s.plan.get("model", {}).get("weights") for s in (store, held))
    if ours != theirs or held.widths != store.widths:
        raise RowMismatchError(
            f"All splits must be extracted from one model: {store.path} and {held.path} ({name}) come from models with "
            "other weights or layers. Extract both with the same model."
        )


def _check_loss(recipe: Recipe, targets: Mapping[str, Targets]) -> None:
    for name, split in targets.items():
        if recipe.loss == "softmax" and len(split.label_ids) and int(np.diff(split.label_ptr).max()) > 1:
            raise OptionError(
                f"loss='softmax' is for one label a target: {name} has targets with several. Use sigmoid."
            )


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise BackendError(f"The device must be one that torch can use here: {name!r} is not. Use 'cpu'.") from error
    return device
