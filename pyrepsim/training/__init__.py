"""Fine-tuning: a recipe, a task and an encoder make a run."""

from .ablation import Ablation
from .finetune import finetune
from .recipe import Recipe
from .run import Run, open_run
from .sweep import Sweep, ablate
from .untrained import early_exit
from .weight_distance import WeightDistances, weight_distance

__all__ = [
    "Ablation",
    "Recipe",
    "Run",
    "Sweep",
    "WeightDistances",
    "ablate",
    "early_exit",
    "finetune",
    "open_run",
    "weight_distance",
]
