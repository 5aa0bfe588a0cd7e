"""What is asked of a fine-tuning: recipes, those shipped for each task, and ablations. No torch here."""

from .ablation import Ablation
from .recipe import Recipe, shipped_recipe

__all__ = ["Ablation", "Recipe", "shipped_recipe"]
