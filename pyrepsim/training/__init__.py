"""Fine-tuning: a recipe, a task and an encoder make a run."""

from .finetune import finetune
from .run import Run, open_run

__all__ = ["Run", "finetune", "open_run"]
