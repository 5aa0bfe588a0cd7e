"""Supervised tasks: how examples are read and become features, and how predictions are scored. No torch here."""

from __future__ import annotations

from typing import Any

from ...core.calls import build_called
from ...core.errors import OptionError
from .base import Feature, Task

__all__ = ["Feature", "Task", "all_tasks", "get_task", "task_beside"]


def all_tasks() -> dict[str, type[Task]]:
    """Return every task by name.

    Examples
    --------
    >>> sorted(all_tasks())[:5]
    ['cola', 'dependency', 'mnli', 'mrpc', 'ner']
    """
    from .dependency import Dependency
    from .glue import COLA, MNLI, MRPC, QNLI, QQP, RTE, SST2, STSB
    from .sequence import SequenceClassification, SequenceRegression
    from .squad import Squad
    from .tagging import EntityTagging, PosTagging

    paper = (MNLI, Squad, Dependency)
    glue = (SST2, QQP, QNLI, COLA, MRPC, RTE, STSB)
    general = (SequenceClassification, SequenceRegression, PosTagging, EntityTagging)
    return {task.name: task for task in (*paper, *glue, *general)}


def get_task(text: str) -> Task:
    """Return the task that a text names, such as ``"mnli"`` or ``"squad(doc_stride=64)"``.

    Parameters
    ----------
    text : str
        A name of `all_tasks`, with options in parentheses.

    Raises
    ------
    OptionError
        If there is no such task, or it does not have an option.

    Examples
    --------
    >>> get_task("mnli").labels
    ('entailment', 'neutral', 'contradiction')
    """
    return build_called(text, all_tasks(), "task", "squad(doc_stride=64)")


def task_beside(model: Any, task: str | Task) -> Task:
    """Return the task, or an error that says so if the arguments model and task were swapped."""
    if isinstance(task, Task):
        return task
    try:
        return get_task(task)
    except OptionError:
        if not isinstance(model, Task) and str(model).partition("(")[0].strip() not in all_tasks():
            raise
        raise OptionError(f"the model comes first, then the task: got {model!r}, {task!r}. Swap them.") from None
