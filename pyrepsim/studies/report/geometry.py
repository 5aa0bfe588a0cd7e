"""Figures of the model itself: weights, attention, the geometry of each layer."""

from __future__ import annotations

from collections.abc import Sequence

from .layered import LAYER
from .plots import FLOORS, Grid, Line, Panel, Plot, looks_of
from .probing import models
from .reading import Row
from .selecting import distinct, pick, points, tasks_of
from .words import joined, score_name, task_name

__all__ = ["attention", "heads", "profiles", "weights"]


def weights(rows: Sequence[Row]) -> Plot | None:
    """How far each layer's weights moved, relative to their norm."""
    return _by_task(
        rows, "weights", "weights_by_layer", "How far the weights moved", "‖W′ − W‖ / ‖W‖",
        "Distance of each layer's weights from the pre-trained ones, in parts of their norm.",
    )  # fmt: skip


def attention(rows: Sequence[Row]) -> Plot | None:
    """How much attention moved, block by block, mean over heads, beside random weights."""
    return _by_task(
        pick(rows, member=None), "attention", "attention_by_layer", "How much attention moved", None,
        "Divergence of each block's attention after fine-tuning from its attention before, on the same text; mean over "
        "heads. 0 is no change.",
    )  # fmt: skip


def heads(rows: Sequence[Row]) -> Plot | None:
    """The same head by head: blocks down, heads across, one seed."""
    found = [row for row in pick(rows, experiment="attention", variant="tuned") if _head(row) is not None]
    metrics = distinct(found, "metric")
    panels = []
    for task in tasks_of(found):
        own = pick(found, task=task, metric=metrics[0])
        own = pick(own, seed=own[0]["seed"], corpus=own[0]["corpus"]) if own else []
        cells = {(row["layer"], _head(row)): row["value"] for row in own if row["layer"] is not None}
        if cells:
            down, across = (tuple(sorted({place[side] for place in cells})) for side in (0, 1))
            values = tuple(tuple(cells.get((x, y)) for y in across) for x in down)
            panels.append(Panel(task_name(task), grid=Grid(values, down, across, score_name(metrics[0]))))
    if not panels:
        return None
    named = joined(panel.title for panel in panels)
    return Plot(
        "attention_heads", "Attention, head by head", tuple(panels), "head", "block",
        f"{_capital(score_name(metrics[0]))} of each head, one seed. All maps have one colour scale.",
        f"Heat maps, one for each of {named}: blocks against heads.",
    )  # fmt: skip


def _head(row: Row) -> int | None:
    kind, _, number = (row["member"] or "").rpartition(".")
    return int(number) if kind == "head" and number.isdigit() else None


def profiles(rows: Sequence[Row]) -> Plot | None:
    """A panel a number: anisotropy, norms, effective rank, rogue dimensions."""
    found = pick(rows, experiment="profiles")
    texts = distinct(found, "corpus")
    found = pick(found, corpus=texts[0]) if texts else found
    panels = []
    for metric in distinct(found, "metric"):
        lines = [Line(look, points(own)) for look, own in models(pick(found, metric=metric))]
        kept = tuple(line for line in lines if line.points)
        if kept:
            panels.append(Panel(_capital(score_name(metric)), kept, ylabel=""))
    if not panels:
        return None
    text = f" Text: {texts[0]}." if texts else ""
    return Plot(
        "profiles_by_layer", "The geometry of each layer", tuple(panels), LAYER, "",
        "Each layer alone. Anisotropy: mean cosine between two different tokens; effective rank: how many directions "
        f"the variance uses; rogue dimensions: the few features that dominate cosines.{text}",
        f"Line charts, one for each of {joined(panel.title for panel in panels)}: a line a model, against layer.",
    )  # fmt: skip


def _by_task(rows: Sequence[Row], experiment: str, name: str, title: str, ylabel: str | None, what: str) -> Plot | None:
    found = pick(rows, experiment=experiment)
    metrics = distinct(found, "metric")
    panels = []
    for metric in metrics:
        own = pick(found, metric=metric)
        lines = [Line(look, points(pick(own, task=task))) for task, look in looks_of(rows).items()]
        lines.append(Line(FLOORS["random"], points(pick(own, variant="random"))))
        kept = tuple(line for line in lines if line.points)
        if kept:
            label = "" if len(metrics) > 1 else ylabel or score_name(metric)
            panels.append(Panel("" if len(metrics) == 1 else _capital(score_name(metric)), kept, ylabel=label))
    if not panels:
        return None
    named = joined(panel.title or title.lower() for panel in panels)
    return Plot(name, title, tuple(panels), LAYER, "", what, f"Line charts of {named}: a line a task, against layer.")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
