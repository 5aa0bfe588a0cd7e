"""Fine-tuning: a recipe, a task and an encoder make a run."""

from .finetune import finetune
from .recipe import Recipe
from .run import Run, open_run

__all__ = ["Recipe", "Run", "finetune", "open_run"]
