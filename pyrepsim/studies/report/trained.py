"""Figures of trained models: scores, ablations, training as it goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...results.style import QUIET
from .layered import LAYER
from .plots import Line, Look, Mark, Panel, Plot, looks_of
from .reading import Row
from .selecting import distinct, pick, points
from .words import joined, measure, score_name, task_name

__all__ = ["EXIT", "FREEZING", "TRUNCATION", "ablation", "scores", "trajectories", "trajectories_measures"]

_MOST_STEPS = 6
WHOLE = Look("whole model, fine-tuned", QUIET, "", "--", 1.1)
FREEZING = ("freezing", "Partial freezing", "blocks frozen, from the bottom",
            "Score on dev where the embeddings and the lowest k blocks keep their pre-trained weights.")  # fmt: skip
TRUNCATION = ("truncation", "Truncation", "blocks kept, from the bottom",
              "Score on dev of the lowest k blocks alone, fine-tuned with the head on top of them.")  # fmt: skip
EXIT = ("exit", "Early exit", "layer under the tuned head",
        "Score on dev where the tuned head reads a lower layer, without further training.")  # fmt: skip


def scores(rows: Sequence[Row]) -> Plot | None:
    """Each task's scores on dev: a tick a seed, a dot at the mean."""
    found = pick(rows, experiment="finetuning")
    panels = []
    for task, look in looks_of(rows).items():
        own = pick(found, task=task)
        metrics = distinct(own, "metric")
        at = {metric: points([dict(row, layer=0) for row in pick(own, metric=metric)]) for metric in metrics}
        kept = [(metric, line[0]) for metric, line in at.items() if line]
        if kept:
            line = tuple(replace(point, x=place) for place, (_, point) in enumerate(kept))
            names = tuple(score_name(metric) for metric, _ in kept)
            panels.append(Panel(task_name(task), (Line(replace(look, label=""), line),), categories=names))
    if not panels:
        return None
    return Plot(
        "scores_by_task", "Scores after fine-tuning", tuple(panels), "score on dev (%)", "",
        "Scores on each task's dev data. A tick is a seed, the dot their mean. Each task has its own axis.",
        f"Dot plots of the scores of {joined(panel.title for panel in panels)}.", listed=False,
    )  # fmt: skip


def ablation(rows: Sequence[Row], kind: tuple[str, str, str, str]) -> Plot | None:
    """Score against k, a panel a task, each on its own scale; the whole model's score is dashed."""
    experiment, title, axis, what = kind
    found = pick(rows, experiment=experiment)
    panels = []
    for task, look in looks_of(rows).items():
        metrics = distinct(pick(found, task=task), "metric")
        line = points(pick(found, task=task, metric=metrics[0]), "k") if metrics else ()
        if not line:
            continue
        own = pick(rows, experiment="finetuning", task=task, metric=metrics[0])
        whole = points([dict(row, layer=0) for row in own])
        marks = tuple(Mark(point.value, WHOLE) for point in whole)
        drawn = Line(replace(look, label=""), line)
        panels.append(Panel(task_name(task), (drawn,), marks, ylabel=f"{score_name(metrics[0])} (%)"))
    if not panels:
        return None
    return Plot(
        experiment, title, tuple(panels), axis, "score (%)", f"{what} Each task has its own scale; ticks are seeds.",
        f"Line charts, one for each of {joined(panel.title for panel in panels)}: score against {axis}.",
    )  # fmt: skip


def trajectories(rows: Sequence[Row]) -> Plot | None:
    """How far each layer has moved at checkpoints: a panel a task, later checkpoints stronger."""
    metrics = distinct(pick(rows, experiment="trajectories"), "metric")
    return _steps(
        rows, metrics[:1], "trajectories", "As fine-tuning goes on",
        "Each layer at checkpoints of a fine-tuning; the later, the stronger. The legend counts updates.",
    )  # fmt: skip


def trajectories_measures(rows: Sequence[Row]) -> Plot | None:
    """The other measures of the same checkpoints."""
    metrics = distinct(pick(rows, experiment="trajectories"), "metric")
    return _steps(
        rows, metrics[1:], "trajectories_measures", "Checkpoints by the other measures",
        "The same checkpoints: compared with the model before fine-tuning (to base) and with its end (to final).",
    )  # fmt: skip


def _steps(rows: Sequence[Row], metrics: Sequence[str], name: str, title: str, what: str) -> Plot | None:
    panels = []
    for metric in metrics:
        for task, look in looks_of(rows).items():
            found = pick(rows, experiment="trajectories", task=task, metric=metric)
            own = [row for row in found if row["layer"] is not None]
            steps = sorted(distinct(own, "k"))
            last = min(len(steps), _MOST_STEPS) - 1
            shown = [steps[round(place * (len(steps) - 1) / last) if last else -1] for place in range(last + 1)]
            lines = []
            for place, step in enumerate(shown):
                opacity = round(0.25 + 0.75 * (place + 1) / len(shown), 3)
                drawn = replace(look, label=f"after {step:,g}", opacity=opacity, marker="")
                lines.append(Line(drawn, points(pick(own, k=step))))
            if lines:
                said = f"{task_name(task)}: {measure(metric)}" if len(metrics) > 1 else task_name(task)
                panels.append(Panel(said, tuple(lines), ylabel="" if len(metrics) > 1 else measure(metric)))
    if not panels:
        return None
    alt = f"Line charts, one for each of {joined(panel.title for panel in panels)}: a line a checkpoint, against layer."
    return Plot(name, title, tuple(panels), LAYER, "", what, alt)
