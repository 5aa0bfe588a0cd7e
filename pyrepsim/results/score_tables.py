"""The table of scores: layers down and measures across if each layer has one partner, else a row for each score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .tables import TextTable, flat, frame_of

if TYPE_CHECKING:
    import pandas as pd

    from .score import Score
    from .scores import Scores

__all__ = [
    "are_differences",
    "caption",
    "flat_text",
    "format_cell",
    "format_value",
    "layer_label",
    "names",
    "sample_counts",
    "score_table",
    "short_model",
    "sides",
]


def names(scores: Scores) -> tuple[str, str]:
    """Return the names of the two sides: their models if the provenance has them, else X and Y."""
    sides = []
    for key, fallback in (("model_x", "X"), ("model_y", "Y")):
        models = {short_model(score.provenance.get(key)) for score in scores} - {None}
        sides.append(models.pop() if len(models) == 1 else fallback)
    return sides[0], sides[1]


def score_table(scores: Scores) -> TextTable:
    """Return the table of the scores."""
    if len(scores) == 0:
        return TextTable((), (), "no scores", 0)
    pairs = list(dict.fromkeys((score.layer_x, score.layer_y) for score in scores))
    x_once = len({x for x, _ in pairs}) == len(pairs) and len({y for _, y in pairs}) == len(pairs)
    cells = {(score.layer_x, score.layer_y, score.measure): score for score in scores}
    if x_once and pairs[0] != (None, None) and len(cells) == len(scores):
        return _across(scores, pairs, cells)
    return _long(scores)


def score_frame(scores: Scores, *, provenance: bool) -> pd.DataFrame:
    """Return the scores as a pandas DataFrame: see `Scores.to_frame`."""
    ends = [score.interval or (np.nan, np.nan) for score in scores]
    columns: dict[str, Any] = {
        "measure": np.array([score.measure for score in scores], dtype=object),
        "model_x": [short_model(score.provenance.get("model_x")) for score in scores],
        "layer_x": [score.layer_x for score in scores],
        "model_y": [short_model(score.provenance.get("model_y")) for score in scores],
        "layer_y": [score.layer_y for score in scores],
        "value": np.array([score.value for score in scores], dtype=np.float64),
        "ci_low": np.array([low for low, _ in ends], dtype=np.float64),
        "ci_high": np.array([high for _, high in ends], dtype=np.float64),
        "n_samples": np.array([score.n_samples for score in scores], dtype=np.int64),
    }
    unknown = [name for name in columns if name.startswith(("model", "layer")) and not any(columns[name])]
    frame = frame_of({name: column for name, column in columns.items() if name not in unknown})
    if not provenance:
        return frame
    rest = [dict(flat(score.provenance, "provenance.")) for score in scores]
    return frame.join(frame_of({name: [one.get(name) for one in rest] for one in rest for name in one}))


def format_value(value: float) -> str:
    """Return a value with four decimals below 100, else with four digits."""
    return f"{value:.4f}" if abs(value) < 100 else f"{value:.4g}"


def layer_label(x: str | None, y: str | None) -> str:
    """Return the name of a pair of layers: one name if both are called the same, "" for arrays."""
    return (x or "") if x == y else f"{x} ~ {y}"


def _across(scores: Scores, pairs: list[tuple[Any, Any]], cells: dict[tuple[Any, ...], Score]) -> TextTable:
    rows = []
    for x, y in pairs:
        row = [cells.get((x, y, measure)) for measure in scores.measures]
        label = layer_label(x, y)
        rows.append((label, *("" if score is None else format_cell(score) for score in row)))
    return TextTable(("layer", *scores.measures), tuple(rows), caption(scores))


def _long(scores: Scores) -> TextTable:
    columns = {
        "measure": lambda score: score.measure,
        "model_x": lambda score: short_model(score.provenance.get("model_x")),
        "layer_x": lambda score: score.layer_x,
        "model_y": lambda score: short_model(score.provenance.get("model_y")),
        "layer_y": lambda score: score.layer_y,
        "value": format_cell,
        "n": lambda score: f"{score.n_samples:,}",
    }
    order = {measure: index for index, measure in enumerate(scores.measures)}
    in_order = sorted(scores, key=lambda score: order[score.measure])
    filled: dict[str, list[str]] = {}
    for name, read in columns.items():
        column = [read(score) for score in in_order]
        hidden = name.startswith("model") and len(set(column)) == 1  # it is in the caption
        if any(cell is not None for cell in column) and not hidden:
            filled[name] = ["" if cell is None else cell for cell in column]
    if len(set(filled["n"])) == 1:
        del filled["n"]  # it is in the caption
    rows = tuple(zip(*filled.values(), strict=True))
    n_labels = sum(name not in ("value", "n") for name in filled)
    return TextTable(tuple(filled), rows, caption(scores), n_labels)


def format_cell(score: Score) -> str:
    """Return the value of a score, with its interval if it has one."""
    if score.interval is None:
        return format_value(score.value)
    low, high = map(format_value, score.interval)
    return f"{format_value(score.value)} [{low}, {high}]"


def caption(scores: Scores) -> str:
    """Return what is compared, and `n = number of samples`."""
    return f"{sides(scores)}, {sample_counts(scores)}"


def sides(scores: Scores) -> str:
    """Return `model_x ~ model_y`, the one model whose layers are compared, or that the scores are differences."""
    if are_differences(scores):
        return "difference of two comparisons"
    x, y = names(scores)
    return x if x == y else f"{x} ~ {y}"


def are_differences(scores: Scores) -> bool:
    """Whether these are the scores of `pyrepsim.differences`."""
    return len(scores) > 0 and all({"first", "second", "paired"} <= score.details.keys() for score in scores)


def sample_counts(scores: Scores) -> str:
    """Return `n = number of samples`, or `n = fewest to most`."""
    counts = {score.n_samples for score in scores}
    return f"n = {min(counts):,}" if len(counts) == 1 else f"n = {min(counts):,} to {max(counts):,}"


def flat_text(mapping: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield key and text of every scalar of a nested mapping; floats have six digits."""
    for key, item in flat(mapping):
        yield key, f"{item:.6g}" if isinstance(item, float) else str(item)


def short_model(model: Any) -> str | None:
    """Return the last two parts of a model's name or path."""
    return None if model is None else "/".join(str(model).rstrip("/").split("/")[-2:])
