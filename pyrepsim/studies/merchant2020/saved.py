"""Scores with their jackknife values as a file: what differences and statistics of curves need later."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...core.errors import StoreError
from ...results import Score, Scores
from ..runner.rows import write_json

__all__ = ["load_scores", "save_scores"]

_INTERVAL = ("kind", "confidence", "blocks", "unit", "digest", "standard_error", "without_block")


def save_scores(scores: Iterable[Score], path: Path) -> None:
    write_json(path, {"scores": [_record(score) for score in scores]})


def load_scores(path: Path) -> Scores:
    """What `save_scores` wrote; StoreError for anything else."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))["scores"]
        return Scores(Score(**{**one, "interval": one["interval"] and tuple(one["interval"])}) for one in told)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"Scores must be readable: {path} is not ({error}). Remove that cell's folder.") from error


def _record(score: Score) -> dict[str, Any]:
    about = score.details.get("interval", {})
    kept = {name: about[name] for name in _INTERVAL if name in about}
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
