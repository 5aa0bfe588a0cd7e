"""Conditional probing: what a representation says of the labels beyond what another one says already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from ..core.errors import OptionError, ShapeError
from ..store import ActivationStore, check_same_rows
from .edge.members import Member
from .edge.recipe import Recipe
from .edge.rows import StoreRows
from .edge.running import find_device, run_probes
from .edge.splits import Given, Records, align_splits
from .edge.training import Split
from .mdl import CODE_RECIPE

__all__ = ["Conditional", "conditional_probe"]

PairedSplit = tuple[ActivationStore, ActivationStore, Records]
_BOTH, _BEFORE, _AFTER = "both", "before", "after"


@dataclass(frozen=True)
class Conditional:
    """One layer, in bits a target, mean over seeds; code lengths are those of held-out targets."""

    layer: str
    bits_both: float
    bits_before: float
    bits_after: float

    @property
    def added(self) -> float:
        """I(after -> label | before) = bits_before - bits_both: what training added."""
        return self.bits_before - self.bits_both

    @property
    def removed(self) -> float:
        """I(before -> label | after) = bits_after - bits_both: what training removed."""
        return self.bits_after - self.bits_both


def conditional_probe(
    before: ActivationStore,
    after: ActivationStore,
    records: Records,
    *,
    dev: PairedSplit,
    test: PairedSplit | None = None,
    layers: Sequence[str] | None = None,
    seeds: Iterable[int] = (0,),
    recipe: Recipe = CODE_RECIPE,
    device: str = "cpu",
    progress: bool | None = None,
) -> list[Conditional]:
    """V-information of each layer after training given the same layer before, and the other way round.

    Hewitt et al. (2021): probes read [before; after], [before; 0] and [0; after]; the difference of their code
    lengths on held-out targets (test, or dev) is what one adds to the other. May be negative, as it is estimated.
    All layers and inputs train together.

    dev, test : (store before, store after, records)

    Raises RowMismatchError unless both stores of a split hold the same rows, ShapeError for layers of several widths,
    and otherwise as `edge_probe`.
    """
    names = tuple(before.layers if layers is None else layers)
    seeds = tuple(seeds)
    if not names or not seeds:
        raise OptionError(f"Conditional probing needs layers and seeds: got {len(names)} and {len(seeds)}.")
    paired: dict[str, PairedSplit] = {"train": (before, after, records), "dev": dev}
    if test is not None:
        paired["test"] = test
    for one, other, _ in paired.values():
        check_same_rows(one, other)
    targets, digests = align_splits({name: Given(one, its) for name, (one, _, its) in paired.items()})
    members = [
        Member(source, (source,), seed, is_mix=False)
        for source in (f"{layer} {side}" for layer in names for side in (_BOTH, _BEFORE, _AFTER))
        for seed in seeds
    ]
    with ExitStack() as stack:
        splits = {
            name: Split(
                targets[name],
                PairedRows(stack.enter_context(StoreRows(one, names)), stack.enter_context(StoreRows(other, names))),
            )
            for name, (one, other, _) in paired.items()
        }
        result = run_probes(
            splits,
            members,
            recipe,
            task="conditional",
            layers=names,
            about=digests,
            out=None,
            device=find_device(device),
            progress=progress,
        )

    def bits(layer: str, side: str) -> float:
        return float(np.mean([row["bits"] for row in result.select(member=f"{layer} {side}")]))

    return [Conditional(layer, *(bits(layer, side) for side in (_BOTH, _BEFORE, _AFTER))) for layer in names]


class PairedRows:
    """Rows of two stores side by side: for each layer both, the first with zeros, and zeros with the second."""

    def __init__(self, before: StoreRows, after: StoreRows) -> None:
        if before.width != after.width:
            raise ShapeError(f"Paired layers must have one width: got {before.width} and {after.width}.")
        self._sides = before, after
        self.names = tuple(f"{name} {side}" for name in before.names for side in (_BOTH, _BEFORE, _AFTER))
        self.width = 2 * before.width

    def read(self, rows: np.ndarray) -> np.ndarray:
        before, after = (side.read(rows) for side in self._sides)
        out = np.zeros((len(self.names), len(rows), self.width), np.float32)
        half = self.width // 2
        out[0::3, :, :half], out[0::3, :, half:] = before, after
        out[1::3, :, :half] = before
        out[2::3, :, half:] = after
        return out
