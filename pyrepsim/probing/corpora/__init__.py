"""Edge-probing data: spans of words and their labels, read from corpora in their own formats (docs/corpora.md)."""

from .alignment import Projection, Unaligned, align, project
from .parts import Split, splits
from .reading import TASKS, read
from .records import Records, write

__all__ = ["TASKS", "Projection", "Records", "Split", "Unaligned", "align", "project", "read", "splits", "write"]
