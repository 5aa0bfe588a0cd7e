"""Tasks by name."""

from __future__ import annotations

from ..calls import build_called
from .base import Task

__all__ = ["all_tasks", "get_task"]


def all_tasks() -> dict[str, type[Task]]:
    """Every task under the name it is asked for by."""
    from .dependency import Dependency

    return {task.name: task for task in (Dependency,)}


def get_task(text: str) -> Task:
    """The task that ``"mnli"`` or ``"squad(doc_stride=64)"`` names."""
    return build_called(text, all_tasks(), "task", "squad(doc_stride=64)")
