"""Figures of task scores: fine-tuning, ablations, checkpoints of a training, edge probes, structural probes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...results.style import QUIET
from ..runner import select
from .plots import LAYER, ZERO, Mark, Panel, Plot, Series, Style, by_model, line_charts, make_plot, styles_of
from .rows import Row, distinct, points, single_point
from .text import PROBES, in_prose, is_percent, joined, measure_name, mix_in_words, score_name, task_name

__all__ = [
    "LEXICAL", "RANDOM_ENCODER", "best_mix", "early_exit", "edge_by_layer", "edge_changes", "edge_cumulative",
    "freezing", "scores", "structural", "trajectories", "trajectories_measures", "truncation",
]  # fmt: skip

LEXICAL = "lex"
"""Member of the edge probe that reads word pieces without context."""
RANDOM_ENCODER = "random-encoder baseline"
_LEXICAL_STYLE = Style(QUIET, width=0.9, label="lexical baseline")
_FULL_MODEL = Style(QUIET, dash="--", width=1.1, label="full model, fine-tuned")
_MAX_STEPS = 6


def scores(rows: Sequence[Row]) -> Plot | None:
    """Describe each task's scores on dev: a tick for each seed, a dot at the mean."""
    of_tasks = select(rows, experiment="finetuning")
    panels = []
    for task, style in styles_of(rows).items():
        own = select(of_tasks, task=task)
        means = {metric: single_point(select(own, metric=metric)) for metric in distinct(own, "metric")}
        shown = {metric: point for metric, point in means.items() if point is not None}
        if shown:
            line = tuple(replace(point, x=place) for place, point in enumerate(shown.values()))
            names = tuple(map(score_name, shown))
            series = (Series(replace(style, label=""), line),)
            panels.append(Panel(task_name(task), series, categories=names, percent=True))
    return make_plot(
        "scores_by_task", "Scores after fine-tuning", panels, "score on dev (%)", "",
        "Scores on each task's dev data. Ticks are seeds, the dot is their mean. Each task has its own axis.",
        f"Dot plots of the scores of {joined(panel.title for panel in panels)}.", listed=False,
    )  # fmt: skip


def freezing(rows: Sequence[Row]) -> Plot | None:
    """Describe the score against the number of frozen blocks."""
    return _ablation(
        rows, "freezing", "Partial freezing", "frozen blocks, from the bottom",
        "Score on dev if the embeddings and the lowest k blocks keep their pre-trained weights.", longer="longer",
    )  # fmt: skip


def truncation(rows: Sequence[Row]) -> Plot | None:
    """Describe the score against the number of blocks that are kept."""
    return _ablation(
        rows, "truncation", "Truncation", "blocks kept, from the bottom",
        "Score on dev of the lowest k blocks alone, fine-tuned with the head on top of them.",
    )  # fmt: skip


def early_exit(rows: Sequence[Row]) -> Plot | None:
    """Describe the score of the tuned head on lower layers."""
    return _ablation(
        rows, "exit", "Early exit", "layer below the tuned head",
        "Score on dev if the tuned head reads a lower layer, without further training.",
    )  # fmt: skip


def trajectories(rows: Sequence[Row]) -> Plot | None:
    """Describe each layer at checkpoints of the fine-tuning: one panel per task."""
    metrics = distinct(select(rows, experiment="trajectories"), "metric")
    return _checkpoints(
        rows, metrics[:1], "trajectories", "Layers during fine-tuning",
        "Each layer at checkpoints of a fine-tuning; later checkpoints are darker. The legend counts updates.",
    )  # fmt: skip


def trajectories_measures(rows: Sequence[Row]) -> Plot | None:
    """Describe the same checkpoints by the other measures."""
    metrics = distinct(select(rows, experiment="trajectories"), "metric")
    return _checkpoints(
        rows, metrics[1:], "trajectories_measures", "Checkpoints by the other measures",
        "The same checkpoints, compared with the model before fine-tuning (to base) and after it (to final).",
    )  # fmt: skip


