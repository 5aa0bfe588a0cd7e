"""Tables of the report: cells for people, records for programs, and files in CSV, LaTeX and Parquet.

Cells show scores in percent; records hold the unrounded fractions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...core.errors import MissingExtraError
from ...core.outputs import replacing
from ...core.text import printable
from ...results.tables import Table as Records
from ..runner import select
from .plots import Plot, by_model
from .representation_figures import main_measure
from .rows import Point, Row, StudyFiles, distinct, points, single_point
from .task_figures import LEXICAL, RANDOM_ENCODER, best_mix
from .text import (
    PROBES,
    bands_in_words,
    digits_for,
    effect_in_words,
    interval,
    is_percent,
    measure_name,
    mix_in_words,
    number,
    score_name,
    spread,
    task_name,
)

__all__ = ["TABLES", "TABLE_FORMATS", "Cell", "Table", "claims_table", "latex", "numbers", "write_table"]

TABLE_FORMATS = ("csv", "tex", "parquet")
_TEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": "$-$", "–": "--", "±": r"$\pm$", "‖": r"$\|$",
    "′": r"$'$", "≥": r"$\geq$", "▲": r"$\uparrow$", "▼": r"$\downarrow$", "“": "``", "”": "''", "…": r"\dots{}",
    "<": r"$<$", ">": r"$>$", "|": r"$|$", "\n": " ", "\r": " ",
}  # fmt: skip
_MARKS = {"gained": "▲", "lost": "▼"}
_MARKS_NOTE = "▲ gained, ▼ lost: the interval of after − before excludes 0."
_CLAIM_COLUMNS = ("claim", "statement", "verdict", "effect", "low", "high", "unit", "why", "rule", "figure")


@dataclass(frozen=True)
class Cell:
    """What is read in a cell."""

    text: str
    aside: str = ""
    """Smaller text beside it, such as an interval."""
    mark: str = ""
    """"gained" or "lost" for a significant change, else another word or nothing."""


@dataclass(frozen=True)
class Table:
    """A table with one cell per column in each row."""

    name: str
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    records: Sequence[Mapping[str, Any]]
    """Contents of the CSV and Parquet files: one unrounded value per record."""
    note: str = ""
    n_labels: int = 1
    """The first columns that are names."""
    groups: tuple[tuple[str, int], ...] = ()
    """Headings above the columns: a name and the number of columns below it, labels included."""


def claims_table(files: StudyFiles) -> Table | None:
    """Return the verdicts on the claims as a table for files; the page shows them in another form."""
    if not files.claims:
        return None
    rows = []
    for claim in files.claims:
        name, statement, verdict = (claim.get(key) or "" for key in ("claim", "statement", "verdict"))
        effect, ends, unit = effect_in_words(claim, claim)
        rows.append((Cell(name), Cell(statement), Cell(verdict), Cell(effect, ends), Cell(unit)))
    records = [{key: claim.get(key) for key in _CLAIM_COLUMNS} for claim in files.claims]
    header = ("claim", "statement", "verdict", "effect", "unit")
    return Table("claims", "Claims", header, tuple(rows), records, n_labels=2)


def numbers(plot: Plot) -> Table:
    """Return all points of a figure: one row for each x, one column for each series."""
    if any(panel.heat_map for panel in plot.panels):
        return _heat_map_numbers(plot)
    columns = [(panel, series) for panel in plot.panels for series in panel.series]
    shown = [series for panel in plot.displayed().panels for series in panel.series]
    named = any(panel.categories for panel in plot.panels)
    records, cells = [], {}
    for column, (panel, series) in enumerate(columns):
        values = shown[column].points
        digits = digits_for(point.value for point in values) if plot.digits is None else plot.digits
        for point, value in zip(series.points, values, strict=True):
            x = panel.categories[int(point.x)] if panel.categories else point.x
            cells[x, column] = Cell(number(value.value, digits), interval(value.low, value.high, digits))
            line = series.style.label or panel.title
            records.append({"panel": panel.title, "line": line, "x": x, **_values(point), "p": point.p})
    places = list(dict.fromkeys(x for x, _ in cells)) if named else sorted({x for x, _ in cells})
    rows = tuple(
        (Cell(x if named else f"{x:g}"), *(cells.get((x, column), Cell("")) for column in range(len(columns))))
        for x in places
    )
    labels = [series.style.label or panel.title for panel, series in columns]
    groups = [(panel.title, len(panel.series)) for panel in plot.panels]
    grouped = len(groups) > 1 and any(n > 1 for _, n in groups)
    header = ("" if named else plot.xlabel, *labels)
    return Table(plot.name, plot.title, header, rows, records, groups=(("", 1), *groups) if grouped else ())


def _heat_map_numbers(plot: Plot) -> Table:
    records = [
        {"panel": panel.title, "measure": panel.heat_map.label, "before": x, "after": y, "value": value}
        for panel in plot.panels
        if panel.heat_map is not None
        for x, row in zip(panel.heat_map.rows, panel.heat_map.values, strict=True)
        for y, value in zip(panel.heat_map.columns, row, strict=True)
    ]
    header = ("", "before", "after", "value")
    rows = tuple((Cell(r["panel"]), Cell(f"{r['before']:g}"), Cell(f"{r['after']:g}"), Cell(number(r["value"])))
                 for r in records)  # fmt: skip
    return Table(plot.name, plot.title, header, rows, records)


def _scores(rows: Sequence[Row]) -> Table | None:
    """Return one row per score: its mean with its interval over seeds, and each seed."""
    of_tasks = select(rows, experiment="finetuning")
    seeds = sorted(distinct(of_tasks, "seed"))
    body, records, used = [], [], []
    for task in distinct(of_tasks, "task"):
        for metric in distinct(select(of_tasks, task=task), "metric"):
            own = select(of_tasks, task=task, metric=metric)
            point = single_point(own)
            used.append(point)
            single = {row["seed"]: row["value"] for row in own if row["kind"] != "aggregate"}
            each = [Cell(number(100 * single[seed], 1) if seed in single else "") for seed in seeds]
            body.append((Cell(task_name(task)), Cell(score_name(metric)), _cell(point, percent=True, digits=1), *each))
            shared = {"task": task, "metric": metric}
            records += [shared | {"seed": seed, **_values(Point(0, value))} for seed, value in single.items()]
            records.append(shared | {"seed": None, **_values(point)})
    if not body:
        return None
    header = ("task", "score (%)", "mean", *(f"seed {seed:g}" for seed in seeds))
    return Table("scores", "Scores on dev", header, tuple(body), records, bands_in_words(used), n_labels=2)


def _depth(rows: Sequence[Row]) -> Table | None:
    """Return statistics of similarity curves, such as the centre of change: the rows of similarity without a layer."""
    of_curves = [row for row in select(rows, experiment="similarity", variant="tuned") if row["layer"] is None]
    body, records, used = [], [], []
    tasks = distinct(of_curves, "task")
    main = main_measure([dict(row, metric=row["metric"].rpartition(": ")[2]) for row in of_curves])
    for metric in distinct(of_curves, "metric"):
        texts = dict.fromkeys((row["corpus"], row["domain"], row["form"]) for row in select(of_curves, metric=metric))
        for corpus, domain, form in texts:
            own = select(of_curves, metric=metric, corpus=corpus, domain=domain, form=form)
            by_task = {task: single_point(select(own, task=task)) for task in tasks}
            shown = {task: point for task, point in by_task.items() if point is not None}
            shared = {"metric": metric, "corpus": corpus, "domain": domain, "form": form}
            records += [shared | {"task": task, **_values(point)} for task, point in shown.items()]
            statistic, _, measure = metric.partition(": ")
            if measure not in ("", main):
                continue  # the page shows the main measure, the files have all
            used += shown.values()
            label = f"{statistic} ({measure_name(measure)})" if measure else metric
            text = f"{corpus or ''}{f', {form}' if form else ''}"
            body.append((Cell(label), Cell(text), *map(_cell, by_task.values())))
    if not body:
        return None
    header = ("statistic of each curve", "text", *map(task_name, tasks))
    note = bands_in_words(used)
    return Table("depth", "Depth of the change", header, tuple(body), records, note, n_labels=2)


def _edge(rows: Sequence[Row]) -> Table | None:
    """Return one row per probing task and one column per model, with the baselines and marks of significant changes."""
    own = select(rows, experiment="edge")
    member = best_mix([row for row in own if row["kind"] != "difference"])
    differences = select(own, kind="difference", member=member, metric=(None, "f1"))
    body, records, used = [], [], []
    columns = [(style, part) for style, part in by_model(own, RANDOM_ENCODER) if select(part, member=member)]
    for task in distinct(select(own, member=member), "probe_task"):
        lexical = single_point(select(own, member=LEXICAL, variant="base", probe_task=task))
        cells = [Cell("" if lexical is None else number(100 * lexical.value, 1))]
        if lexical is not None:
            names = {"probe_task": task, "model": LEXICAL, "member": LEXICAL}
            records.append(names | _values(lexical) | {"verdict": ""})
        for style, part in columns:
            point = single_point(select(part, member=member, probe_task=task))
            tuned = distinct(part, "task")
            of_model = select(differences, probe_task=task, task=tuned[0]) if tuned else []
            mark = _mark(single_point(of_model, kinds=("difference",)))
            cells.append(_cell(point, mark, percent=True, digits=1))
            if point is not None:
                used.append(point)
                names = {"probe_task": task, "model": style.label, "member": member}
                records.append(names | _values(point) | {"verdict": mark})
        body.append((Cell(PROBES.get(task, task)), *cells))
    if not body:
        return None
    header = ("F1 (%)", "lexical baseline", *(style.label for style, _ in columns))
    note = f"Probes that read {mix_in_words(member)}. {bands_in_words(used)} {_MARKS_NOTE}"
    return Table("edge", "Edge probes before and after fine-tuning", header, tuple(body), records, note)


def _structural(rows: Sequence[Row]) -> Table | None:
    """Return one row per model, with the best layer and the top layer for each score."""
    of_probes = select(rows, experiment="structural")
    of_probes = [row for row in of_probes if row["kind"] != "difference"]
    metrics = distinct(of_probes, "metric")
    body, records, used = [], [], []
    for style, own in by_model(of_probes, RANDOM_ENCODER):
        cells = []
        for metric in metrics:
            percent = is_percent("structural", metric)
            of_metric = select(own, metric=metric)
            layered = points([row for row in of_metric if row["member"] not in ("best", "top")])
            best = max(layered, key=lambda point: point.value, default=None)
            for name, fallback in (("best", best), ("top", layered[-1] if layered else None)):
                named = select(of_metric, member=name)
                point = single_point(named) or fallback
                if point is None:
                    cells.append(Cell(""))
                    continue
                layers = sorted(distinct(named, "layer")) if named else [point.x]
                where = "–".join(f"{layer:g}" for layer in dict.fromkeys((*layers[:1], *layers[-1:])))
                cell = _cell(point, percent=percent)
                at = f"{cell.aside} at {where}".strip() if name == "best" and where else cell.aside
                cells.append(replace(cell, aside=at))
                used.append(point)
                names = {"model": style.label, "metric": metric, "which": name, "layers": where}
                records.append(names | _values(point))
        if any(cell.text for cell in cells):
            body.append((Cell(style.label), *cells))
    if not body:
        return None
    groups = (("", 1), *((score_name(metric), 2) for metric in metrics))
    header = ("", *(name for _ in metrics for name in ("best layer", "top layer")))
    return Table("structural", "Structural probes", header, tuple(body), records, bands_in_words(used), groups=groups)


TABLES: dict[str, Callable[[Sequence[Row]], Table | None]] = {
    "scores": _scores, "depth": _depth, "edge": _edge, "structural": _structural,
}  # fmt: skip
"""The name of each table and the function that makes it from rows; it returns None without rows for it."""


def _cell(point: Point | None, mark: str = "", *, percent: bool = False, digits: int | None = None) -> Cell:
    if point is None:
        return Cell("")
    scale = 100 if percent else 1
    value, low, high = (None if end is None else scale * end for end in (point.value, point.low, point.high))
    return Cell(number(value, digits), spread(value, low, high, digits), mark)


def _mark(change: Point | None) -> str:
    if change is None or change.low is None or change.high is None:
        return ""
    return "gained" if change.low > 0 else "lost" if change.high < 0 else "unchanged"


def _values(point: Point) -> dict[str, Any]:
    names = ("value", "low", "high", "band", "confidence", "n")
    return {name: getattr(point, name) for name in names}


def write_table(table: Table, path: Path) -> Path:
    """Write a table; the ending of the path chooses CSV, LaTeX or Parquet.

    Raises MissingExtraError for Parquet without pandas and pyarrow, StoreError if the file cannot be written.
    """
    if path.suffix == ".csv":
        return Records(table.records).to_csv(path)
    if path.suffix == ".parquet":
        return _write_parquet(table.records, path)
    with replacing(path) as temporary:
        temporary.write_text(latex(table), encoding="utf-8")
    return path


def _write_parquet(records: Sequence[Mapping[str, Any]], path: Path) -> Path:
    try:
        import pandas as pd
        import pyarrow as pa  # noqa: F401 (pandas needs it, and its own message is less clear)
    except ImportError as error:
        raise MissingExtraError(
            "Parquet needs pandas and pyarrow: pip install pandas pyarrow, or leave parquet out of the formats."
        ) from error
    with replacing(path) as temporary:
        pd.DataFrame(list(records)).to_parquet(temporary, index=False)
    return path


def latex(table: Table) -> str:
    r"""Return a `tabular` to \input; it needs \usepackage{booktabs} and no other package."""
    columns = "l" * table.n_labels + "r" * (len(table.header) - table.n_labels)
    lines = [f"% {_tex(table.title)}", rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    if table.groups:
        lines.append(" & ".join(_tex_group(name, span) for name, span in table.groups) + r" \\")
        lines.append(" ".join(_tex_rules(table.groups)))
    lines += [" & ".join(map(_tex, table.header)) + r" \\", r"\midrule"]
    lines += [" & ".join(map(_tex_cell, row)) + r" \\" for row in table.rows]
    lines += [r"\bottomrule", r"\end{tabular}"]
    if table.note:
        lines.append(f"% {_tex(table.note)}")
    return "\n".join(lines) + "\n"


def _tex_group(name: str, span: int) -> str:
    return _tex(name) if span == 1 else rf"\multicolumn{{{span}}}{{c}}{{{_tex(name)}}}"


def _tex_rules(groups: Sequence[tuple[str, int]]) -> list[str]:
    rules, start = [], 1
    for name, span in groups:
        if name:
            rules.append(rf"\cmidrule(lr){{{start}-{start + span - 1}}}")
        start += span
    return rules


def _tex_cell(cell: Cell) -> str:
    parts = [cell.text, _MARKS.get(cell.mark, ""), cell.aside]
    return " ".join(_tex(part) for part in parts if part)


def _tex(text: str) -> str:
    return "".join(_TEX.get(letter, letter) for letter in printable(text, keep="\n\r"))
