"""The report's own tables: claims, scores, depth of the change, edge and structural probes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .layered import main_measure
from .probing import LEXICAL, best_mix, models
from .reading import Evidence, Row
from .selecting import Point, distinct, pick, points
from .tables import Cell, Table
from .words import (
    PROBES,
    bands_in_words,
    digits_for,
    interval,
    measure,
    mix_in_words,
    number,
    score_name,
    spread,
    task_name,
)

__all__ = ["TABLES", "claims_table"]


_CLAIM = ("claim", "statement", "verdict", "effect", "low", "high", "unit", "why", "rule", "figure")


def claims_table(evidence: Evidence) -> Table | None:
    """The verdicts, for files; the page shows them as cards."""
    rows, records = [], []
    for claim in evidence.claims:
        name, statement, verdict, unit = (claim.get(key) or "" for key in ("claim", "statement", "verdict", "unit"))
        digits = None if claim.get("effect") is None else min(3, digits_for([claim["effect"]]))
        effect = number(claim.get("effect"), digits, signed=True)
        ends = interval(claim.get("low"), claim.get("high"), digits, signed=True)
        rows.append((Cell(name), Cell(statement), Cell(verdict), Cell(effect, ends), Cell(unit)))
        records.append({key: claim.get(key) for key in _CLAIM})
    header = ("claim", "statement", "verdict", "effect", "unit")
    return Table("claims", "Claims", header, tuple(rows), records, n_labels=2) if rows else None


_MARKED = "▲ gained, ▼ lost: the interval of after − before leaves out 0."


def scores(rows: Sequence[Row]) -> Table | None:
    """A row a score: mean, its spread over seeds, every seed."""
    found = pick(rows, experiment="finetuning")
    seeds = sorted(distinct(found, "seed"))
    body, records, used = [], [], []
    for task in distinct(found, "task"):
        for metric in distinct(pick(found, task=task), "metric"):
            own = pick(found, task=task, metric=metric)
            (point,) = points([dict(row, layer=0) for row in own])
            used.append(point)
            single = {row["seed"]: row["value"] for row in own if row["kind"] != "aggregate"}
            each = [Cell(number(single[seed], 1) if seed in single else "") for seed in seeds]
            mean = _cell(point, digits=1)
            body.append((Cell(task_name(task)), Cell(score_name(metric)), mean, *each))
            shared = {"task": task, "metric": metric}
            records += [shared | {"seed": seed, **_ends(Point(0, value))} for seed, value in single.items()]
            records.append(shared | {"seed": None, **_ends(point)})
    if not body:
        return None
    header = ("task", "score (%)", "mean", *(f"seed {seed:g}" for seed in seeds))
    return Table("scores", "Scores on dev", header, tuple(body), records, bands_in_words(used), n_labels=2)


def depth(rows: Sequence[Row]) -> Table | None:
    """Numbers that say of a whole curve where the change lies: rows of similarity without a layer."""
    found = [row for row in pick(rows, experiment="similarity") if row["layer"] is None]
    body, records, used = [], [], []
    tasks = distinct(found, "task")
    shown = main_measure([dict(row, metric=row["metric"].rpartition(": ")[2]) for row in found])
    for metric in distinct(found, "metric"):
        texts = dict.fromkeys((row["corpus"], row["domain"], row["form"]) for row in pick(found, metric=metric))
        for corpus, domain, form in texts:
            own = pick(found, metric=metric, corpus=corpus, domain=domain, form=form)
            cells, told = [], []
            for task in tasks:
                point = _single(pick(own, task=task))
                cells.append(_cell(point))
                if point is not None:
                    told.append(point)
                    about = {"metric": metric, "corpus": corpus, "domain": domain, "form": form, "task": task}
                    records.append(about | _ends(point))
            words = metric.partition(": ")
            label = f"{words[0]} ({measure(words[2])})" if words[2] else metric
            if words[2] not in ("", shown):
                continue  # the files have them all
            used += told
            body.append((Cell(label), Cell(f"{corpus or ''}{f', {form}' if form else ''}"), *cells))
    if not body:
        return None
    header = ("of each curve", "text", *map(task_name, tasks))
    return Table("depth", "Where the change lies", header, tuple(body), records, bands_in_words(used), n_labels=2)


def edge(rows: Sequence[Row]) -> Table | None:
    """The paper's table: a row a probing task, a column a model, beside the floors; marks from the differences."""
    found = pick(rows, experiment="edge")
    member = best_mix([row for row in found if row["kind"] != "difference"])
    changes = pick(found, kind="difference", member=member)
    body, records, used = [], [], []
    columns = [(look, own) for look, own in models(found) if pick(own, member=member)]
    for task in distinct(pick(found, member=member), "probe_task"):
        lexical = _single(pick(found, member=LEXICAL, variant="base", probe_task=task))
        cells = [Cell("" if lexical is None else number(lexical.value, 1))]
        if lexical is not None:
            records.append({"probe_task": task, "model": LEXICAL, "member": LEXICAL, **_ends(lexical), "verdict": ""})
        for look, own in columns:
            point = _single(pick(own, member=member, probe_task=task))
            tuned = distinct(own, "task")
            change = pick(changes, probe_task=task, task=tuned[0]) if tuned else []
            moved = points([dict(row, layer=0) for row in change], kinds=("difference",))
            mark = _mark(moved[0]) if moved else ""
            cells.append(_cell(point, mark, digits=1))
            if point is not None:
                used.append(point)
                told = {"probe_task": task, "model": look.label, "member": member}
                records.append(told | _ends(point) | {"verdict": mark})
        body.append((Cell(PROBES.get(task, task)), *cells))
    if not body:
        return None
    header = ("F1 (%)", "lexical", *(look.label for look, _ in columns))
    note = f"Probes that read {mix_in_words(member)}. {bands_in_words(used)} {_MARKED}"
    return Table("edge", "Edge probes before and after", header, tuple(body), records, note)


