"""Figures over layers: similarity, domain gaps, heat maps."""

from __future__ import annotations

from collections.abc import Sequence

from ...results.style import QUIET
from .plots import FLOORS, NOISE, Grid, Line, Look, Mark, Panel, Plot, looks_of
from .reading import Row
from .selecting import distinct, pick, points, tasks_of
from .words import joined, measure, task_name

__all__ = ["domains", "domains_measures", "layer_by_layer", "main_measure", "similarity", "similarity_measures"]

LAYER = "layer (0: embeddings)"
ZERO = Look("", QUIET, "", "-", 0.9)
MAIN = "RSA"
WITHOUT = " without rogue dimensions"


def similarity(rows: Sequence[Row]) -> Plot | None:
    """The paper's figure: tuned against base, layer by layer; a panel a task, in and out of domain, with floors."""
    found = _layered(rows)
    metric = main_measure(found)
    found = pick(found, metric=metric)
    panels = [_task(found, task, look) for task, look in looks_of(rows).items()]
    kept = tuple(panel for panel in panels if panel.lines)
    if not kept:
        return None
    name = measure(metric)
    return Plot(
        "similarity_by_layer", f"{name} of each layer with itself before fine-tuning", kept, LAYER, name,
        f"{name} between the same layer before and after fine-tuning, over a text's tokens; 1 is no change. Solid: "
        f"text of the task's own domain; broken: other text.{_floors_in_words(kept)}",
        f"Line charts, one for each of {joined(panel.title for panel in kept)}: {name} against layer.",
        share=True, top=1.0,
    )  # fmt: skip


def similarity_measures(rows: Sequence[Row]) -> Plot | None:
    """Every other measure: a panel a measure, a line a task, on the task's own text."""
    found = pick(_layered(rows), variant="tuned")
    main = main_measure(found)
    panels = []
    for metric in distinct(found, "metric"):
        lines = []
        for task, look in looks_of(rows).items():
            own = pick(found, metric=metric, task=task)
            texts = _texts(own)
            line = points(pick(own, **texts[0])) if texts else ()
            if line:
                lines.append(Line(look, line))
        if metric != main and lines:
            panels.append(Panel(measure(metric), tuple(lines)))
    if not panels:
        return None
    return Plot(
        "similarity_measures", "The other measures, in domain", tuple(panels), LAYER, "score",
        "The same comparison by other measures, on text of each task's own domain. They need not agree: see what each "
        "measure ignores in the README. “Without rogue dimensions”: the few features that dominate cosines left out.",
        f"Line charts, one for each of {joined(panel.title for panel in panels)}: a line a task, against layer.",
    )  # fmt: skip


def domains(rows: Sequence[Row]) -> Plot | None:
    """Out of domain minus in domain: above 0 where the tuned model stays closer to the base on other text."""
    main = main_measure(pick(rows, experiment="domains", kind="difference"))
    return _gaps(
        rows, (main,), "domains_by_layer", "Similarity out of domain minus in domain",
        "How much more a layer stays as it was on text outside the task's domain: above 0, fine-tuning changed its own "
        "domain more.",
    )  # fmt: skip


def domains_measures(rows: Sequence[Row]) -> Plot | None:
    """The same gap by the other measures."""
    found = pick(rows, experiment="domains", kind="difference")
    others = tuple(metric for metric in distinct(found, "metric") if metric != main_measure(found))
    return _gaps(
        rows, others, "domains_measures", "The gap by the other measures",
        "Similarity out of domain minus in domain, as above; each measure has its own scale.",
    )  # fmt: skip


def _gaps(rows: Sequence[Row], metrics: Sequence[str], name: str, title: str, what: str) -> Plot | None:
    found = pick(rows, experiment="domains", kind="difference")
    panels = []
    for metric in metrics:
        lines = []
        for task, look in looks_of(rows).items():
            own = pick(found, metric=metric, task=task)
            texts = _texts(own)
            line = points(pick(own, **texts[0]), kinds=("difference",)) if texts else ()
            if line:
                lines.append(Line(look, line, tested=any(point.p is not None for point in line)))
        if lines:
            panels.append(Panel(measure(metric), tuple(lines), (Mark(0.0, ZERO),)))
    if not panels:
        return None
    tested = any(line.tested for panel in panels for line in panel.lines)
    hollow = " Hollow points: adjusted p of at least 0.05." if tested else ""
    return Plot(
        name, title, tuple(panels), LAYER, "out − in", f"{what}{hollow}",
        f"Line charts, one for each of {joined(panel.title for panel in panels)}: the difference against layer.",
    )  # fmt: skip


