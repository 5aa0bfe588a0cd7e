"""Activations of examples as a task feeds them to its model: pairs with their separator and segments."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xxhash

from ...finetuning.batches import collate
from ...finetuning.tasks.base import Feature, Task
from ...models import Encoder
from ...store import ActivationStore, StoreWriter
from ...store.columns import TokenFlag, check_columns

__all__ = ["extract_features"]

_INPUTS = ("input_ids", "token_type_ids")
_BATCH = 32
_SHARD = 512  # sequences


def extract_features(
    encoder: Encoder, task: Task, examples: Sequence[Any], out: Path, *, max_length: int
) -> ActivationStore:
    """A store with a row a token of the first sequence of each example; an example is a document.

    Encoders of one tokenizer get the same rows, computed in the same batches. A killed call's shards are kept.
    """
    made = task.fit(examples).encode(examples, encoder.tokenizer, max_length=max_length)
    first = {feature.example: feature for feature in reversed(made)}  # of a long document the first window
    features = [_without_targets(first[k]) for k in sorted(first)]
    cuts = [*range(0, len(features), _SHARD), len(features)]
    shards = [features[begin:end] for begin, end in pairwise(cuts)]
    sizes = [sum(map(len, shard)) for shard in shards]
    plan = {"rows": {"features": _digest(features)}, "model": encoder.record()}
    with StoreWriter.create(out, plan, layers=encoder.layers, shard_rows=sizes) as writer:
        for k in writer.missing():
            columns = check_columns(_columns(shards[k], cuts[k], encoder), sizes[k], "rows")
            batches = [shards[k][begin : begin + _BATCH] for begin in range(0, len(shards[k]), _BATCH)]
            states = zip(*(_states(encoder, batch) for batch in batches), strict=True)
            layers = {name: np.concatenate(rows) for name, rows in zip(encoder.layers, states, strict=True)}
            writer.commit(k, columns, layers)
        return writer.seal()


def _without_targets(feature: Feature) -> Feature:
    inputs = {name: feature.inputs[name] for name in _INPUTS if name in feature.inputs}
    return Feature(inputs, feature.example)


def _digest(features: Sequence[Feature]) -> str:
    digest = xxhash.xxh3_128()
    for feature in features:
        digest.update(repr(sorted(feature.inputs.items())).encode())
    return digest.hexdigest()


def _columns(features: Sequence[Feature], begin: int, encoder: Encoder) -> dict[str, np.ndarray]:
    ids = [np.array(feature.inputs["input_ids"]) for feature in features]
    token = np.concatenate(ids)
    special = np.isin(token, encoder.tokenizer.all_special_ids)
    return {
        "doc_id": np.repeat(begin + np.arange(len(ids)), [len(one) for one in ids]),
        "position": np.concatenate([np.arange(len(one)) for one in ids]),
        "token_id": token,
        "flags": np.where(special, int(TokenFlag.SPECIAL), 0),
    }


def _states(encoder: Encoder, batch: Sequence[Feature]) -> list[np.ndarray]:
    """Of each layer the rows of all tokens that are not padding, (tokens, width), in float32."""
    given = {name: tensor.to(encoder.device) for name, tensor in collate(batch, encoder.pad_id).items()}
    with torch.inference_mode():
        states = encoder.module(**given, output_hidden_states=True).hidden_states
    keep = given["attention_mask"].bool()
    return [state[keep].float().cpu().numpy() for state in states]
