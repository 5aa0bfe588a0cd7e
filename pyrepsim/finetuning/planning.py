"""What a fine-tuning would take: sequences, tokens, updates, bytes, and seconds by the clock of a few updates."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from .batches import LengthBuckets, collate, token_batches
from .evaluation import BATCH_TOKENS
from .preparing import Asked, Prepared
from .recipes import Ablation, Recipe
from .tasks.base import Task
from .trainer import autocast_type, make_optimizer

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
    n_scorings
        Of the dev data, the last one included.
    n_bytes
        On the disk at most: the run, its trajectory, and a point to resume from.
    training_seconds
        Of the updates on this machine and device.
    scoring_seconds
        Of one run over the dev data.
    estimated_seconds
        Of both, as often as dev is scored; reading data, scoring test and saving come on top.
    """

    n_examples: int
    n_sequences: int
    n_tokens: int
    n_padded: int
    n_updates: int
    n_weights: int
    n_scorings: int
    n_bytes: int
    training_seconds: float
    scoring_seconds: float

    @property
    def estimated_seconds(self) -> float:
        return self.training_seconds + self.n_scorings * self.scoring_seconds


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
    update, forward = _seconds(ready, middle)
    read = [len(feature) for feature in ready.data["dev"].features]
    n_scored = sum(len(batch) * read[batch[0]] for batch in token_batches(read, BATCH_TOKENS))  # the longest first
    return FinetuningPlan(
        n_examples=len(data.examples),
        n_sequences=len(lengths),
        n_tokens=sum(lengths),
        n_padded=sum(width * len(batch) for width, batch in zip(widest, batches, strict=True)) - sum(lengths),
        n_updates=n_updates,
        n_weights=sum(weight.numel() for weight in trained),
        n_bytes=n_bytes * (1 + len(recipe.checkpoints) + _POINTS),
        n_scorings=math.ceil(n_updates / recipe.evaluate_every if recipe.evaluate_every else recipe.epochs),
        training_seconds=n_updates * update,
        scoring_seconds=forward * n_scored / (len(middle) * max(lengths[i] for i in middle)),
    )


def _seconds(ready: Prepared, batch: list[int], *, repeats: int = 3) -> tuple[float, float]:
    """Of an update on a batch and of its forward pass: the fastest of a few, since a busy machine only adds to them."""
    device = ready.encoder.device
    model, optimizer = ready.model, make_optimizer(ready.model, ready.recipe)
    inputs = collate([ready.data["train"].features[i] for i in batch], ready.encoder.pad_id)
    inputs = {name: tensor.to(device) for name, tensor in inputs.items()}
    dtype = autocast_type(ready.recipe.precision, device)

    def forward() -> dict[str, torch.Tensor]:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            return model(**inputs)

    def update() -> dict[str, torch.Tensor]:
        outputs = forward()
        outputs["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
        return outputs

    def fastest(run: Callable[[], dict[str, torch.Tensor]]) -> float:
        taken = []
        for _ in range(repeats):
            started = time.perf_counter()
            for tensor in run().values():
                tensor.flatten()[0].item()  # waits for a GPU
            taken.append(time.perf_counter() - started)
        return min(taken)

    model.train()
    updating = fastest(update)
    model.eval()
    with torch.inference_mode():
        return updating, fastest(forward)
