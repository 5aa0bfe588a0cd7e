"""Scores as text and HTML: layers down, measures across where layers pair off one to one; else a row each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .scores import Score, Scores

__all__ = ["Grid", "caption", "flat", "format_value", "grid", "html_table", "names", "rows_in_words", "text_table"]

_NOTEBOOK_STYLE = "text-align:right;font-variant-numeric:tabular-nums;padding:2px 10px"


@dataclass(frozen=True)
class Grid:
    """A table of text, ready to print: the first `n_labels` columns are labels, the rest are numbers."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    n_labels: int


def names(scores: Scores) -> tuple[str, str]:
    """Return the names of the two sides: their models, where provenance says so, else X and Y."""
    sides = []
    for key, fallback in (("model_x", "X"), ("model_y", "Y")):
        found = {_short(score.provenance.get(key)) for score in scores} - {None}
        sides.append(found.pop() if len(found) == 1 else fallback)
    return sides[0], sides[1]


def grid(scores: Scores) -> Grid:
    """Lay the scores out as a table."""
    if len(scores) == 0:
        return Grid("no scores", (), (), 0)
    pairs = list(dict.fromkeys((score.layer_x, score.layer_y) for score in scores))
    x_once = len({x for x, _ in pairs}) == len(pairs) and len({y for _, y in pairs}) == len(pairs)
    cells = {(score.layer_x, score.layer_y, score.measure): score for score in scores}
    if x_once and pairs[0] != (None, None) and len(cells) == len(scores):
        return _across(scores, pairs, cells)
    return _long(scores)


def text_table(scores: Scores) -> str:
    """Return the table as aligned text."""
    table = grid(scores)
    lines = [table.header, *table.rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]

    def line(cells: Sequence[str]) -> str:
        aligned = (
            cell.ljust(width) if column < table.n_labels else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join(aligned).rstrip()

    rule = "  ".join("-" * width for width in widths)
    body = [line(table.header), rule, *map(line, table.rows)] if table.rows else []
    return "\n".join([table.caption, *body])


def html_table(scores: Scores, *, bare: bool = False) -> str:
    """Return the table as HTML: styled in place for notebooks, or (`bare=True`) by the page it goes into."""
    table = grid(scores)
    style = "" if bare else f' style="{_NOTEBOOK_STYLE}"'
    label_style = ' class="label"' if bare else f' style="{_NOTEBOOK_STYLE};text-align:left"'

    def row(cells: Sequence[str], tag: str) -> str:
        out = []
        for column, cell in enumerate(cells):
            label = column < table.n_labels
            kind = tag if tag == "th" or not label else "th"
            scope = f' scope="{"col" if tag == "th" else "row"}"' if kind == "th" else ""
            out.append(f"<{kind}{scope}{label_style if label else style}>{escape(cell)}</{kind}>")
        return f"<tr>{''.join(out)}</tr>"

    head = row(table.header, "th")
    body = "\n".join(row(cells, "td") for cells in table.rows)
    title = "" if bare else f"<caption>{escape(table.caption)}</caption>\n"
    return f"<table>\n{title}<thead>{head}</thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def format_value(value: float) -> str:
    """Four decimals for what lives near [-1, 1], four digits for the rest."""
    return f"{value:.4f}" if abs(value) < 100 else f"{value:.4g}"


def _across(scores: Scores, pairs: list[tuple[Any, Any]], cells: dict[tuple[Any, ...], Score]) -> Grid:
    rows = []
    for x, y in pairs:
        found = [cells.get((x, y, measure)) for measure in scores.measures]
        label = x if x == y else f"{x} ~ {y}"
        rows.append((label, *("" if score is None else _cell(score) for score in found)))
    return Grid(caption(scores), ("layer", *scores.measures), tuple(rows), 1)


def _long(scores: Scores) -> Grid:
    columns = {
        "measure": lambda score: score.measure,
        "model_x": lambda score: _short(score.provenance.get("model_x")),
        "layer_x": lambda score: score.layer_x,
        "model_y": lambda score: _short(score.provenance.get("model_y")),
        "layer_y": lambda score: score.layer_y,
        "value": _cell,
        "n": lambda score: f"{score.n_samples:,}",
    }
    order = {measure: place for place, measure in enumerate(scores.measures)}
    in_order = sorted(scores, key=lambda score: order[score.measure])
    filled = {}
    for name, read in columns.items():
        column = [read(score) for score in in_order]
        hidden = name.startswith("model") and len(set(column)) == 1  # the caption says it
        if any(cell is not None for cell in column) and not hidden:
            filled[name] = ["" if cell is None else cell for cell in column]
    if len(set(filled["n"])) == 1:
        del filled["n"]  # the caption says it
    rows = tuple(zip(*filled.values(), strict=True))
    return Grid(caption(scores), tuple(filled), rows, sum(name not in ("value", "n") for name in filled))


def _cell(score: Score) -> str:
    if score.interval is None:
        return format_value(score.value)
    low, high = map(format_value, score.interval)
    return f"{format_value(score.value)} [{low}, {high}]"


def caption(scores: Scores) -> str:
    """Return `model ~ model, n = rows` in one line."""
    x, y = names(scores)
    return f"{x} ~ {y}, {rows_in_words(scores)}"


def rows_in_words(scores: Scores) -> str:
    """Return `n = rows`, or `n = fewest to most`."""
    counts = {score.n_samples for score in scores}
    return f"n = {min(counts):,}" if len(counts) == 1 else f"n = {min(counts):,} to {max(counts):,}"


def flat(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield every scalar of a nested mapping as text, keys joined by dots."""
    for key, item in mapping.items():
        if isinstance(item, Mapping):
            yield from flat(item, f"{prefix}{key}.")
        elif isinstance(item, float):
            yield f"{prefix}{key}", f"{item:.6g}"
        elif not hasattr(item, "__len__") or isinstance(item, str):
            yield f"{prefix}{key}", str(item)


def _short(model: Any) -> str | None:
    """The last two parts of a model's name: labels have little room, provenance keeps the whole path."""
    return None if model is None else "/".join(str(model).rstrip("/").split("/")[-2:])