def structural(rows: Sequence[Row]) -> Table | None:
    """A row a model, and for each score its best layer and the top one."""
    found = pick(rows, experiment="structural")
    metrics = distinct(found, "metric")
    body, records, used = [], [], []
    for look, own in models(found):
        cells = []
        for metric in metrics:
            line = pick(own, metric=metric)
            layered = points([row for row in line if row["member"] not in ("best", "top")])
            ends = {"best": max(layered, key=lambda point: point.value, default=None), "top": (*layered, None)[-2:][0]}
            for name, fallback in ends.items():
                named = pick(line, member=name)
                point = _single(named) or fallback
                if point is None:
                    cells.append(Cell(""))
                    continue
                layers = sorted(distinct(named, "layer")) if named else [point.x]
                where = "–".join(f"{layer:g}" for layer in dict.fromkeys((*layers[:1], *layers[-1:])))
                cell = _cell(point)
                cells.append(Cell(cell.text, f"{cell.aside} at {where}".strip()) if name == "best" and where else cell)
                used.append(point)
                told = {"model": look.label, "metric": metric, "which": name, "layers": where}
                records.append(told | _ends(point))
        if any(cell.text for cell in cells):
            body.append((Cell(look.label), *cells))
    if not body:
        return None
    groups = (("", 1), *((score_name(metric), 2) for metric in metrics))
    header = ("", *(name for _ in metrics for name in ("best layer", "top layer")))
    return Table("structural", "Structural probes", header, tuple(body), records, bands_in_words(used), groups=groups)


def _single(rows: Sequence[Row]) -> Point | None:
    found = points([dict(row, layer=0) for row in rows])
    return found[0] if found else None


def _cell(point: Point | None, mark: str = "", *, digits: int | None = None) -> Cell:
    if point is None:
        return Cell("")
    return Cell(number(point.value, digits), spread(point.value, point.low, point.high, digits), mark)


def _mark(change: Point) -> str:
    if change.low is None or change.high is None:
        return ""
    return "gained" if change.low > 0 else "lost" if change.high < 0 else "unchanged"


def _ends(point: Point) -> dict[str, Any]:
    names = ("value", "low", "high", "band", "confidence", "n")
    return {name: getattr(point, name) for name in names}


TABLES: dict[str, Callable[[Sequence[Row]], Table | None]] = {
    "scores": scores, "depth": depth, "edge": edge, "structural": structural,
}  # fmt: skip
"""A table's name, and what lays it out from rows: None where the rows lack it."""
