"""Recipes of fine-tuning: the numbers of the optimiser, and what is shipped for each task. No torch here."""

from .recipe import Recipe, shipped_recipe

__all__ = ["Recipe", "shipped_recipe"]
