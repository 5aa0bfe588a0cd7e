"""Tasks by name."""

from __future__ import annotations

from ...core.calls import build_called
from .base import Task

__all__ = ["all_tasks", "get_task"]


def all_tasks() -> dict[str, type[Task]]:
    """Every task under the name it is asked for by."""
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
    """The task that ``"mnli"`` or ``"squad(doc_stride=64)"`` names."""
    return build_called(text, all_tasks(), "task", "squad(doc_stride=64)")
