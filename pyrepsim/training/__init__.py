"""Fine-tuning: a recipe, a task and an encoder make a run."""

from .exits import early_exit
from .finetuning import finetune
from .planning import FinetuningPlan, plan_finetuning
from .run import Run, open_run
from .sweep import Sweep, ablate
from .weight_distances import WeightDistances, weight_distance

__all__ = [
    "FinetuningPlan",
    "Run",
    "Sweep",
    "WeightDistances",
    "ablate",
    "early_exit",
    "finetune",
    "open_run",
    "plan_finetuning",
    "weight_distance",
]
