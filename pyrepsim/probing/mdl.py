"""Minimum description length: how many bits the labels of a task take by the online code, given a layer."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..core.errors import DegenerateError, OptionError, StoreError
from ..core.ownership import owning
from ..core.paths import as_path
from ..core.resume import write_record
from ..core.states import load_record, remove_states
from ..extraction.options import with_keywords_of
from ..models import Encoder, ModelLike
from ..models.loading import resolve_device
from ..store import ActivationStore
from ..version import __version__
from .annotations import AnnotatedSplit, read_splits
from .checkpoint import load_state, save_state
from .codes import CodeLength, CodeLengths
from .edge.evaluation import evaluate, rule_of
from .edge.fit import Records, SplitLike, StoreSplit, align_splits, as_split, check_loss, open_splits
from .edge.lexical import lexical_table
from .edge.recipe import EdgeProbeRecipe, Member, change_recipe, choose_members
from .edge.run import requested_members
from .edge.targets import Targets
from .edge.training import JointTraining, Split
from .options import CODE_FRACTIONS, MdlProbingOptions
from .outputs import draw, write_text
from .workspace import Probing, open_workspace

__all__ = ["CODE_RECIPE", "CodeLength", "CodeLengths", "fit_online_codes", "probe_mdl"]

CODE_RECIPE = EdgeProbeRecipe(
    loss="softmax", monitor="loss", learning_rate=1e-3, halve_after=1, stop_after=4, validate_every=200
)
"""Trained to a short code instead of a high F1: validations compare the loss, as in the reference implementation."""

_RESULT = "codes.json"
_MIN_STEPS = 10  # between validations, also for small blocks


def fit_online_codes(
    store: ActivationStore,
    records: Records,
    *,
    dev: SplitLike,
    task: str = "spans",
    members: str | Sequence[str] = "layers",
    seeds: Iterable[int] = (0,),
    lex: Encoder | np.ndarray | None = None,
    recipe: EdgeProbeRecipe = CODE_RECIPE,
    fractions: Sequence[float] = CODE_FRACTIONS,
    texts: Sequence[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    progress: bool | None = None,
) -> CodeLengths:
    """Return the length of the online code of the training labels, for all layers together.

    Sentences are shuffled once (with a fixed seed) and cut into blocks that end at the given fractions of the targets.
    The first block is coded uniformly. Each further block is coded by probes that were trained on all blocks before
    it, with early stopping on `dev`::

        L = t_1 log2 K + sum_i -log2 p_i(block i + 1)

    for t_1 targets in the first block and K labels. With ``recipe.loss="sigmoid"``, for targets with several labels,
    every (target, label) pair is coded separately and the uniform code has K bits per target. There is at least one
    validation per epoch, so that small blocks do not overfit. Source: Voita and Titov (2020), "Information-Theoretic
    Probing with Minimum Description Length", section 2.2.

    Parameters
    ----------
    store, records, dev, task, members, seeds, lex, recipe, texts, device, progress
        As in `pyrepsim.probing.edge.fit_edge_probes`; `members` is "layers" by default.
    out : path, optional
        Folder of a state that is written after each block. The same call resumes after the last one, to the same
        numbers.
    fractions : sequence of float
        Ends of the blocks as fractions of the targets, ascending; the last is 1.

    Returns
    -------
    CodeLengths
        Code lengths in bits.

    Raises
    ------
    OptionError
        If the fractions do not rise to 1, or an option is outside its domain.
    DegenerateError
        If all targets have the same label.
    StoreError
        If `out` holds the state of another code.

    Other errors are those of `fit_edge_probes`.

    Examples
    --------
    >>> import numpy as np, pyrepsim as rs
    >>> from pyrepsim.probing.mdl import CODE_RECIPE, fit_online_codes
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
    >>> codes = fit_online_codes(
    ...     store, records, dev=(store, records), fractions=[0.1, 1.0], progress=False,
    ...     recipe=CODE_RECIPE.but(family="linear", projection=None, learning_rate=0.03))
    >>> codes.compression("a") < 1.1, codes.compression("b") > 4
    (True, True)
    """
    ends = tuple(float(end) for end in fractions)
    if not ends or ends[0] <= 0 or ends[-1] != 1 or list(ends) != sorted(set(ends)):
        raise OptionError(f"fractions must rise from above 0 to 1: got {list(fractions)}.")
    table = None if lex is None else lexical_table(lex)
    chosen = choose_members(members, store.layers, seeds, lexical=lex is not None)
    torch_device = resolve_device(device)
    given = {"train": StoreSplit(store, records, texts), "dev": as_split("dev", dev)}
    targets, digests = align_splits(given)
    check_loss(recipe, targets)
    if recipe.loss == "softmax" and len(targets["train"].labels) < 2:
        raise DegenerateError(
            f"A code needs two labels to choose from: the training targets have only {targets['train'].labels}."
        )
    order = np.random.default_rng(0).permutation(targets["train"].n_sentences)
    shuffled = targets["train"].take(order)
    cuts = _block_ends(shuffled, ends)
    request = {"task": task, "members": [list(member.key) for member in chosen], "recipe": dict(vars(recipe))}
    request |= {**digests, "cuts": cuts, "version": __version__}
    path = None if out is None else Path(out) / "codes.pt"
    saved = None if path is None else load_state(path, request)
    first = np.full(len(chosen), _uniform_bits(shuffled.take(np.arange(cuts[0])), recipe))
    blocks = [first] if saved is None else list(saved["blocks"].numpy())
    with ExitStack() as stack:
        splits = open_splits(stack, given, targets, chosen, table)
        source = splits["train"].source
        for low, high in list(pairwise(cuts))[len(blocks) - 1 :]:
            known = Split(shuffled.take(np.arange(low)), source)
            block = Split(shuffled.take(np.arange(low, high)), source)
            desc = f"{task}: {low} of {shuffled.n_sentences} sentences"
            blocks.append(_block_bits(chosen, known, block, splits["dev"], recipe, torch_device, progress, desc))
            if path is not None:
                save_state(path, {"blocks": torch.from_numpy(np.stack(blocks))}, request)
    bits = np.stack(blocks, 1)
    uniform = _uniform_bits(shuffled, recipe)
    lengths = [
        CodeLength(member.name, member.seed, float(own.sum()), uniform, shuffled.n_targets, tuple(own.tolist()))
        for member, own in zip(chosen, bits, strict=True)
    ]
    return CodeLengths(task, tuple(store.layers), tuple(lengths))


def _block_bits(
    members: Sequence[Member],
    known: Split,
    block: Split,
    dev: Split,
    recipe: EdgeProbeRecipe,
    device: torch.device,
    progress: bool | None,
    desc: str,
) -> np.ndarray:
    """Return the bits of a block, (members,), coded by probes that are trained on the targets before it."""
    epoch = -(-known.targets.n_sentences // recipe.batch_size)
    recipe = recipe.but(validate_every=min(recipe.validate_every, max(epoch, _MIN_STEPS)))
    training = JointTraining(members, known, dev, recipe, device=device)
    training.run(progress=progress, desc=desc)
    network, parameters = training.final()
    return evaluate(network, parameters, block.targets, block.source, recipe, device=device).nats / math.log(2)


def _uniform_bits(targets: Targets, recipe: EdgeProbeRecipe) -> float:
    """Return the bits of the targets by the uniform code."""
    if recipe.loss == "sigmoid":
        return float(targets.n_targets * len(targets.labels))
    labelled = int((np.diff(targets.label_ptr) > 0).sum())
    return labelled * math.log2(len(targets.labels))


def _block_ends(targets: Targets, fractions: Sequence[float]) -> list[int]:
    """Return the number of sentences up to the end of each block: the first to reach its fraction of the targets."""
    reached = np.searchsorted(targets.ptr[1:], np.ceil(np.array(fractions) * targets.n_targets), side="left") + 1
    return np.unique(np.minimum(reached, targets.n_sentences)).tolist()


@with_keywords_of(MdlProbingOptions)
def probe_mdl(model: ModelLike, task: str, *, out: str | os.PathLike[str], **options: Any) -> Probing[CodeLengths]:
    """Extract every layer of a model over annotated texts, and code the training labels with each layer.

    Run the same call again to resume, after the last block that was coded and to the same numbers; a finished probing
    is read from its folder. The measure is described in `pyrepsim.probing.mdl.fit_online_codes`.

    Parameters
    ----------
    model, task
        As in `probe_edge`.
    out : path
        Output folder, one per probing. It gets ``codes.csv``, ``codes.json`` (with the bits of each block),
        ``summary.txt``, the figure ``layers``, and ``probing.json`` with the request.
    **options
        The fields of `MdlProbingOptions`. `train` is coded and `dev` ends the training early. The default members are
        all layers and the lexical baseline. The recipe starts from `CODE_RECIPE`; if targets have several labels or
        none (as in spr), its loss is "sigmoid". `fractions` are the ends of the blocks.

    Returns
    -------
    Probing
        `result` is a `CodeLengths`.

    Raises
    ------
    ModelError, TextError, OptionError, DegenerateError
        If the model, the data or an option cannot be used.
    StoreError
        If the folder holds another probing, or the disk is full.
    LockedError
        If another process writes to the folder.

    Examples
    --------
    >>> import json, pyrepsim as rs
    >>> targets = [{"span1": [0, 1], "label": "DET"}, {"span1": [1, 2], "label": "NOUN"}]
    >>> with open("pos.jsonl", "w") as file:
    ...     for text in ("The cat sat", "A dog ran", "The bird flew"):
    ...         print(json.dumps({"text": text, "targets": targets}), file=file)
    >>> probing = rs.probe_mdl(
    ...     "bert-base-uncased", "pos", out="probes/pos-mdl", train="pos.jsonl", dev="pos.jsonl", members="top",
    ...     lexical=False, fractions=[0.3, 1.0], recipe={"max_validations": 1}, figures="", progress=False)
    >>> probing.result.records[0].uniform_bits
    6.0
    """
    chosen = MdlProbingOptions(**options)
    splits = read_splits(
        task, train=chosen.train, dev=chosen.dev, data=chosen.data, reading=chosen.reading, texts=chosen.texts
    )
    splits = {name: splits[name] for name in ("train", "dev")}
    loss = "softmax" if _have_one_label(splits) else "sigmoid"
    recipe = change_recipe(CODE_RECIPE.but(loss=loss), chosen.recipe)
    settings: dict[str, Any] = {
        "members": requested_members("layers" if chosen.members is None else chosen.members, chosen.lexical),
        "seeds": list(range(rule_of(task).seeds) if chosen.seeds is None else chosen.seeds),
        "fractions": list(chosen.fractions),
    }
    with owning(as_path(out, "out"), wait=chosen.wait):
        workspace = open_workspace(model, out, chosen)
        path = workspace.folder / _RESULT
        finished = workspace.begin("mdl", splits, task=task, **settings, recipe=vars(recipe), lexical=chosen.lexical)
        codes = _load(path, workspace.request) if finished else None
        if codes is None:
            stores = workspace.extract(splits)
            train, dev = splits["train"], splits["dev"]
            codes = fit_online_codes(
                stores["train"],
                train.items,
                dev=(stores["dev"], dev.items, dev.texts),
                texts=train.texts,
                task=task,
                lex=workspace.encoder if chosen.lexical else None,
                recipe=recipe,
                out=workspace.training_folder,
                device=workspace.device,
                progress=chosen.progress,
                **settings,
            )
            write_record(path, workspace.request, **dataclasses.asdict(codes))
            _load(path, workspace.request)
        files = [codes.to_csv(workspace.folder / "codes.csv"), path]
        scores = codes.scores()
        if len(scores) > 1:
            files += draw(scores.plot, workspace.folder / "layers", chosen.figure_formats)
        files.append(write_text(workspace.folder / "summary.txt", codes.table()))
        probing = workspace.finish(codes, files)
        remove_states(workspace.training_folder)
        return probing


def _have_one_label(splits: Mapping[str, AnnotatedSplit]) -> bool:
    """Return whether every target has one label."""
    labels = (target["label"] for split in splits.values() for record in split.items for target in record["targets"])
    return all(isinstance(label, str) or len(label) == 1 for label in labels)


def _load(path: Path, request: Mapping[str, Any]) -> CodeLengths | None:
    """Return the result that an earlier call wrote; None if there is none, or it was damaged and set aside."""
    codes = load_record(path, request)
    if codes is None:
        return None
    try:
        records = tuple(CodeLength(**(record | {"blocks": tuple(record["blocks"])})) for record in codes["records"])
        return CodeLengths(codes["task"], tuple(codes["layers"]), records)
    except (KeyError, TypeError) as error:
        raise StoreError(
            f"The result of a finished probing must be readable: {path} is not ({error}). Use overwrite=True."
        ) from error
