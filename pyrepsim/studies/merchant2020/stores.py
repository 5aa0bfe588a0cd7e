"""Activations of every model on every corpus, in stores that are removed once no other cell needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from ..runner import Cell
from .costs import CostEstimator
from .plan import BASE, Plan, StudyModel, baselines, equal_models, tuned_models
from .scales import Corpus
from .texts import read_texts_of_cell, task_of, text_cell

if TYPE_CHECKING:
    from ...finetuning.tasks.base import Feature, Task
    from ...models import Encoder
    from ...store import ActivationStore

__all__ = ["LONGEST", "models_on", "store_cell", "store_cells"]

LONGEST = 256
"""Tokens of a sequence; longer sequences are truncated."""

_FORMAT = 2
_BATCH_SIZE = 32
_SHARD_SIZE = 512  # sequences
_INPUTS = ("input_ids", "token_type_ids")


def store_cell(model: StudyModel, corpus: str) -> str:
    """The id of the cell whose folder holds the activations of a model on a corpus, as ``store``."""
    return f"stores/{model.label}-{corpus}"


def models_on(plan: Plan, corpus: str) -> list[StudyModel]:
    """All models that are compared on a corpus, the base first."""
    tasks = plan.scale.corpora[corpus].domain
    models = [BASE, *baselines(plan), *(model for task in tasks for model in tuned_models(plan, task))]
    return models + [model for task in tasks if corpus in plan.shared_texts for model in equal_models(plan, task)]


def store_cells(plan: Plan, costs: CostEstimator) -> list[Cell]:
    """One cell for each model and corpus."""
    return [_cell(plan, costs, model, name) for name in plan.scale.corpora for model in models_on(plan, name)]


def _cell(plan: Plan, costs: CostEstimator, model: StudyModel, name: str) -> Cell:
    def run(folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        _extract(plan, name, model.load(plan, needed), folder / "store", needed)
        return []

    return Cell(
        experiment="stores",
        name=f"{model.label}-{name}",
        request={**model.request(plan), "longest": _max_length(plan, plan.scale.corpora[name])},
        run=run,
        needs=(*plan.data_needs, text_cell(name), *model.needs),
        scratch=("store",),
        format=_FORMAT,
        cost=lambda: costs.extraction(name),
    )


def _max_length(plan: Plan, corpus: Corpus) -> int:
    return LONGEST if corpus.form == "sentences" else plan.recipe(str(corpus.task), 0).max_length


def _extract(plan: Plan, name: str, encoder: Encoder, out: Path, needed: Mapping[str, Path]) -> ActivationStore:
    """Write the activations of an encoder on a corpus, one row for each token."""
    import pyrepsim as rs

    corpus, chosen = plan.scale.corpora[name], read_texts_of_cell(needed[text_cell(name)])
    if corpus.form == "training":
        task = task_of(plan, corpus)
        examples = task.read(plan.locate(corpus.source, needed))
        return extract_examples(encoder, task, [examples[i] for i in chosen], out, max_length=_max_length(plan, corpus))
    max_length = min(_max_length(plan, corpus), encoder.max_length or LONGEST)
    store = rs.extract(encoder, chosen, out=out, long="truncate", max_length=max_length, worker="0/1", progress=False)
    assert store is not None  # a single worker completes the store
    return store


def extract_examples(
    encoder: Encoder, task: Task, examples: Sequence[Any], out: Path, *, max_length: int
) -> ActivationStore:
    """Write the activations of examples as the task feeds them to the model: pairs with separator and segments.

    The store has one row for each token of the first sequence of each example, whose number is ``doc_id``. Encoders
    with the same tokenizer get the same rows, computed in the same batches. Shards of an interrupted call are kept.
    """
    from ...store import StoreWriter
    from ...store.columns import check_columns

    encoded = task.fit(examples).encode(examples, encoder.tokenizer, max_length=max_length)
    first = {feature.example: feature for feature in reversed(encoded)}  # the first window of a long document
    features = [_without_targets(first[k]) for k in sorted(first)]
    cuts = [*range(0, len(features), _SHARD_SIZE), len(features)]
    shards = [features[begin:end] for begin, end in pairwise(cuts)]
    sizes = [sum(map(len, shard)) for shard in shards]
    plan = {"rows": {"features": _digest(features), "documents": len(examples)}, "model": encoder.record()}
    size = 1 if "batching" in plan["model"] else _BATCH_SIZE
    with StoreWriter.create(out, plan, layers=encoder.layers, shard_rows=sizes) as writer:
        for k in writer.missing():
            columns = check_columns(_columns(shards[k], encoder), sizes[k], "rows")
            batches = [shards[k][begin : begin + size] for begin in range(0, len(shards[k]), size)]
            states = zip(*(_states(encoder, batch) for batch in batches), strict=True)
            layers = {name: np.concatenate(rows) for name, rows in zip(encoder.layers, states, strict=True)}
            writer.commit(k, columns, layers)
        return writer.seal()


def _without_targets(feature: Feature) -> Feature:
    from ...finetuning.tasks.base import Feature

    inputs = {name: feature.inputs[name] for name in _INPUTS if name in feature.inputs}
    return Feature(inputs, feature.example)


def _digest(features: Sequence[Feature]) -> str:
    digest = xxhash.xxh3_128()
    for feature in features:
        digest.update(repr(sorted(feature.inputs.items())).encode())
    return digest.hexdigest()


def _columns(features: Sequence[Feature], encoder: Encoder) -> dict[str, np.ndarray]:
    from ...store.columns import TokenFlag

    ids = [np.array(feature.inputs["input_ids"]) for feature in features]
    token = np.concatenate(ids)
    special = np.isin(token, encoder.tokenizer.all_special_ids)
    return {
        "doc_id": np.repeat([feature.example for feature in features], [len(one) for one in ids]),
        "position": np.concatenate([np.arange(len(one)) for one in ids]),
        "token_id": token,
        "flags": np.where(special, int(TokenFlag.SPECIAL), 0),
    }


def _states(encoder: Encoder, batch: Sequence[Feature]) -> list[np.ndarray]:
    """Activations of all tokens that are not padding: for each layer an array of shape (n_tokens, width), float32."""
    import torch

    from ...finetuning.batches import collate

    inputs = {name: tensor.to(encoder.device) for name, tensor in collate(batch, encoder.pad_id).items()}
    with torch.inference_mode():
        states = encoder.module(**inputs, output_hidden_states=True).hidden_states
    keep = inputs["attention_mask"].bool()
    return [state[keep].float().cpu().numpy() for state in states]
