"""Predictions of a task model: features run longest first, in batches of at most `BATCH_TOKENS` tokens.

Features of a model whose rows depend on padding run one at a time (`Encoder.batching`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from ..core.progress import progress_bar
from ..models.independence import PADDED
from ..models.restoring import undisturbed
from .batches import collate, token_batches
from .task_model import TaskModel
from .tasks.base import Feature, Task

__all__ = ["BATCH_TOKENS", "predict", "predict_each"]

BATCH_TOKENS = 8192


def predict(
    model: TaskModel,
    task: Task,
    examples: Sequence[Any],
    features: Sequence[Feature],
    *,
    pad_id: int,
    batching: str = PADDED,
    dtype: torch.dtype = torch.float32,
    progress: bool | None = None,
) -> list[Any]:
    """One prediction per example, in evaluation mode. A `dtype` below float32 runs under autocast."""
    options: dict[str, Any] = {"pad_id": pad_id, "batching": batching, "dtype": dtype, "progress": progress}
    return predict_each(model, lambda batch: {0: model(**batch)}, task, examples, features, **options)[0]


def predict_each(
    module: torch.nn.Module,
    run: Callable[[dict[str, torch.Tensor]], Mapping[int, dict[str, torch.Tensor]]],
    task: Task,
    examples: Sequence[Any],
    features: Sequence[Feature],
    *,
    pad_id: int,
    batching: str = PADDED,
    dtype: torch.dtype = torch.float32,
    progress: bool | None = None,
) -> dict[int, list[Any]]:
    """Predictions by key, for a `run` that maps a batch to several outputs by key; `module` holds its weights."""
    device = next(module.parameters()).device
    budget = BATCH_TOKENS if batching == PADDED else 1
    read_outs: dict[int, list[Any]] = {}
    with (
        undisturbed(module),
        torch.autocast(device.type, dtype, enabled=dtype != torch.float32),
        progress_bar(len(features), progress, desc="predict", unit=" sequences", transient=True) as bar,
    ):
        for indices in token_batches([len(feature) for feature in features], budget):
            batch = collate([features[index] for index in indices], pad_id)
            for key, outputs in run({name: tensor.to(device) for name, tensor in batch.items()}).items():
                arrays = {name: tensor.float().cpu().numpy() for name, tensor in outputs.items()}
                values = read_outs.setdefault(key, [None] * len(features))
                for row, index in enumerate(indices):
                    values[index] = task.read_out(features[index], {name: a[row] for name, a in arrays.items()})
            bar.update(len(indices))
    return {key: task.predict(examples, features, values) for key, values in read_outs.items()}
