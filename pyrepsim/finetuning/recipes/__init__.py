"""What is asked of a fine-tuning: recipes, those shipped for each task, and ablations. No torch here."""

from .ablation import Ablation
from .recipe import TrainingRecipe, shipped_recipe

__all__ = ["Ablation", "TrainingRecipe", "shipped_recipe"]
