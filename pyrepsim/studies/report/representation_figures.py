"""Figures of representations and weights over layers: similarity, domains, weights, attention, geometry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..runner import select
from .plots import (
    BASELINES,
    LAYER,
    SEEDS,
    ZERO,
    HeatMap,
    Mark,
    Panel,
    Plot,
    Series,
    Style,
    by_model,
    line_charts,
    make_plot,
    styles_of,
)
from .rows import Row, distinct, points, tasks_of
from .text import CONTROLLED, capital, joined, measure_name, score_name, task_name

__all__ = [
    "WITHOUT_ROGUE", "attention", "attention_heads", "domains", "domains_measures", "layer_by_layer", "main_measure",
    "profiles", "similarity", "similarity_measures", "weights",
]  # fmt: skip

WITHOUT_ROGUE = " without rogue dimensions"
"""Ending of the name of a measure that was computed without the features that dominate cosines."""


def similarity(rows: Sequence[Row]) -> Plot | None:
    """Describe the similarity of each layer before and after fine-tuning: one panel per task, with baselines."""
    layered = _layered(rows)
    metric = main_measure(layered)
    layered = select(layered, metric=metric)
    panels = tuple(
        panel for task, style in styles_of(rows).items() if (panel := _similarity_panel(layered, task, style)).series
    )
    name = measure_name(metric)
    return make_plot(
        "similarity_by_layer", f"{name} of each layer before and after fine-tuning", panels, LAYER, name,
        f"{name} between the same layer before and after fine-tuning, over the tokens of a text; 1 means no change. "
        f"Solid: text of the task's own domain; dashed: other text.{_baselines_in_words(panels)}",
        line_charts(panels, f"{name} against layer"),
        share=True, top=1.0,
    )  # fmt: skip


def similarity_measures(rows: Sequence[Row]) -> Plot | None:
    """Describe the similarity by every other measure: one panel per measure, on text of each task's own domain."""
    layered = select(_layered(rows), variant="tuned")
    main = main_measure(layered)
    panels = []
    for metric in distinct(layered, "metric"):
        series = _series_by_task(rows, select(layered, metric=metric))
        if metric != main and series:
            panels.append(Panel(measure_name(metric), series))
    return make_plot(
        "similarity_measures", "The other measures, in domain", panels, LAYER, "score",
        "The same comparison by other measures, on text of each task's own domain. Measures may disagree, because each "
        "ignores other differences; see the guide to measures. “Without rogue dimensions”: without the few features "
        "that dominate cosines.",
        line_charts(panels, "a line for each task, against layer"),
    )  # fmt: skip


def domains(rows: Sequence[Row]) -> Plot | None:
    """Describe the similarity out of domain minus that in domain."""
    main = _main_gap(rows)
    control = ", minus the same difference of the models of other tasks" if main.endswith(CONTROLLED) else ""
    return _domain_gaps(
        rows, (main,), "domains_by_layer", "Similarity out of domain minus in domain",
        f"Similarity on text outside the task's domain minus similarity on text of its domain{control}. The texts are "
        "independent of each other. Above 0, fine-tuning changed the representations of its own domain more.",
    )  # fmt: skip


def domains_measures(rows: Sequence[Row]) -> Plot | None:
    """Describe the same difference by the other measures."""
    differences = select(rows, experiment="domains", kind="difference")
    others = tuple(metric for metric in distinct(differences, "metric") if metric != _main_gap(rows))
    return _domain_gaps(
        rows, others, "domains_measures", "The difference of the task's own models, by all measures",
        "Similarity out of domain minus in domain, nothing subtracted; each measure has its own scale.",
    )  # fmt: skip


def _main_gap(rows: Sequence[Row]) -> str:
    """Return the difference that the claim is about: that of which other tasks' was subtracted, if there is one."""
    differences = select(rows, experiment="domains", kind="difference")
    metrics = [metric for metric in distinct(differences, "metric") if metric.endswith(CONTROLLED)]
    return metrics[0] if metrics else main_measure(differences)


def layer_by_layer(rows: Sequence[Row]) -> Plot | None:
    """Describe the similarity of every layer of the base model with every layer of the tuned model, as heat maps."""
    pairs = select(rows, experiment="similarity", kind="pair")
    metric = main_measure(pairs)
    panels = []
    for task in tasks_of(pairs):
        own = select(pairs, metric=metric, task=task)
        own = select(own, corpus=own[0]["corpus"], form=own[0]["form"], seed=own[0]["seed"]) if own else []
        cells = {(row["layer"], row["k"]): row["value"] for row in own if None not in (row["layer"], row["k"])}
        if cells:
            panels.append(Panel(task_name(task), heat_map=HeatMap.from_cells(cells, measure_name(metric))))
    name = measure_name(metric)
    return make_plot(
        "layer_by_layer", f"{name}, every layer with every layer", panels, "layer after", "layer before",
        f"{name} of each layer before fine-tuning (down) with each layer after (across), one seed. All maps have the "
        "same colour scale.",
        f"Heat maps, one for each of {joined(panel.title for panel in panels)}: layers before against layers after.",
    )  # fmt: skip


