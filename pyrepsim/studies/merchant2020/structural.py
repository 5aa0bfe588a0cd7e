"""Structural probes before and after fine-tuning (section 4 of the paper)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import RowMismatchError
from ...core.outputs import replacing
from ...probing.documents import Jackknifed, jackknifed_f1
from ..runner import Cell
from .costs import CostEstimator
from .plan import BASE, RANDOM, Plan, StudyModel, tuned_models
from .probe_baselines import LEXICAL_BASELINE, RANDOM_BASELINE, difference_columns, interval_columns, kept_columns
from .scales import StructuralProbes

if TYPE_CHECKING:
    from ...probing.structural import StructuralProbeResult

__all__ = ["EdgeCounts", "structural_cells"]

_FORMAT = 3
_SCORES = ("uuas", "root", "dspr", "nspr")
_FILE = "edges.npz"


def structural_cells(plan: Plan, costs: CostEstimator) -> list[Cell]:
    """Structural probes on the base, on random weights, and on tuned models: every layer, the best and the top one.

    The best layer is that of the base for all models. Baselines are as in `edge_cells`; the lexical one is layer 0.
    """
    probes = plan.scale.structural
    if probes is None or not plan.can_read(probes.files.values()):
        return []
    models = [BASE, RANDOM, *(one for task in plan.scale.tasks for one in tuned_models(plan, task, probes.seeds))]
    return [_structural_cell(plan, costs, probes, model) for model in models]


def _structural_cell(plan: Plan, costs: CostEstimator, probes: StructuralProbes, model: StudyModel) -> Cell:
    base, random = (f"structural/{one.label}" for one in (BASE, RANDOM))
    compared = {"base": [], "random": [base], "tuned": [base, random]}[model.variant]

    def run(folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        import pyrepsim as rs

        probing = rs.probe_structural(
            model.location(plan, needed),
            out=folder / "probing",
            random_init=model.variant == "random",
            **{part: plan.locate(source, needed) for part, source in probes.files.items()},
            **probes.options,
            device=plan.device,
            keep_stores=False,
            figures=(),
            progress=False,
        )
        own = EdgeCounts.of(probing.result)
        own.save(folder / _FILE)
        others = {name: EdgeCounts.load(needed[name] / _FILE) for name in compared}
        columns = list(_score_columns(probing.result, own, others.get(base, own)))
        if random in others:
            columns += _changes(own, others[base], others[random])
        shared = {**model.columns(), "probe": "structural", "probe_task": "dependencies", "corpus": probes.name}
        return [plan.row(**shared, **one) for one in columns]

    request = {**model.request(plan), "files": plan.digests(probes.files.values()), "options": dict(probes.options)}
    return Cell(
        experiment="structural",
        name=model.label,
        request=request,
        run=run,
        needs=(*plan.data_needs, *model.needs, *compared),
        scratch=("probing/training",),
        format=_FORMAT,
        cost=lambda: costs.structural(probes),
    )


@dataclass(frozen=True, eq=False)
class EdgeCounts:
    """Correct edges of the scored sentences, for the cells that compare with this one.

    Attributes
    ----------
    ranks, layers : of the probes.
    best : (n_ranks,) the layer with the smallest distance loss on dev, so that it is not chosen by the reported score.
    correct : (n_seeds, n_ranks, n_layers, n_sentences)
    edges, documents : (n_sentences,) edges of the gold tree, and the number of the document.
    """

    ranks: np.ndarray
    layers: np.ndarray
    best: np.ndarray
    correct: np.ndarray
    edges: np.ndarray
    documents: np.ndarray

    @classmethod
    def of(cls, result: StructuralProbeResult) -> EdgeCounts:
        losses = [result.values("distance_loss", rank).mean(axis=0) for rank in result.ranks]
        return cls(
            np.array(result.ranks),
            np.array(result.layers),
            np.argmin(losses, axis=1),
            result.correct_edges,
            np.array([len(tree.edges) for tree in result.scored.trees]),
            result.scored.documents,
        )

    def save(self, path: Path) -> None:
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **vars(self))

    @classmethod
    def load(cls, path: Path) -> EdgeCounts:
        with np.load(path) as arrays:
            return cls(**arrays)

    def check_paired(self, other: EdgeCounts) -> None:
        """Raise RowMismatchError unless both have scored the same sentences."""
        if not (np.array_equal(self.edges, other.edges) and np.array_equal(self.documents, other.documents)):
            raise RowMismatchError(
                "Probes are compared on the same sentences: those of two cells differ. Remove both cells' folders."
            )

    def uuas(self, rank: int, layer: int) -> Jackknifed:
        """UUAS of the probes of a layer, given by their places, the mean over seeds."""
        correct = self.correct[:, rank, layer]
        edges = np.broadcast_to(self.edges, correct.shape)
        return jackknifed_f1(np.stack([correct, edges, edges], axis=-1), self.documents)


def _places(base: EdgeCounts, rank: int) -> list[tuple[str, int]]:
    """Each layer, the best one of the base, and the top one: member and place."""
    layers = [(str(name), place) for place, name in enumerate(base.layers)]
    return [*layers, ("best", int(base.best[rank])), ("top", len(layers) - 1)]


def _columns(own: EdgeCounts, rank: int, member: str, place: int) -> dict[str, Any]:
    layer = place if member not in ("best", "top") else None
    return {"member": member, "layer": layer, "layer_name": str(own.layers[place]), "rank": int(own.ranks[rank])}


def _score_columns(result: StructuralProbeResult, own: EdgeCounts, base: EdgeCounts) -> Iterator[dict[str, Any]]:
    """Means over the probes' seeds. `n` is the number of edges for uuas, and of sentences for the other scores."""
    for rank, size in enumerate(result.ranks):
        for score in _SCORES:
            means = result.values(score, size).mean(axis=0)
            for member, place in _places(base, rank):
                if not np.isfinite(means[place]):
                    continue
                columns = {**_columns(own, rank, member, place), "metric": score, "value": float(means[place])}
                if score == "uuas":
                    columns |= interval_columns(*own.uuas(rank, place).interval(), "jackknife of documents")
                yield columns | {"n": int(own.edges.sum()) if score == "uuas" else len(own.edges)}


def _changes(own: EdgeCounts, base: EdgeCounts, random: EdgeCounts) -> Iterator[dict[str, Any]]:
    """UUAS after minus before, and `kept_columns` of the base's best layer. The lexical baseline is the base's layer 0.

    A sentence without two words has no edge; where no sentence has one, there is nothing to compare.
    """
    for other in (base, random):
        own.check_paired(other)
    for rank in range(len(own.ranks)) if own.edges.any() else ():
        for member, place in _places(base, rank):
            before, after = base.uuas(rank, place), own.uuas(rank, place)
            columns = _columns(own, rank, member, place)
            yield columns | {"metric": "uuas", **difference_columns(after - before)}
            if member == "best":
                baselines = {LEXICAL_BASELINE: base.uuas(rank, 0), RANDOM_BASELINE: random.uuas(rank, place)}
                yield from (columns | one for one in kept_columns("uuas", before, after, baselines))
