"""From arguments to a plan, and what the plan would cost: rows, bytes, seconds."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Sequence
from typing import Any

from ..errors import OptionError
from ..models import Encoder, load_encoder
from ..store import ActivationStore, open_store
from ..store.layout import DTYPES, PAGE
from ..store.rows import ROW_BYTES
from .buffers import torch_dtype
from .layout import Batch
from .limits import policy_for
from .plan import ExtractionPlan, freeze_plan
from .selection import Selector, choose_layers, largest
from .sharing import check_same_plan, shared_policy
from .text import read_texts

_PROBE_TOKENS = 1024


def plan_extraction(
    model: str | os.PathLike[str] | Encoder,
    texts: Any,
    *,
    layers: str | Sequence[str | int] = "all",
    dtype: str = "float16",
    words: str | None = None,
    long: str = "error",
    max_length: int | None = None,
    batch_tokens: int = 4096,
    same_plan_as: ActivationStore | ExtractionPlan | str | os.PathLike[str] | None = None,
    revision: str | None = None,
    device: str = "auto",
) -> ExtractionPlan:
    """What `extract` would do with these arguments: rows, tokens, bytes, and time by one timed batch."""
    torch_dtype(dtype)
    encoder, plan = prepare(
        model,
        texts,
        revision=revision,
        device=device,
        same_plan_as=same_plan_as,
        words=words,
        long=long,
        max_length=max_length,
        batch_tokens=batch_tokens,
    )
    chosen = choose_layers(encoder, layers)
    row_bytes = ROW_BYTES + DTYPES[dtype].itemsize * sum(encoder.layers[layer] for layer in chosen)
    n_bytes = plan.n_rows * row_bytes + plan.n_shards * PAGE * (len(chosen) + 1)
    return dataclasses.replace(plan, n_bytes=n_bytes, estimated_seconds=_estimate(encoder, plan, chosen))


def prepare(
    model: str | os.PathLike[str] | Encoder,
    texts: Any,
    *,
    revision: str | None,
    device: str,
    same_plan_as: Any,
    words: str | None,
    long: str,
    max_length: int | None,
    batch_tokens: int,
) -> tuple[Encoder, ExtractionPlan]:
    """Load the model, read the texts and freeze their plan: a new one, or that of another extraction."""
    if isinstance(model, Encoder):
        if revision is not None:
            raise OptionError(f"A revision is for loading: {model!r} is loaded already. Leave revision out.")
        encoder = model
    else:
        encoder = load_encoder(model, revision=revision, device=device)
    corpus = read_texts(texts)
    asked = {"words": words, "long": long, "max_length": max_length, "batch_tokens": batch_tokens}
    if same_plan_as is None:
        return encoder, freeze_plan(encoder, corpus, policy_for(encoder, **asked))
    if isinstance(same_plan_as, ExtractionPlan):
        where, shared = "the plan", same_plan_as.record()
    else:
        store = same_plan_as if isinstance(same_plan_as, ActivationStore) else open_store(same_plan_as)
        where, shared = str(store.path), store.plan
    plan = freeze_plan(encoder, corpus, shared_policy(shared, where, **asked))
    check_same_plan(plan, shared, encoder, where)
    return encoder, plan


def _estimate(encoder: Encoder, plan: ExtractionPlan, layers: list[str]) -> float:
    """Seconds for all batches, from the second run of a typical one cut to about a thousand tokens."""
    layout = next(layout for layout in plan.shards() if layout.n_rows)
    batches = list(layout.batches())
    batch = batches[len(batches) // 2]
    ids = batch.ids[: max(1, _PROBE_TOKENS // batch.ids.shape[1])]
    keep = batch.picks < ids.size
    probe = Batch(ids, batch.picks[keep], batch.counts[keep], batch.rows[keep])
    selector = Selector(encoder, layers, pooling=plan.policy.words)
    largest(selector.rows(probe))
    started = time.perf_counter()
    largest(selector.rows(probe))
    return (time.perf_counter() - started) * plan.n_padded / ids.size