def weights(rows: Sequence[Row]) -> Plot | None:
    """Describe the distance of the weights of each layer from the pre-trained weights, relative to their norm."""
    return _by_task(
        rows, "weights", "weights_by_layer", "Distance of the weights", "‖W′ − W‖ / ‖W‖",
        "Distance of each layer's weights from the pre-trained weights, relative to the norm of the latter.",
    )  # fmt: skip


def attention(rows: Sequence[Row]) -> Plot | None:
    """Describe how much the attention of each block changed, as the mean over heads."""
    return _by_task(
        select(rows, member=None), "attention", "attention_by_layer", "Change of attention", None,
        "Divergence of each block's attention after fine-tuning from that before, on the same text; mean over heads. "
        "0 means no change.",
    )  # fmt: skip


def attention_heads(rows: Sequence[Row]) -> Plot | None:
    """Describe the change of attention of each head, as heat maps of one seed."""
    of_heads = [row for row in select(rows, experiment="attention", variant="tuned") if _head(row) is not None]
    metric = next(iter(distinct(of_heads, "metric")), "")
    panels = []
    for task in tasks_of(of_heads):
        own = select(of_heads, task=task, metric=metric)
        own = select(own, seed=own[0]["seed"], corpus=own[0]["corpus"]) if own else []
        cells = {(row["layer"], _head(row)): row["value"] for row in own if row["layer"] is not None}
        if cells:
            panels.append(Panel(task_name(task), heat_map=HeatMap.from_cells(cells, score_name(metric))))
    return make_plot(
        "attention_heads", "Attention by head", panels, "head", "block",
        f"{capital(score_name(metric))} of each head, one seed. All maps have the same colour scale.",
        f"Heat maps, one for each of {joined(panel.title for panel in panels)}: blocks against heads.",
    )  # fmt: skip


def profiles(rows: Sequence[Row]) -> Plot | None:
    """Describe the geometry of each layer: one panel per quantity."""
    own = select(rows, experiment="profiles")
    texts = distinct(own, "corpus")
    own = select(own, corpus=texts[0]) if texts else own
    panels = []
    for metric in distinct(own, "metric"):
        series = _with_points(Series(style, points(part)) for style, part in by_model(select(own, metric=metric)))
        if series:
            panels.append(Panel(capital(score_name(metric)), series, ylabel=""))
    text = f" Text: {texts[0]}." if texts else ""
    return make_plot(
        "profiles_by_layer", "The geometry of each layer", panels, LAYER, "",
        "Properties of each layer's representation. Anisotropy: mean cosine between two different tokens; effective "
        "rank: number of directions that the variance uses; rogue dimensions: the few features that dominate "
        f"cosines.{text}",
        line_charts(panels, "a line for each model, against layer"),
    )  # fmt: skip


def main_measure(rows: Sequence[Row]) -> str:
    """Return the name of the RSA measure if there is one, between documents first, else the first measure."""
    metrics = distinct(rows, "metric")
    plain = [metric for metric in metrics if not metric.endswith((WITHOUT_ROGUE, CONTROLLED))]
    rsa = [metric for name in ("DocumentRSA", "RSA") for metric in plain if metric.startswith(name)]
    return (rsa or metrics or ["RSA"])[0]


def _layered(rows: Sequence[Row]) -> list[Row]:
    """Return the similarities of a layer with the same layer; other rows describe whole curves or pairs of layers."""
    return [row for row in select(rows, experiment="similarity") if row["layer"] is not None and row["kind"] != "pair"]


def _with_points(series: Iterable[Series]) -> tuple[Series, ...]:
    return tuple(one for one in series if one.points)


def _series_by_task(
    rows: Sequence[Row], own: Sequence[Row], kinds: tuple[str, ...] = ("value", "aggregate")
) -> tuple[Series, ...]:
    """Return a series per task from the rows on the task's first text, which is in domain if there is one."""
    series = []
    for task, style in styles_of(rows).items():
        of_task = select(own, task=task)
        texts = _texts(of_task)
        line = points(select(of_task, **texts[0]), kinds=kinds) if texts else ()
        tested = "difference" in kinds and any(point.p is not None for point in line)
        series.append(Series(style, line, tested))
    return _with_points(series)


