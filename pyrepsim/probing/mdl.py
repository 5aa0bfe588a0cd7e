"""Minimum description length by the online code: how many bits the labels take, given a layer."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from ..core.errors import DegenerateError, OptionError
from ..core.outputs import replacing
from ..models import Encoder
from ..store import ActivationStore
from .edge.evaluation import evaluate
from .edge.lexical import lexical_table
from .edge.members import Member, choose_members
from .edge.recipe import Recipe
from .edge.result import centre_of_gravity
from .edge.running import check_loss, find_device
from .edge.splits import Given, Records, SplitLike, align_splits, given_split, open_splits
from .edge.targets import Targets
from .edge.training import JointTraining, Split

__all__ = ["CODE_RECIPE", "FRACTIONS", "CodeLength", "CodeLengths", "description_lengths"]

FRACTIONS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1.0)
"""Ends of the blocks, as parts of the targets."""

CODE_RECIPE = Recipe(
    loss="softmax", monitor="loss", learning_rate=1e-3, halve_after=1, stop_after=4, validate_every=200
)
"""Trained to a good code, not to F1: the loss on the development set decides, as in the reference implementation."""

_LEAST_STEPS = 10  # between validations, however small the block


@dataclass(frozen=True)
class CodeLength:
    """The code of one probe, in bits."""

    member: str
    seed: int
    bits: float
    """Length of the online code."""
    uniform_bits: float
    """Length without any model: targets times log2 of the labels (or times the labels, one bit each)."""
    n_targets: int
    blocks: tuple[float, ...]
    """Bits of each block; the first is coded uniformly."""

    @property
    def compression(self) -> float:
        """uniform_bits / bits: 1 means that nothing was learnt."""
        return self.uniform_bits / self.bits

    @property
    def kbits(self) -> float:
        """bits / 1024, the unit of the published tables."""
        return self.bits / 1024


@dataclass(frozen=True)
class CodeLengths:
    """Codes of all members and seeds."""

    task: str
    layers: tuple[str, ...]
    rows: tuple[CodeLength, ...]

    def compression(self, member: str) -> float:
        """Mean compression of a member over its seeds."""
        found = [row.compression for row in self.rows if row.member == member]
        if not found:
            raise OptionError(f"member must be one of {', '.join({row.member for row in self.rows})}: got {member!r}.")
        return float(np.mean(found))

    @property
    def centre_of_gravity(self) -> float:
        """sum_l l c_l / sum_l c_l over the layers l = 0, ..., L, c being compressions; NaN unless all were coded."""
        coded = {row.member for row in self.rows}
        if not coded.issuperset(self.layers):
            return math.nan
        return centre_of_gravity([self.compression(layer) for layer in self.layers])

    def table(self) -> str:
        """As text, a row a probe."""
        width = max(len(row.member) for row in self.rows)
        lines = [f"{self.task}: online code of {self.rows[0].n_targets:,} targets"]
        lines += [
            f"{row.member:<{width}}  seed {row.seed}  {row.kbits:10.2f} kbit  compression {row.compression:7.2f}"
            for row in self.rows
        ]
        if not math.isnan(self.centre_of_gravity):
            lines.append(f"centre of gravity of the compression: layer {self.centre_of_gravity:.2f}")
        return "\n".join(lines)

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write one row a probe, without the blocks."""
        with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            rows = [asdict(row) | {"compression": row.compression, "kbits": row.kbits} for row in self.rows]
            writer = csv.DictWriter(file, [name for name in rows[0] if name != "blocks"], extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        return Path(path)


def description_lengths(
    store: ActivationStore,
    records: Records,
    *,
    dev: SplitLike,
    task: str = "spans",
    members: str | Sequence[str] = "layers",
    seeds: Iterable[int] = (0,),
    lex: Encoder | np.ndarray | None = None,
    recipe: Recipe = CODE_RECIPE,
    fractions: Sequence[float] = FRACTIONS,
    texts: Sequence[str] | None = None,
    device: str = "cpu",
    progress: bool | None = None,
) -> CodeLengths:
    """Online code length of the training labels, all layers together (Voita and Titov, 2020, section 2.2).

    Sentences are shuffled once (by a fixed seed) and cut where `fractions` of the targets are reached. The first block
    is coded uniformly; each further one by probes trained on all before it, with early stopping on `dev`:

        L = t_1 log2 K + sum_i -log2 p_i(block i + 1)

    With ``recipe.loss="sigmoid"``, for targets with several labels, every (target, label) cell is coded by itself and
    the uniform code has K bits a target. Validations are at most an epoch apart, so that small blocks don't overfit.

    Other parameters and errors as of `edge_probe`; OptionError too for fractions that don't rise to 1.
    """
    ends = tuple(float(end) for end in fractions)
    if not ends or ends[0] <= 0 or ends[-1] != 1 or list(ends) != sorted(set(ends)):
        raise OptionError(f"fractions must rise from above 0 to 1: got {list(fractions)}.")
    table = None if lex is None else lexical_table(lex)
    chosen = choose_members(members, store.layers, seeds, lexical=lex is not None)
    where = find_device(device)
    given = {"train": Given(store, records, texts), "dev": given_split("dev", dev)}
    targets, _ = align_splits(given)
    check_loss(recipe, targets)
    if recipe.loss == "softmax" and len(targets["train"].labels) < 2:
        raise DegenerateError(
            f"A code needs two labels to choose from: the training targets have only {targets['train'].labels}."
        )
    order = np.random.default_rng(0).permutation(targets["train"].n_sentences)
    shuffled = targets["train"].take(order)
    cuts = _cuts(shuffled, ends)
    with ExitStack() as stack:
        splits = open_splits(stack, given, targets, chosen, table)
        source = splits["train"].source
        blocks = [np.full(len(chosen), _uniform(shuffled.take(np.arange(cuts[0])), recipe))]
        for low, high in pairwise(cuts):
            known = Split(shuffled.take(np.arange(low)), source)
            block = Split(shuffled.take(np.arange(low, high)), source)
            name = f"{task}: {low} of {shuffled.n_sentences} sentences"
            blocks.append(_code(chosen, known, block, splits["dev"], recipe, where, progress, name))
    bits = np.stack(blocks, 1)
    uniform = _uniform(shuffled, recipe)
    rows = [
        CodeLength(member.name, member.seed, float(own.sum()), uniform, shuffled.n_targets, tuple(own.tolist()))
        for member, own in zip(chosen, bits, strict=True)
    ]
    return CodeLengths(task, tuple(store.layers), tuple(rows))


def _code(
    members: Sequence[Member],
    known: Split,
    block: Split,
    dev: Split,
    recipe: Recipe,
    device: torch.device,
    progress: bool | None,
    desc: str,
) -> np.ndarray:
    """(members,) bits of a block, by probes trained on what is known."""
    epoch = -(-known.targets.n_sentences // recipe.batch)
    recipe = recipe.but(validate_every=min(recipe.validate_every, max(epoch, _LEAST_STEPS)))
    training = JointTraining(members, known, dev, recipe, device=device)
    training.run(progress=progress, desc=desc)
    network, parameters = training.final()
    return evaluate(network, parameters, block.targets, block.source, recipe, device=device).nats / math.log(2)


def _uniform(targets: Targets, recipe: Recipe) -> float:
    """Bits of the targets under the uniform code."""
    if recipe.loss == "sigmoid":
        return float(targets.n_targets * len(targets.labels))
    labelled = int((np.diff(targets.label_ptr) > 0).sum())
    return labelled * math.log2(len(targets.labels))


def _cuts(targets: Targets, ends: Sequence[float]) -> list[int]:
    """Sentences up to which each block goes: the first with which its part of the targets is reached."""
    reached = np.searchsorted(targets.ptr[1:], np.ceil(np.array(ends) * targets.n_targets), side="left") + 1
    return np.unique(np.minimum(reached, targets.n_sentences)).tolist()
