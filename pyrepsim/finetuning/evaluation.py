"""A model's predictions and their scores: features run longest first, in batches of a bounded number of tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from ..core.progress import progress_bar
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
    dtype: torch.dtype = torch.float32,
    progress: bool | None = None,
) -> list[Any]:
    """One prediction an example, by the model as it is, without dropout. `dtype` below float32 is autocast's."""
    how = {"pad_id": pad_id, "dtype": dtype, "progress": progress}
    return predict_each(model, lambda batch: {0: model(**batch)}, task, examples, features, **how)[0]


def predict_each(
    module: torch.nn.Module,
    run: Callable[[dict[str, torch.Tensor]], Mapping[int, dict[str, torch.Tensor]]],
    task: Task,
    examples: Sequence[Any],
    features: Sequence[Feature],
    *,
    pad_id: int,
    dtype: torch.dtype = torch.float32,
    progress: bool | None = None,
) -> dict[int, list[Any]]:
    """The predictions from each of the heads' outputs that `run` gives of a batch; `module` is what it runs."""
    device = next(module.parameters()).device
    read_outs: dict[int, list[Any]] = {}
    training = module.training
    module.eval()
    try:
        with (
            torch.inference_mode(),
            torch.autocast(device.type, dtype, enabled=dtype != torch.float32),
            progress_bar(len(features), progress, desc="predict", unit=" sequences", passing=True) as bar,
        ):
            for indices in token_batches([len(feature) for feature in features], BATCH_TOKENS):
                batch = collate([features[index] for index in indices], pad_id)
                each = run({name: tensor.to(device) for name, tensor in batch.items()})
                for key, outputs in each.items():
                    arrays = {name: tensor.float().cpu().numpy() for name, tensor in outputs.items()}
                    found = read_outs.setdefault(key, [None] * len(features))
                    for row, index in enumerate(indices):
                        found[index] = task.read_out(features[index], {name: a[row] for name, a in arrays.items()})
                bar.update(len(indices))
    finally:
        module.train(training)
    return {key: task.predict(examples, features, found) for key, found in read_outs.items()}
