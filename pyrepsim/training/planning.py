"""What a fine-tuning would take: sequences, tokens, updates, bytes, and seconds by the clock of a few updates."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass

import torch

from ..recipes import Ablation, Recipe
from ..tasks.base import Task
from .batches import LengthBuckets, collate
from .optimizer import make_optimizer
from .precision import autocast_type
from .preparing import Asked, Prepared

__all__ = ["FinetuningPlan", "plan_finetuning"]

_POINTS = 4  # copies of the weights at a point to resume from: itself, two moments of Adam, the one being replaced


@dataclass(frozen=True)
class FinetuningPlan:
    """Of one run.

    Attributes
    ----------
    n_examples, n_sequences, n_tokens
        Of the training data; tokens without padding.
    n_padded
        Tokens of padding in an epoch.
    n_updates
        Of the optimiser, all epochs together.
    n_weights
        That are trained.
    n_bytes
        On the disk at most: the run, its trajectory, and a point to resume from.
    estimated_seconds
        Of the updates on this machine and device; scoring and saving come on top.
    """

    n_examples: int
    n_sequences: int
    n_tokens: int
    n_padded: int
    n_updates: int
    n_weights: int
    n_bytes: int
    estimated_seconds: float


def plan_finetuning(
    model: str | os.PathLike[str],
    task: str | Task,
    *,
    train: str | os.PathLike[str] | None = None,
    dev: str | os.PathLike[str] | None = None,
    test: str | os.PathLike[str] | None = None,
    recipe: Recipe | None = None,
    ablation: Ablation | None = None,
    device: str = "auto",
) -> FinetuningPlan:
    """What `finetune` would do with the same arguments; nothing is written. Its errors are raised here too."""
    sources = {"train": train, "dev": dev, "test": test}
    ready = Asked.of(model, task, sources=sources, recipe=recipe, ablation=ablation, device=device).prepare()
    data, recipe = ready.data["train"], ready.recipe
    lengths = [len(feature) for feature in data.features]
    order = list(LengthBuckets(lengths, recipe.batch_size, seed=recipe.seed))
    batches = [order[begin : begin + recipe.batch_size] for begin in range(0, len(order), recipe.batch_size)]
    widest = [max(lengths[i] for i in batch) for batch in batches]
    n_updates = math.ceil(len(batches) * recipe.epochs)
    trained = [weight for weight in ready.model.parameters() if weight.requires_grad]
    n_bytes = sum(4 * weight.numel() for weight in ready.model.parameters())
    middle = batches[sorted(range(len(batches)), key=widest.__getitem__)[len(batches) // 2]]
    return FinetuningPlan(
        n_examples=len(data.examples),
        n_sequences=len(lengths),
        n_tokens=sum(lengths),
        n_padded=sum(width * len(batch) for width, batch in zip(widest, batches, strict=True)) - sum(lengths),
        n_updates=n_updates,
        n_weights=sum(weight.numel() for weight in trained),
        n_bytes=n_bytes * (1 + len(recipe.checkpoints) + _POINTS),
        estimated_seconds=n_updates * _seconds(ready, middle),
    )


def _seconds(ready: Prepared, batch: list[int], *, updates: int = 3) -> float:
    """The fastest of a few updates on one batch: a busy machine only ever adds to the time."""
    device = ready.encoder.device
    model, optimizer = ready.model.train(), make_optimizer(ready.model, ready.recipe)
    inputs = collate([ready.data["train"].features[i] for i in batch], ready.encoder.pad_id)
    inputs = {name: tensor.to(device) for name, tensor in inputs.items()}
    dtype = autocast_type(ready.recipe.precision, device)
    taken = []
    for _ in range(updates):
        started = time.perf_counter()
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            loss = model(**inputs)["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        loss.item()  # waits for a GPU
        taken.append(time.perf_counter() - started)
    return min(taken)