def edge_by_layer(rows: Sequence[Row]) -> Plot | None:
    """Describe the F1 of an edge probe on each single layer: one panel per probing task."""
    single = [row for row in select(rows, experiment="edge") if not (row["member"] or "").startswith("mix")]
    return _edge(
        single, "layer", "edge_by_layer", "Edge probes by layer", LAYER,
        "F1 of a probe that reads one layer. Grey: the random-encoder baseline (dotted), whose encoder has random "
        "weights, and the lexical baseline (thin), which reads word pieces without context.",
    )  # fmt: skip


def edge_cumulative(rows: Sequence[Row]) -> Plot | None:
    """Describe the F1 of an edge probe on a learned mix of layers 0 to K: one panel per probing task."""
    mixes = [row for row in select(rows, experiment="edge") if (row["member"] or "").startswith(("mix", LEXICAL))]
    for place, row in enumerate(mixes):
        last = row["member"].rpartition(".")[2]
        if row["k"] is None and row["member"] != LEXICAL and last.isdecimal():
            mixes[place] = dict(row, k=int(last))
    return _edge(
        mixes, "k", "edge_cumulative", "Edge probes on layers 0 to K", "last layer of the mix, K",
        "F1 of a probe that reads a learned mix of the layers up to K. Where the curve stops rising, higher layers add "
        "nothing.",
    )  # fmt: skip


def edge_changes(rows: Sequence[Row]) -> Plot | None:
    """Describe F1 after minus before fine-tuning for every probing task, with intervals."""
    differences = select(rows, experiment="edge", kind="difference", metric=(None, "f1"))
    member = best_mix(differences)
    differences = select(differences, member=member)
    tasks = distinct(differences, "probe_task")
    series = []
    for task, style in styles_of(rows).items():
        own = [dict(row, layer=tasks.index(row["probe_task"]))
               for row in select(differences, task=task) if row["probe_task"]]  # fmt: skip
        if line := points(own, kinds=("difference",)):
            series.append(Series(replace(style, label=f"tuned on {in_prose(task)}"), line))
    if not series:
        return None
    names = tuple(PROBES.get(task, task) for task in tasks)
    return Plot(
        "edge_table", "Change of edge probes by fine-tuning",
        (Panel("", tuple(series), (Mark(0.0, ZERO),), categories=names, percent=True),),
        "F1 after − before (percentage points)", "",
        f"Difference in F1 of probes that read {mix_in_words(member)}. An interval that excludes 0 is a significant "
        "change.",
        "Dot plot: a row for each probing task, a dot with its interval for each tuned model.",
        digits=2,
    )  # fmt: skip


def structural(rows: Sequence[Row]) -> Plot | None:
    """Describe the scores of structural probes over layers: one panel per score."""
    layered = [
        row for row in select(rows, experiment="structural", kind=("value", "aggregate"))
        if row["member"] not in ("best", "top")
    ]  # fmt: skip
    panels = []
    for metric in distinct(layered, "metric"):
        lines = by_model(select(layered, metric=metric), RANDOM_ENCODER)
        series = tuple(one for one in (Series(style, points(own)) for style, own in lines) if one.points)
        if series:
            percent = is_percent("structural", metric)
            ylabel = f"{score_name(metric)} ({'%' if percent else 'correlation'})"
            panels.append(Panel(score_name(metric), series, ylabel=ylabel, percent=percent))
    ranks = joined(f"{rank:g}" for rank in distinct(layered, "rank"))
    rank = f" Rank {ranks}." if ranks else ""
    return make_plot(
        "structural_by_layer", "Structural probes by layer", panels, LAYER, "score",
        "How well a linear map of a layer predicts distances and depths in the syntax tree. UUAS: share of undirected "
        "edges that are correct; DSpr. and NSpr.: Spearman correlation of distances and of depths; root accuracy: "
        f"share of roots that are correct.{rank}",
        line_charts(panels, "a line for each model, against layer"),
    )  # fmt: skip


