"""The sections of the report and the figures and tables in each, in reading order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import representation_figures as representations
from . import task_figures as tasks
from .drawing import draw
from .plots import Plot
from .rows import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "SECTIONS", "Section", "figure"]

FIGURES: dict[str, Callable[[Sequence[Row]], Plot | None]] = {
    "scores_by_task": tasks.scores,
    "similarity_by_layer": representations.similarity,
    "similarity_measures": representations.similarity_measures,
    "layer_by_layer": representations.layer_by_layer,
    "domains_by_layer": representations.domains,
    "domains_measures": representations.domains_measures,
    "freezing": tasks.freezing,
    "truncation": tasks.truncation,
    "exit": tasks.early_exit,
    "edge_table": tasks.edge_changes,
    "edge_by_layer": tasks.edge_by_layer,
    "edge_cumulative": tasks.edge_cumulative,
    "structural_by_layer": tasks.structural,
    "weights_by_layer": representations.weights,
    "attention_by_layer": representations.attention,
    "attention_heads": representations.attention_heads,
    "profiles_by_layer": representations.profiles,
    "trajectories": tasks.trajectories,
    "trajectories_measures": tasks.trajectories_measures,
}
"""The name of each figure and the function that describes it from rows; it returns None without rows for it."""


@dataclass(frozen=True)
class Section:
    """A heading, the question below it, and the names of its figures and tables."""

    name: str
    title: str
    question: str
    figures: tuple[str, ...]
    tables: tuple[str, ...] = ()
    folded: tuple[str, ...] = ()
    """Figures that are hidden until the reader opens them."""


SECTIONS = (
    Section(
        "scores", "Fine-tuning", "How well does each fine-tuned model do its task?", ("scores_by_task",),
        ("scores",),
    ),
    Section(
        "similarity", "Similarity by layer", "Where does fine-tuning change the representations?",
        ("similarity_by_layer",), ("depth",), ("similarity_measures", "layer_by_layer"),
    ),
    Section(
        "domains", "In and out of domain", "Does fine-tuning change text of another domain less?",
        ("domains_by_layer",), (), ("domains_measures",),
    ),
    Section(
        "ablations", "Freezing, truncation, early exit", "Which layers must change, and which layers are needed?",
        ("freezing", "truncation", "exit"),
    ),
    Section(
        "edge", "Edge probes", "Do the representations still encode linguistic annotations?",
        ("edge_table",), ("edge",),
        ("edge_by_layer", "edge_cumulative"),
    ),
    Section(
        "structural", "Structural probes", "Do the representations still encode syntax trees?",
        ("structural_by_layer",), ("structural",),
    ),
    Section("weights", "Weights", "Which weights changed?", ("weights_by_layer",)),
    Section("attention", "Attention", "Did attention change?", ("attention_by_layer",), (), ("attention_heads",)),
    Section("profiles", "Geometry", "Did the geometry of each layer change?", ("profiles_by_layer",)),
    Section(
        "trajectories", "Trajectories", "When does each layer change during fine-tuning?", ("trajectories",), (),
        ("trajectories_measures",),
    ),
)  # fmt: skip


def figure(name: str, rows: Sequence[Row], *, columns: int = 3) -> Figure | None:
    """Draw a figure of the report.

    Parameters
    ----------
    name : str
        A key of `FIGURES`.
    rows : sequence of mapping
        Rows of a study with all columns, such as those that `read_study` returns.
    columns : int, default 3
        Number of panels side by side.

    Returns
    -------
    matplotlib Figure or None
        None if there are no rows for the figure.

    Raises
    ------
    MissingExtraError
        Without matplotlib.

    Examples
    --------
    >>> from pyrepsim.studies.report import figure
    >>> from pyrepsim.studies.runner import COLUMNS
    >>> common = dict.fromkeys(COLUMNS) | {"experiment": "freezing", "task": "mnli", "metric": "accuracy"}
    >>> scores = {0: 0.844, 6: 0.841, 12: 0.512}
    >>> rows = [common | {"k": k, "kind": "value", "value": value} for k, value in scores.items()]
    >>> drawn = figure("freezing", rows)
    >>> drawn.axes[0].get_ylabel()
    'accuracy (%)'
    >>> figure("weights_by_layer", rows) is None
    True
    """
    plot = FIGURES[name](rows)
    return None if plot is None else draw(plot, columns=columns)