def _domain_gaps(rows: Sequence[Row], metrics: Sequence[str], name: str, title: str, caption: str) -> Plot | None:
    differences = select(rows, experiment="domains", kind="difference")
    panels = []
    for metric in metrics:
        series = _series_by_task(rows, select(differences, metric=metric), ("difference",))
        if series:
            panels.append(Panel(measure_name(metric), series, (Mark(0.0, ZERO),)))
    tested = any(series.tested for panel in panels for series in panel.series)
    hollow = " Hollow points: adjusted p-value of at least 0.05." if tested else ""
    return make_plot(
        name, title, panels, LAYER, "out − in", f"{caption}{hollow}",
        line_charts(panels, "the difference against layer"),
    )  # fmt: skip


def _similarity_panel(rows: Sequence[Row], task: str, style: Style) -> Panel:
    own = select(rows, task=task, variant="tuned")
    series = []
    texts = _texts(own)
    for text in texts:
        outside = text["domain"] == "out"
        paired = text["form"] == "training" and any(other["form"] == "sentences" for other in texts)
        label = "other text" if outside else "own domain, as trained" if paired else "own domain"
        if sum((other["domain"], other["form"]) == (text["domain"], text["form"]) for other in texts) > 1:
            label = f"{label}: {text['corpus']}"
        line = replace(style, label=label, dash=(0, (4, 2)) if outside else "-", hollow=outside)
        if paired:
            line = replace(line, marker="", width=1.0)
        series.append(Series(line, points(select(own, **text))))
    series = _with_points(series)
    baselines = [Series(line, _baseline_points(rows, task, variant, texts))
                 for variant, line in {"seeds": SEEDS, **BASELINES}.items()]  # fmt: skip
    return Panel(task_name(task), (*series, *_with_points(baselines)) if series else ())


def _baseline_points(rows: Sequence[Row], task: str, variant: str, texts: Sequence[dict[str, str | None]]) -> tuple:
    """Return the points of a baseline, on a text that the task's models were compared on if possible."""
    of_variant = select(rows, variant=variant)
    own = select(of_variant, task=task) or select(of_variant, task=None)
    shared = [text for text in reversed(texts) if select(own, corpus=text["corpus"], form=text["form"])]
    chosen = select(own, corpus=shared[0]["corpus"], form=shared[0]["form"]) if shared else own
    chosen = select(chosen, corpus=chosen[0]["corpus"], form=chosen[0]["form"]) if chosen else []
    return points(chosen)


def _baselines_in_words(panels: Sequence[Panel]) -> str:
    descriptions = {
        "seed against seed": "two models tuned on the task with different seeds (dash-dotted)",
        "random weights": "the base model with random weights (dotted)",
        "another encoder": "another encoder (widely dotted)",
    }
    labels = {series.style.label for panel in panels for series in panel.series}
    shown = [description for label, description in descriptions.items() if label in labels]
    return f" Grey: {joined(shown)}." if shown else ""


def _texts(rows: Sequence[Row]) -> list[dict[str, str | None]]:
    """Return the texts that models were compared on: own domain first, and single sentences before pairs."""
    keys = dict.fromkeys((row["domain"], row["corpus"], row["form"]) for row in rows)
    order = sorted(keys, key=lambda key: (key[0] == "out", key[2] == "training"))
    return [dict(zip(("domain", "corpus", "form"), key, strict=True)) for key in order]


def _head(row: Row) -> int | None:
    kind, _, number = (row["member"] or "").rpartition(".")
    return int(number) if kind == "head" and number.isdecimal() else None


def _by_task(
    rows: Sequence[Row], experiment: str, name: str, title: str, ylabel: str | None, caption: str
) -> Plot | None:
    own = select(rows, experiment=experiment)
    metrics = distinct(own, "metric")
    panels = []
    for metric in metrics:
        of_metric = select(own, metric=metric)
        series = [Series(style, points(select(of_metric, task=task))) for task, style in styles_of(rows).items()]
        series.append(Series(BASELINES["random"], points(select(of_metric, variant="random"))))
        if shown := _with_points(series):
            label = "" if len(metrics) > 1 else ylabel or score_name(metric)
            panels.append(Panel("" if len(metrics) == 1 else capital(score_name(metric)), shown, ylabel=label))
    names = joined(panel.title or title.lower() for panel in panels)
    alt = f"Line charts of {names}: a line for each task, against layer."
    return make_plot(name, title, panels, LAYER, "", caption, alt)
