"""The evaluation of predictions: scores, the scores of each item, and what is wrong with the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .facts import Fact, facts_of_scores
from .items import write_items
from .tasks.base import Task

__all__ = ["Evaluation", "evaluate"]


class Evaluation(NamedTuple):
    """Scores by name, and facts about the model."""

    scores: Mapping[str, float]
    facts: Sequence[Fact]


def evaluate(task: Task, examples: Sequence[Any], predictions: Sequence[Any], *, folder: Path, data: str) -> Evaluation:
    """Score predictions; write them and, if the task has them, the scores of each item as `data` to the folder."""
    task.write(examples, predictions, folder / f"predictions-{data}{task.suffix}")
    items = task.items(examples, predictions)
    if items is not None:
        write_items(items, folder, data)
    return Evaluation(task.score(examples, predictions), facts_of_scores(task, examples, predictions, items))
