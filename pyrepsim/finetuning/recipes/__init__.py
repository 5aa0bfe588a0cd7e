"""Recipes of fine-tuning, those shipped for each task, and ablations. Nothing here imports torch."""

from .ablation import Ablation
from .recipe import TrainingRecipe, shipped_recipe

__all__ = ["Ablation", "TrainingRecipe", "shipped_recipe"]
