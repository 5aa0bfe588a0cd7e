"""A model's predictions and their scores: features run longest first, in batches of a bounded number of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..models.task_model import TaskModel
from ..progress import progress_bar
from ..tasks.base import Feature, Task
from .batches import collate, token_batches

__all__ = ["BATCH_TOKENS", "predict"]

BATCH_TOKENS = 8192


def predict(
    model: TaskModel,
    task: Task,
    examples: Sequence[Any],
    features: Sequence[Feature],
    *,
    pad_id: int,
    dtype: torch.dtype = torch.float32,
    progress: bool | None = None,
) -> list[Any]:
    """One prediction an example, by the model as it is, without dropout. `dtype` below float32 is autocast's."""
    device = next(model.parameters()).device
    read_outs: list[Any] = [None] * len(features)
    training = model.training
    model.eval()
    try:
        with (
            torch.inference_mode(),
            torch.autocast(device.type, dtype, enabled=dtype != torch.float32),
            progress_bar(len(features), progress, desc="predict", unit=" sequences", passing=True) as bar,
        ):
            for indices in token_batches([len(feature) for feature in features], BATCH_TOKENS):
                batch = collate([features[index] for index in indices], pad_id)
                outputs = model(**{name: tensor.to(device) for name, tensor in batch.items()})
                arrays = {name: tensor.float().cpu().numpy() for name, tensor in outputs.items()}
                for row, index in enumerate(indices):
                    read_outs[index] = task.read_out(features[index], {name: a[row] for name, a in arrays.items()})
                bar.update(len(indices))
    finally:
        model.train(training)
    return task.predict(examples, features, read_outs)