def layer_by_layer(rows: Sequence[Row]) -> Plot | None:
    """Every layer of the base with every layer of the tuned model, for the first measure that has such rows."""
    found = pick(rows, experiment="similarity", kind="pair")
    metric = main_measure(found)
    panels = []
    for task in tasks_of(found):
        own = pick(found, metric=metric, task=task)
        own = pick(own, corpus=own[0]["corpus"], form=own[0]["form"], seed=own[0]["seed"]) if own else []
        cells = {(row["layer"], row["k"]): row["value"] for row in own}
        down, across = (tuple(sorted({pair[side] for pair in cells if None not in pair})) for side in (0, 1))
        if down and across:
            values = tuple(tuple(cells.get((x, y)) for y in across) for x in down)
            panels.append(Panel(task_name(task), grid=Grid(values, down, across, measure(metric))))
    if not panels:
        return None
    return Plot(
        "layer_by_layer", f"{measure(metric)}, every layer with every layer", tuple(panels),
        "layer after", "layer before",
        f"{measure(metric)} of each layer before fine-tuning (down) with each layer after (across), one seed. All maps "
        "have one colour scale.",
        f"Heat maps, one for each of {joined(panel.title for panel in panels)}: layers before against layers after.",
    )  # fmt: skip


def _layered(rows: Sequence[Row]) -> list[Row]:
    """Similarities of a layer with its namesake; other rows of the experiment say things of whole curves."""
    return [row for row in pick(rows, experiment="similarity") if row["layer"] is not None and row["kind"] != "pair"]


def main_measure(rows: Sequence[Row]) -> str:
    """RSA, with whatever options, where it was taken; else the first measure."""
    metrics = distinct(rows, "metric")
    ours = [metric for metric in metrics if metric.startswith(MAIN) and not metric.endswith(WITHOUT)]
    return (ours or metrics or [MAIN])[0]


def _task(rows: Sequence[Row], task: str, look: Look) -> Panel:
    own = pick(rows, task=task, variant="tuned")
    lines = []
    texts = _texts(own)
    for text in texts:
        outside = text["domain"] == "out"
        paired = text["form"] == "training" and any(other["form"] == "sentences" for other in texts)
        where = "other text" if outside else "own domain, as trained" if paired else "own domain"
        if sum((other["domain"], other["form"]) == (text["domain"], text["form"]) for other in texts) > 1:
            where = f"{where}: {text['corpus']}"
        marker, width = ("", 1.0) if paired else (look.marker, look.width)
        drawn = Look(where, look.colour, marker, (0, (4, 2)) if outside else "-", width, hollow=outside)
        lines.append(Line(drawn, points(pick(own, **text))))
    floors = []
    for variant, drawn in (("seeds", NOISE), *FLOORS.items()):
        found = pick(rows, variant=variant)
        found = pick(found, task=task) or pick(found, task=None)
        same = [text for text in reversed(texts) if pick(found, corpus=text["corpus"], form=text["form"])]
        chosen = pick(found, corpus=same[0]["corpus"], form=same[0]["form"]) if same else found
        chosen = pick(chosen, corpus=chosen[0]["corpus"], form=chosen[0]["form"]) if chosen else []
        if line := points(chosen):
            floors.append(Line(drawn, line))
    kept = tuple(line for line in lines if line.points)
    return Panel(task_name(task), (*kept, *floors) if kept else ())


def _floors_in_words(panels: Sequence[Panel]) -> str:
    said = {
        "seed against seed": "two models tuned on the task with other seeds (broken and dotted)",
        "random weights": "the base model with all weights redrawn (dotted)",
        "another encoder": "another encoder (widely dotted)",
    }
    labels = {line.look.label for panel in panels for line in panel.lines}
    there = [words for label, words in said.items() if label in labels]
    return f" Grey: {joined(there)}." if there else ""


def _texts(rows: Sequence[Row]) -> list[dict[str, str | None]]:
    """The texts compared on, own domain first, single sentences before pairs."""
    keys = dict.fromkeys((row["domain"], row["corpus"], row["form"]) for row in rows)
    order = sorted(keys, key=lambda key: (key[0] == "out", key[2] == "training"))
    return [dict(zip(("domain", "corpus", "form"), key, strict=True)) for key in order]
