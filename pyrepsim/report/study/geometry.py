"""Figures of the model itself: weights, attention, the geometry of each layer."""

from __future__ import annotations

from collections.abc import Sequence

from .layered import LAYER
from .look import looks_of
from .plots import Line, Panel, Plot
from .probing import models
from .reading import Row
from .selecting import distinct, pick, points
from .words import joined, score_name

__all__ = ["attention", "profiles", "weights"]


def weights(rows: Sequence[Row]) -> Plot | None:
    """How far each layer's weights moved, relative to their norm."""
    return _by_task(
        rows, "weights", "weights_by_layer", "How far the weights moved", "‖W′ − W‖ / ‖W‖",
        "Distance of each layer's weights from the pre-trained ones, in parts of their norm.",
    )  # fmt: skip


def attention(rows: Sequence[Row]) -> Plot | None:
    """How much attention moved, block by block."""
    return _by_task(
        rows, "attention", "attention_by_layer", "How much attention moved", None,
        "Divergence of attention after fine-tuning from attention before, on the same text.",
    )  # fmt: skip


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
        lines = [Line(look, points(pick(found, metric=metric, task=task))) for task, look in looks_of(rows).items()]
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
