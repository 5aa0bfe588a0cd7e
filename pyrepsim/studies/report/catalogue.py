"""Every section of the report and every figure in it, in the order a reader wants them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from . import geometry, layered, probing, trained
from .drawing import draw
from .plots import Plot
from .reading import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "SECTIONS", "Section", "figure"]

FIGURES: dict[str, Callable[[Sequence[Row]], Plot | None]] = {
    "scores_by_task": trained.scores,
    "similarity_by_layer": layered.similarity,
    "similarity_measures": layered.similarity_measures,
    "layer_by_layer": layered.layer_by_layer,
    "domains_by_layer": layered.domains,
    "domains_measures": layered.domains_measures,
    "freezing": partial(trained.ablation, kind=trained.FREEZING),
    "truncation": partial(trained.ablation, kind=trained.TRUNCATION),
    "exit": partial(trained.ablation, kind=trained.EXIT),
    "edge_table": probing.edge_changes,
    "edge_by_layer": probing.edge_by_layer,
    "edge_cumulative": probing.edge_cumulative,
    "structural_by_layer": probing.structural,
    "weights_by_layer": geometry.weights,
    "attention_by_layer": geometry.attention,
    "attention_heads": geometry.heads,
    "profiles_by_layer": geometry.profiles,
    "trajectories": trained.trajectories,
    "trajectories_measures": trained.trajectories_measures,
}
"""A figure's name, and what describes it from rows: None where the rows lack it."""


@dataclass(frozen=True)
class Section:
    """A heading, the question under it, and what stands there."""

    name: str
    title: str
    question: str
    figures: tuple[str, ...]
    tables: tuple[str, ...] = ()
    folded: tuple[str, ...] = ()
    """Figures that stand behind a line to open."""


SECTIONS = (
    Section("scores", "Fine-tuning", "How well does each tuned model do its task?", ("scores_by_task",), ("scores",)),
    Section(
        "similarity", "Similarity, layer by layer", "Where does fine-tuning change the representations?",
        ("similarity_by_layer",), ("depth",), ("similarity_measures", "layer_by_layer"),
    ),
    Section(
        "domains", "In and out of domain", "Is text of another domain changed less?", ("domains_by_layer",), (),
        ("domains_measures",),
    ),
    Section(
        "ablations", "Freezing, truncation, exit", "Which layers need to change, and which are needed at all?",
        ("freezing", "truncation", "exit"),
    ),
    Section(
        "edge", "Edge probes", "Is what the encoder knew of language still there?", ("edge_table",), ("edge",),
        ("edge_by_layer", "edge_cumulative"),
    ),
    Section(
        "structural", "Structural probes", "Are syntax trees still to be read off?", ("structural_by_layer",),
        ("structural",),
    ),
    Section("weights", "Weights", "Which weights moved?", ("weights_by_layer",)),
    Section(
        "attention", "Attention", "Did the model look elsewhere?", ("attention_by_layer",), (),
        ("attention_heads",),
    ),
    Section("profiles", "Geometry", "Did the shape of each layer change?", ("profiles_by_layer",)),
    Section(
        "trajectories", "Trajectories", "When does each layer move?", ("trajectories",), (),
        ("trajectories_measures",),
    ),
)  # fmt: skip


def figure(name: str, rows: Sequence[Row], *, columns: int = 3) -> Figure | None:
    """Draw the figure of this name, or return None where the rows lack it."""
    plot = FIGURES[name](rows)
    return None if plot is None else draw(plot, columns=columns)
