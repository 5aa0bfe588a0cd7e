"""Supervised tasks: their data, features and scores. No torch here."""

from .base import Feature, Task
from .registry import get_task

__all__ = ["Feature", "Task", "get_task"]
