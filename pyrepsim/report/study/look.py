"""One look for each thing that is drawn, the same in every figure: a colour a task, floors dotted grey."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..style import COLOURS, INK, MARKERS, QUIET
from .reading import Row
from .selecting import tasks_of
from .words import task_name

__all__ = ["BASE", "FLOORS", "NOISE", "Look", "looks_of"]


@dataclass(frozen=True)
class Look:
    """How a line looks, and what the legend calls it."""

    label: str
    colour: str
    marker: str = ""
    dash: str | tuple[float, tuple[float, ...]] = "-"
    width: float = 1.7
    opacity: float = 1.0
    """Of the line and, in proportion, of its band."""
    hollow: bool = False

    def called(self, label: str) -> Look:
        """The same under another name."""
        return replace(self, label=label)


BASE = Look("before fine-tuning", INK, "o")
NOISE = Look("seed against seed", QUIET, "", "-.", 1.3)
FLOORS = {
    "random": Look("random weights", QUIET, "", ":", 1.5),
    "unrelated": Look("another encoder", QUIET, "", (0, (1, 3)), 1.9),
    "lex": Look("lexical probe", QUIET, "", ":", 1.2),
}
_FIXED = {"mnli": 0, "squad": 1, "dependency": 2}


def looks_of(rows: Iterable[Row]) -> dict[str, Look]:
    """Return the look of each fine-tuning task; the paper's three have theirs whatever else was run."""
    tasks = tasks_of(rows)
    free = [place for place in range(len(COLOURS) - 1) if place not in _FIXED.values()]
    looks = {}
    for place, task in enumerate(task for task in tasks if task not in _FIXED):
        colour = free[place % len(free)]
        dash = "-" if place < len(free) else "--"
        looks[task] = Look(task_name(task), COLOURS[colour], MARKERS[colour], dash)
    for task, place in _FIXED.items():
        looks[task] = Look(task_name(task), COLOURS[place], MARKERS[place])
    return {task: looks[task] for task in tasks}
