"""Figures of probes: what can be read off each layer, before and after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ...results.style import QUIET
from .layered import LAYER, ZERO
from .plots import BASE, FLOORS, Line, Look, Mark, Panel, Plot, looks_of
from .reading import Row
from .selecting import distinct, pick, points
from .words import PROBES, in_prose, joined, mix_in_words, score_name

__all__ = ["best_mix", "edge_by_layer", "edge_changes", "edge_cumulative", "models", "structural"]

LEXICAL = "lex"


def models(rows: Sequence[Row]) -> Iterator[tuple[Look, list[Row]]]:
    """Split the rows into those of the base, of each tuned model and of random weights, in this order."""
    yield BASE, pick(rows, variant="base")
    for task, look in looks_of(rows).items():
        yield look.called(f"tuned on {in_prose(task)}"), pick(rows, variant="tuned", task=task)
    yield FLOORS["random"], pick(rows, variant="random")


def best_mix(rows: Sequence[Row]) -> str | None:
    """The mix of most layers, or else the last member that reads a layer."""
    mixes = [member for member in distinct(rows, "member") if member.startswith("mix")]
    if mixes:
        return max(mixes, key=lambda member: int(member.rpartition(".")[2]) if member[-1].isdigit() else 0)
    layered = [row for row in rows if row["layer"] is not None]
    return max(layered, key=lambda row: row["layer"])["member"] if layered else None


def edge_by_layer(rows: Sequence[Row]) -> Plot | None:
    """A panel a probing task: F1 of a probe on each layer by itself."""
    found = [row for row in pick(rows, experiment="edge") if not (row["member"] or "").startswith("mix")]
    return _edge(
        found, "layer", "edge_by_layer", "Edge probes, layer by layer", LAYER,
        "F1 of a probe that reads one layer. Grey: the same with random weights (dotted) and with word pieces alone "
        "(thin): what a probe learns without the encoder's training.",
    )  # fmt: skip


def edge_cumulative(rows: Sequence[Row]) -> Plot | None:
    """A panel a probing task: F1 of a probe on a learned mix of layers 0..K."""
    found = [row for row in pick(rows, experiment="edge") if (row["member"] or "").startswith(("mix", LEXICAL))]
    for place, row in enumerate(found):
        if row["k"] is None and row["member"] != LEXICAL and row["member"].rpartition(".")[2].isdigit():
            found[place] = dict(row, k=int(row["member"].rpartition(".")[2]))
    return _edge(
        found, "k", "edge_cumulative", "Edge probes on layers 0 to K", "last layer of the mix, K",
        "F1 of a probe that reads a learned mix of the layers up to K: where the curve stops rising, the layers above "
        "add nothing.",
    )  # fmt: skip


def edge_changes(rows: Sequence[Row]) -> Plot | None:
    """After minus before for every probing task, with intervals: the paper's table as a figure."""
    found = pick(rows, experiment="edge", kind="difference")
    member = best_mix(found)
    found = pick(found, member=member)
    tasks = distinct(found, "probe_task")
    lines = []
    for task, look in looks_of(rows).items():
        own = [dict(row, layer=tasks.index(row["probe_task"])) for row in pick(found, task=task) if row["probe_task"]]
        if line := points(own, kinds=("difference",)):
            lines.append(Line(look.called(f"tuned on {in_prose(task)}"), line))
    if not lines:
        return None
    names = tuple(PROBES.get(task, task) for task in tasks)
    return Plot(
        "edge_table", "What fine-tuning did to edge probes",
        (Panel("", tuple(lines), (Mark(0.0, ZERO),), categories=names),), "F1 after − before (points)", "",
        f"Difference in F1 of probes that read {mix_in_words(member)}; an interval that leaves out 0 is a change.",
        "Dot plot: a row a probing task, a dot with its interval for each tuned model.",
        digits=2,
    )  # fmt: skip


def structural(rows: Sequence[Row]) -> Plot | None:
    """A panel a score of structural probes, a line a model."""
    found = [row for row in pick(rows, experiment="structural") if row["member"] not in ("best", "top")]
    panels = []
    for metric in distinct(found, "metric"):
        lines = [Line(look, points(own)) for look, own in models(pick(found, metric=metric))]
        kept = tuple(line for line in lines if line.points)
        if kept:
            unit = "correlation" if metric in ("dspr", "nspr") else "%"
            panels.append(Panel(score_name(metric), kept, ylabel=f"{score_name(metric)} ({unit})"))
    if not panels:
        return None
    ranks = joined(f"{rank:g}" for rank in distinct(found, "rank"))
    rank = f" Rank {ranks}." if ranks else ""
    return Plot(
        "structural_by_layer", "Structural probes, layer by layer", tuple(panels), LAYER, "score",
        "How well distances and depths in the syntax tree are read off a layer by a linear map. UUAS: undirected edges "
        f"found; DSpr. and NSpr.: Spearman correlation of distances and depths; root accuracy: roots found.{rank}",
        f"Line charts, one for each of {joined(panel.title for panel in panels)}: a line a model, against layer.",
    )  # fmt: skip


def _edge(rows: Sequence[Row], x: str, name: str, title: str, axis: str, what: str) -> Plot | None:
    panels = []
    for task in distinct(rows, "probe_task"):
        own = pick(rows, probe_task=task)
        lines = [Line(look, points(part, x)) for look, part in models(own)]
        kept = tuple(line for line in lines if line.points)
        if not kept:
            continue
        lexical = pick(own, member=LEXICAL)
        base = pick(lexical, variant="base") or lexical
        thin = replace(FLOORS["lex"], colour=QUIET, dash="-", width=0.9)
        marks = tuple(Mark(row["value"], thin) for row in base[:1])
        panels.append(Panel(PROBES.get(task, task), kept, marks))
    if not panels:
        return None
    alt = f"Line charts, one for each of {joined(panel.title for panel in panels)}: a line a model, against {axis}."
    return Plot(name, title, tuple(panels), axis, "F1 (%)", what, alt)
