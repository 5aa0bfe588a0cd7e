"""Minimum description length: how many bits the labels of a task take by the online code, given a layer."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..core.errors import DegenerateError, OptionError, StoreError
from ..core.ownership import owning
from ..core.paths import as_path
from ..core.resume import write_record
from ..core.states import load_record
from ..core.text import printable
from ..extraction.options import with_keywords_of
from ..models import Encoder, ModelLike
from ..models.loading import resolve_device
from ..results import Score, Scores
from ..results.tables import write_csv
from ..store import ActivationStore
from .annotations import AnnotatedSplit, read_splits
from .edge.evaluation import evaluate, rule_of
from .edge.fit import Records, SplitLike, StoreSplit, align_splits, as_split, check_loss, open_splits
from .edge.lexical import lexical_table
from .edge.localisation import centre_of_gravity
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


@dataclass(frozen=True)
class CodeLength:
    """The code of one probe.

    Attributes
    ----------
    member, seed : the probe.
    bits : length of the online code.
    uniform_bits : length without a model: targets times log2 of the number of labels (with the sigmoid loss: targets
        times the number of labels, one bit each).
    n_targets : number of targets.
    blocks : bits of each block; the first is coded uniformly.
    """

    member: str
    seed: int
    bits: float
    uniform_bits: float
    n_targets: int
    blocks: tuple[float, ...]

    @property
    def compression(self) -> float:
        """uniform_bits / bits: 1 if nothing was learnt, larger is better."""
        return self.uniform_bits / self.bits

    @property
    def kbits(self) -> float:
        """bits / 1024, the unit of the published tables."""
        return self.bits / 1024


@dataclass(frozen=True)
class CodeLengths:
    """The codes of all members and seeds.

    Attributes
    ----------
    task : str
    layers : tuple of str
        All layers of the store.
    records : tuple of CodeLength
    """

    task: str
    layers: tuple[str, ...]
    records: tuple[CodeLength, ...]

    def compression(self, member: str) -> float:
        """Return the mean compression of a member over its seeds."""
        values = [record.compression for record in self.records if record.member == member]
        if not values:
            known = ", ".join(dict.fromkeys(record.member for record in self.records))
            raise OptionError(f"member must be one of {known}: got {member!r}.")
        return float(np.mean(values))

    @property
    def centre_of_gravity(self) -> float:
        """sum_l l c_l / sum_l c_l over the layers l = 0, ..., L with compressions c; NaN unless all were coded."""
        coded = {record.member for record in self.records}
        if not coded.issuperset(self.layers):
            return math.nan
        return centre_of_gravity([self.compression(layer) for layer in self.layers])

    def scores(self) -> Scores:
        """Return the compression of each layer that was coded."""
        coded = {record.member for record in self.records}
        n_targets = self.records[0].n_targets
        return Scores(
            Score(self.compression(layer), f"{self.task} compression", n_targets, layer_x=layer, layer_y=layer)
            for layer in self.layers
            if layer in coded
        )

    def table(self) -> str:
        """Return the codes as text, a line per probe."""
        width = max(len(record.member) for record in self.records)
        lines = [f"{self.task}: online code of {self.records[0].n_targets:,} targets"]
        lines += [
            f"{record.member:<{width}}  seed {record.seed}  {record.kbits:10.2f} kbit  "
            f"compression {record.compression:7.2f}"
            for record in self.records
        ]
        if not math.isnan(self.centre_of_gravity):
            lines.append(f"centre of gravity of the compression: layer {self.centre_of_gravity:.2f}")
        return "\n".join(map(printable, lines))

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write one line per probe, without the blocks."""
        records = [asdict(one) | {"compression": one.compression, "kbits": one.kbits} for one in self.records]
        return write_csv(path, [name for name in records[0] if name != "blocks"], records)


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
    targets, _ = align_splits(given)
    check_loss(recipe, targets)
    if recipe.loss == "softmax" and len(targets["train"].labels) < 2:
        raise DegenerateError(
            f"A code needs two labels to choose from: the training targets have only {targets['train'].labels}."
        )
    order = np.random.default_rng(0).permutation(targets["train"].n_sentences)
    shuffled = targets["train"].take(order)
    cuts = _block_ends(shuffled, ends)
    with ExitStack() as stack:
        splits = open_splits(stack, given, targets, chosen, table)
        source = splits["train"].source
        blocks = [np.full(len(chosen), _uniform_bits(shuffled.take(np.arange(cuts[0])), recipe))]
        for low, high in pairwise(cuts):
            known = Split(shuffled.take(np.arange(low)), source)
            block = Split(shuffled.take(np.arange(low, high)), source)
            desc = f"{task}: {low} of {shuffled.n_sentences} sentences"
            blocks.append(_block_bits(chosen, known, block, splits["dev"], recipe, torch_device, progress, desc))
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

    An extraction that was interrupted is resumed by the same call, coding starts again; a finished probing is read
    from its folder. The measure is described in `pyrepsim.probing.mdl.fit_online_codes`.

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
        return workspace.finish(codes, files)


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
