"""`plan_finetuning`: what a fine-tuning would take in updates, bytes and seconds, from a few timed updates."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..models import ModelLike
from ..models.restoring import random_state_kept
from .batches import LengthBuckets, collate, token_batches
from .prediction import BATCH_TOKENS
from .preparation import FinetuningRequest, PreparedTraining
from .recipes import Ablation, TrainingRecipe
from .tasks.base import Task
from .trainer import autocast_dtype, make_optimizer

__all__ = ["FinetuningPlan", "plan_finetuning"]

_CHECKPOINT_COPIES = 9  # the weights and two moments of Adam, in two checkpoints and in the one that is being written


@dataclass(frozen=True)
class FinetuningPlan:
    """What a fine-tuning would take. Made by `plan_finetuning`.

    Attributes
    ----------
    n_examples, n_sequences, n_tokens : int
        Size of the training data; tokens without padding.
    n_padded : int
        Padding tokens per epoch.
    n_updates : int
        Updates of the optimiser in all epochs.
    n_weights : int
        Number of weights that are trained.
    n_scorings : int
        How often the dev data are scored, the last time included.
    n_bytes : int
        Most bytes on disk: the run, kept encoders, and checkpoints to resume from.
    training_seconds : float
        Seconds for all updates on this machine and device.
    scoring_seconds : float
        Seconds to score the dev data once.
    estimated_seconds : float
        Seconds for both. Reading data, scoring test data and saving are not included.
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


@random_state_kept()
def plan_finetuning(
    model: ModelLike,
    task: str | Task,
    *,
    train: str | os.PathLike[str] | None = None,
    dev: str | os.PathLike[str] | None = None,
    test: str | os.PathLike[str] | None = None,
    recipe: TrainingRecipe | None = None,
    ablation: Ablation | None = None,
    device: str = "auto",
) -> FinetuningPlan:
    r"""Say what `finetune` would take with the same arguments. Nothing is written.

    Parameters
    ----------
    model, task, train, dev, test, recipe, ablation, device
        As in `finetune`.

    Returns
    -------
    FinetuningPlan

    Raises
    ------
    PyrepsimError
        As `finetune` does.

    Examples
    --------
    >>> from pathlib import Path
    >>> import pyrepsim as rs
    >>> lines = ["sentence\tlabel", "a fine film\t1", "a dull film\t0", "a fine plot\t1", "a dull plot\t0"]
    >>> _ = Path("films.tsv").write_text("\n".join(lines))
    >>> recipe = rs.TrainingRecipe(epochs=3, batch_size=2, max_length=16)
    >>> plan = rs.plan_finetuning("bert-base-uncased", "sst2", train="films.tsv", dev="films.tsv", recipe=recipe,
    ...                           device="cpu")
    >>> plan.n_examples, plan.n_updates, plan.n_scorings
    (4, 6, 3)
    """
    sources = {"train": train, "dev": dev, "test": test}
    ready = FinetuningRequest.from_arguments(
        model, task, sources=sources, recipe=recipe, ablation=ablation, device=device
    ).prepare()
    data, recipe = ready.data["train"], ready.recipe
    lengths = [len(feature) for feature in data.features]
    order = list(LengthBuckets(lengths, recipe.batch_size, seed=recipe.seed))
    batches = [order[begin : begin + recipe.batch_size] for begin in range(0, len(order), recipe.batch_size)]
    longest = [max(lengths[i] for i in batch) for batch in batches]
    n_updates = math.ceil(len(batches) * recipe.epochs)
    weights = list(ready.model.parameters())
    median_batch = batches[sorted(range(len(batches)), key=longest.__getitem__)[len(batches) // 2]]
    update, forward = _seconds(ready, median_batch)
    dev_lengths = [len(feature) for feature in ready.data["dev"].features]
    # The first sequence of a batch is its longest.
    n_scored = sum(len(batch) * dev_lengths[batch[0]] for batch in token_batches(dev_lengths, BATCH_TOKENS))
    return FinetuningPlan(
        n_examples=len(data.examples),
        n_sequences=len(lengths),
        n_tokens=sum(lengths),
        n_padded=sum(length * len(batch) for length, batch in zip(longest, batches, strict=True)) - sum(lengths),
        n_updates=n_updates,
        n_weights=sum(weight.numel() for weight in weights if weight.requires_grad),
        n_bytes=sum(4 * weight.numel() for weight in weights) * (1 + len(recipe.checkpoints) + _CHECKPOINT_COPIES),
        n_scorings=math.ceil(n_updates / recipe.evaluate_every if recipe.evaluate_every else recipe.epochs),
        training_seconds=n_updates * update,
        scoring_seconds=forward * n_scored / (len(median_batch) * max(lengths[i] for i in median_batch)),
    )


def _seconds(ready: PreparedTraining, batch: list[int], *, repeats: int = 3) -> tuple[float, float]:
    """Seconds of an update with a batch and of its forward pass: the fastest of a few repeats."""
    device = ready.encoder.device
    model, optimizer = ready.model, make_optimizer(ready.model, ready.recipe)
    inputs = collate([ready.data["train"].features[i] for i in batch], ready.encoder.pad_id)
    inputs = {name: tensor.to(device) for name, tensor in inputs.items()}
    dtype = autocast_dtype(ready.recipe.precision, device)

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
        seconds = []
        for _ in range(repeats):
            started = time.perf_counter()
            for tensor in run().values():
                tensor.flatten()[0].item()  # waits for a GPU
            seconds.append(time.perf_counter() - started)
        return min(seconds)

    model.train()
    update_seconds = fastest(update)
    model.eval()
    with torch.inference_mode():
        return update_seconds, fastest(forward)
