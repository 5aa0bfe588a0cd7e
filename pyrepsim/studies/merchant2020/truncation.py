"""Truncation: the bottom k blocks alone are kept, and tuned with a head on top."""

from __future__ import annotations

from ...finetuning.recipes import Ablation
from ..runner import Cell
from .ablating import sweep_cells
from .costs import Clock
from .plan import Plan

__all__ = ["cells"]


def cells(plan: Plan, clock: Clock) -> list[Cell]:
    """Score on dev against the number of blocks kept; all of them is the full run."""
    if plan.scale.truncation is None:
        return []
    sweep = plan.scale.truncation
    return sweep_cells(plan, clock, "truncation", sweep, lambda k: Ablation(layers=k), least=1, whole=plan.depth)
