"""AdamW over the weights that train: which decay, and which have the head's rate."""

from __future__ import annotations

import torch

from ..models.task_model import TaskModel
from ..recipes import Recipe

__all__ = ["make_optimizer"]


def make_optimizer(model: TaskModel, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW with bias correction, betas (0.9, 0.999), eps 1e-8. Vectors (biases, normalisation) have no decay."""
    rates = {"encoder": recipe.learning_rate, "head": recipe.head_learning_rate or recipe.learning_rate}
    groups = []
    for part, rate in rates.items():
        weights = [weight for weight in getattr(model, part).parameters() if weight.requires_grad]
        for decay, chosen in (
            (recipe.weight_decay, [weight for weight in weights if weight.ndim > 1]),
            (0.0, [weight for weight in weights if weight.ndim <= 1]),
        ):
            if chosen:
                groups.append({"params": chosen, "lr": rate, "weight_decay": decay})
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
