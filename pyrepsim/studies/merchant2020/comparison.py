"""Comparing two stores as the scale says, and keeping scores in a file with their jackknife values."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import DegenerateError, StoreError
from ...core.json_files import read
from ...results import Score, Scores
from ...store import ActivationStore, open_store, write_store
from ..runner.table import write_json
from .scales import Similarity

__all__ = ["compare_stores", "compare_without_rogue_dimensions", "load_scores", "save_scores"]

log = logging.getLogger("pyrepsim.studies")

_INTERVAL = ("kind", "confidence", "blocks", "unit", "digest", "standard_error", "without_block")


def compare_stores(
    x: ActivationStore | Path,
    y: ActivationStore | Path,
    options: Similarity,
    *,
    documents: Sequence[str] | None = None,
    measures: Sequence[str] | None = None,
    layers: str = "same",
) -> Scores:
    """Take all measures, with jackknife intervals over documents where the scale asks for them.

    `documents` names the document of each text of the stores; by default each text is one. With ``layers="all"``, every
    layer is compared with every layer, without intervals.
    """
    from ...inference import Jackknife

    store_x, store_y = map(_open, (x, y))
    names = list(options.measures) if measures is None else list(measures)
    values_only = names if layers == "all" else [name for name in names if name in options.values_only]
    with_interval = [name for name in names if name not in values_only]
    jackknife = Jackknife(blocks=options.blocks)
    scores = Scores()
    for some, interval in ((with_interval, jackknife), (values_only, None)):
        scores += _compare(
            store_x, store_y, some, documents=documents, layers=layers, interval=interval, progress=False
        )
    return scores


def _compare(x: ActivationStore, y: ActivationStore, names: Sequence[str], **options: Any) -> Scores:
    """Compare two stores. A measure that is not defined for them is left out (PWCCA with too few samples)."""
    from ...comparison import compare

    if not names:
        return Scores()
    try:
        scores = compare(x, y, list(names), **options)
    except DegenerateError as error:
        if len(names) > 1:
            return sum((_compare(x, y, [name], **options) for name in names), Scores())
        log.warning("%s is left out: %s", names[0], error)
        return Scores()
    assert isinstance(scores, Scores)  # two stores
    return Scores(score for score in scores if "undefined" not in score.details)


def compare_without_rogue_dimensions(
    x: Path, y: Path, measures: Sequence[str], options: Similarity, folder: Path, documents: Sequence[str] | None = None
) -> Scores:
    """Compare two stores without the rogue dimensions of either side (Timkey & van Schijndel 2021), layer by layer."""
    from ...analysis.profiling import profile

    stores = {"x": open_store(x), "y": open_store(y)}
    rogue = [
        {layer.layer: layer.rogue_dimensions for layer in profile(store, progress=False)} for store in stores.values()
    ]
    plan = None if documents is None else {"rows": {"documents": len(documents)}}
    scores = Scores()
    for layer in stores["x"].layers:
        dropped = sorted({*rogue[0][layer], *rogue[1][layer]})
        sides = []
        for name, store in stores.items():
            out = folder / f"without-rogue-{name}"
            kept = np.delete(np.asarray(store[layer]), dropped, axis=1)
            columns = {column: store.columns[column] for column in ("doc_id", "position", "token_id", "flags")}
            sides.append(
                write_store(out, {layer: kept}, columns=columns, plan=plan, dtype=str(kept.dtype), overwrite=True)
            )
        scores += compare_stores(sides[0], sides[1], options, documents=documents, measures=measures)
    for name in stores:
        shutil.rmtree(folder / f"without-rogue-{name}", ignore_errors=True)
    return scores


def _open(store: ActivationStore | Path) -> ActivationStore:
    return store if isinstance(store, ActivationStore) else open_store(store)


def save_scores(scores: Iterable[Score], path: Path) -> None:
    """Write scores with what differences and statistics of curves need: the values without each block."""
    write_json(path, {"scores": [_record(score) for score in scores]})


def load_scores(path: Path) -> Scores:
    """Read what `save_scores` wrote; StoreError if the file is something else."""
    try:
        records = read(path)["scores"]
        return Scores(Score(**{**one, "interval": one["interval"] and tuple(one["interval"])}) for one in records)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"Scores cannot be read: {path} ({error}). Remove that cell's folder.") from error


def _record(score: Score) -> dict[str, Any]:
    interval = score.details.get("interval", {})
    kept = {name: interval[name] for name in _INTERVAL if name in interval}
    if "without_block" in kept:
        kept["without_block"] = [float(value) for value in kept["without_block"]]
    return {
        "value": score.value,
        "measure": score.measure,
        "n_samples": score.n_samples,
        "interval": score.interval,
        "details": {"interval": kept} if kept else {},
        "layer_x": score.layer_x,
        "layer_y": score.layer_y,
    }
