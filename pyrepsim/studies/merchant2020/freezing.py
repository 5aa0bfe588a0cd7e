"""Freezing: the embeddings and the bottom k blocks keep their weights, the rest is tuned (the paper's section 5)."""

from __future__ import annotations

from ...finetuning.recipes import Ablation
from ..runner import Cell
from .ablating import sweep_cells
from .costs import Clock
from .plan import Plan

__all__ = ["cells"]


def cells(plan: Plan, clock: Clock) -> list[Cell]:
    """Score on dev against the number of frozen blocks; k = 0 is the full run."""
    sweep = plan.scale.freezing
    return sweep_cells(plan, clock, "freezing", sweep, lambda k: Ablation(freeze=k), least=0, whole=0)