def best_mix(rows: Sequence[Row]) -> str | None:
    """Return the member that mixes the most layers, or else the one that reads the last layer."""
    mixes = [member for member in distinct(rows, "member") if member.startswith("mix")]
    if mixes:
        return max(
            mixes, key=lambda member: int(member.rpartition(".")[2]) if member.rpartition(".")[2].isdecimal() else 0
        )
    layered = [row for row in rows if row["layer"] is not None]
    return max(layered, key=lambda row: row["layer"])["member"] if layered else None


def _ablation(
    rows: Sequence[Row], experiment: str, title: str, xlabel: str, caption: str, *, longer: str | None = None
) -> Plot | None:
    """Describe score against k: one panel per task, each on its own scale, with the full model's score dashed.

    `longer` is the experiment with the same models after more updates.
    """
    own = select(rows, experiment=experiment)
    panels = []
    for task, style in styles_of(rows).items():
        metrics = distinct(select(own, task=task), "metric")
        line = points(select(own, task=task, metric=metrics[0]), "k") if metrics else ()
        if not line:
            continue
        full = single_point(select(rows, experiment="finetuning", task=task, metric=metrics[0]))
        marks = () if full is None else (Mark(full.value, _FULL_MODEL),)
        series = (Series(replace(style, label=""), line),)
        more = points(select(rows, experiment=longer, task=task, metric=metrics[0]), "k") if longer else ()
        if more:
            series += (Series(replace(style, label="trained longer", dash=":"), more),)
        panels.append(Panel(task_name(task), series, marks, ylabel=f"{score_name(metrics[0])} (%)", percent=True))
    return make_plot(
        experiment, title, panels, xlabel, "score (%)",
        f"{caption} Each task has its own scale; ticks are seeds.", line_charts(panels, f"score against {xlabel}"),
    )  # fmt: skip


def _checkpoints(rows: Sequence[Row], metrics: Sequence[str], name: str, title: str, caption: str) -> Plot | None:
    panels = []
    for metric in metrics:
        for task, style in styles_of(rows).items():
            own = select(rows, experiment="trajectories", task=task, metric=metric)
            own = [row for row in own if row["layer"] is not None]
            steps = sorted(distinct(own, "k"))
            last = min(len(steps), _MAX_STEPS) - 1
            shown = [steps[round(place * (len(steps) - 1) / last) if last else -1] for place in range(last + 1)]
            series = []
            for place, step in enumerate(shown):
                opacity = round(0.25 + 0.75 * (place + 1) / len(shown), 3)
                line = replace(style, label=f"after {step:,g}", opacity=opacity, marker="")
                series.append(Series(line, points(select(own, k=step))))
            if series:
                several = len(metrics) > 1
                panel_title = f"{task_name(task)}: {measure_name(metric)}" if several else task_name(task)
                panels.append(Panel(panel_title, tuple(series), ylabel="" if several else measure_name(metric)))
    alt = line_charts(panels, "a line for each checkpoint, against layer")
    return make_plot(name, title, panels, LAYER, "", caption, alt)


def _edge(rows: Sequence[Row], x: str, name: str, title: str, xlabel: str, caption: str) -> Plot | None:
    panels = []
    for task in distinct(rows, "probe_task"):
        own = select(rows, probe_task=task)
        lines = (Series(style, points(part, x)) for style, part in by_model(own, RANDOM_ENCODER))
        series = tuple(one for one in lines if one.points)
        if not series:
            continue
        lexical = select(own, member=LEXICAL)
        base = select(lexical, variant="base") or lexical
        marks = tuple(Mark(row["value"], _LEXICAL_STYLE) for row in base[:1])
        panels.append(Panel(PROBES.get(task, task), series, marks, percent=True))
    alt = line_charts(panels, f"a line for each model, against {xlabel}")
    return make_plot(name, title, panels, xlabel, "F1 (%)", caption, alt)
