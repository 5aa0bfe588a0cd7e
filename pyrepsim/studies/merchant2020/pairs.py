"""Activations of examples as a task feeds them to its model: pairs with their separator and segments."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...models import Encoder
from ...store import ActivationStore, open_store, write_store
from ...store.rows import RowFlag
from ...tasks.base import Feature, Task
from ...training.batches import collate

__all__ = ["extract_features"]

_INPUTS = ("input_ids", "token_type_ids")
_BATCH = 32


def extract_features(
    encoder: Encoder, task: Task, examples: Sequence[Any], out: Path, *, max_length: int
) -> ActivationStore:
    """A store with a row a token of the first sequence of each example; an example is a document.

    Two encoders of one tokenizer get the same rows, computed in the same batches.
    """
    if (out / "manifest.json").exists():
        return open_store(out)
    shutil.rmtree(out, ignore_errors=True)  # a killed call's
    fitted = task.fit(examples)
    made = fitted.encode(examples, encoder.tokenizer, max_length=max_length)
    first = {feature.example: feature for feature in reversed(made)}  # of a long document the first window
    features = [_without_targets(first[k]) for k in sorted(first)]
    special = np.array(encoder.tokenizer.all_special_ids)
    columns: dict[str, list[np.ndarray]] = {"doc_id": [], "position": [], "token_id": [], "flags": []}
    layers: dict[str, list[np.ndarray]] = {name: [] for name in encoder.layers}
    for begin in range(0, len(features), _BATCH):
        batch = features[begin : begin + _BATCH]
        for k, feature in enumerate(batch):
            ids = np.array(feature.inputs["input_ids"])
            columns["doc_id"].append(np.full(len(ids), begin + k))
            columns["position"].append(np.arange(len(ids)))
            columns["token_id"].append(ids)
            columns["flags"].append(np.where(np.isin(ids, special), int(RowFlag.SPECIAL), 0))
        for name, rows in zip(layers, _states(encoder, batch), strict=True):
            layers[name].append(rows)
    rows = {name: np.concatenate(parts) for name, parts in columns.items()}
    return write_store(out, {name: np.concatenate(parts) for name, parts in layers.items()}, rows=rows)


def _without_targets(feature: Feature) -> Feature:
    inputs = {name: feature.inputs[name] for name in _INPUTS if name in feature.inputs}
    return Feature(inputs, feature.example)


def _states(encoder: Encoder, batch: Sequence[Any]) -> list[np.ndarray]:
    """Of each layer the rows of all tokens that are not padding, (tokens, width), in float32."""
    given = {name: tensor.to(encoder.device) for name, tensor in collate(batch, encoder.pad_id).items()}
    with torch.inference_mode():
        states = encoder.module(**given, output_hidden_states=True).hidden_states
    keep = given["attention_mask"].bool()
    return [state[keep].float().cpu().numpy() for state in states]
