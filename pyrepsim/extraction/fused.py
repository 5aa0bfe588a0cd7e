"""`compare_models`: forward passes straight into moments, with no store in between."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backends import get_backend
from ..comparison import StreamingComparison
from ..core.errors import OptionError, RowMismatchError, TextError
from ..core.progress import progress_bar
from ..data.texts import read_texts
from ..models import Encoder, load_encoder
from ..results import Scores
from ..store.columns import IDENTITY, TOKENS, token_mask
from ..store.layout import check_choice
from .engine import Selector, ShardBuffers, as_numpy, check_finite, fill, largest
from .layout import ShardLayout
from .plan import ExtractionPlan, freeze_plan, policy_for
from .planning import check_positions

if TYPE_CHECKING:
    import torch
    from tqdm import tqdm

    from ..measures import Measure

Chunk = dict[str, Any]


def compare_models(
    model_a: str | os.PathLike[str] | Encoder,
    model_b: str | os.PathLike[str] | Encoder,
    texts: Any,
    measures: Measure | str | Sequence[Measure | str],
    *,
    layers: Any = "same",
    tokens: str = "content",
    words: str | None = None,
    long: str = "error",
    max_length: int | None = None,
    batch_tokens: int = 4096,
    device: str = "auto",
    backend: str = "auto",
    n_threads: int | None = None,
    precision: str = "auto",
    progress: bool | None = None,
) -> Scores:
    """Compare the layers of two models on the same texts without storing an activation.

    Both models read each batch, and the float32 rows of all layers go straight into the moments. To look at
    the activations again, by measures that need two passes or by probes, use `extract` and `compare`.

    Parameters
    ----------
    model_a, model_b, texts, words, long, max_length, batch_tokens, device, progress
        As in `extract`. Models with different tokenizers need `words`: their rows then match by word.
    measures, layers, tokens, backend, n_threads, precision
        As in `compare`. With ``backend="cuda"`` and models of one tokenizer on the first GPU, rows never leave it.

    Returns
    -------
    Scores
        With models, texts and the policy by which they were read in each score's ``provenance``.

    Raises
    ------
    OptionError
        If the tokenizers differ and `words` is None, or for an option outside its domain.
    RowMismatchError
        If a word has tokens in one model and none in the other.
    ModelError, TextError, NonFiniteError
        As in `extract`.
    """
    check_choice("tokens", tokens, TOKENS)
    if words is not None and tokens in ("special", "cls"):
        raise OptionError(f"Rows by word hold no special tokens: got words={words!r} and tokens={tokens!r}.")
    encoders = tuple(
        model if isinstance(model, Encoder) else load_encoder(model, device=device) for model in (model_a, model_b)
    )
    corpus = read_texts(texts)
    lengths = [encoder.max_length for encoder in encoders if encoder.max_length is not None]
    policy = policy_for(
        encoders[0],
        words=words,
        long=long,
        max_length=min(lengths, default=None) if max_length is None else max_length,
        batch_tokens=batch_tokens,
    )
    plan = freeze_plan(encoders[0], corpus, policy)
    other = freeze_plan(encoders[1], corpus, policy)
    same = plan.table.digest == other.table.digest and plan.batches_digest == other.batches_digest
    if not same and words is None:
        raise OptionError(
            f"Models must cut the texts into the same tokens to be compared by token: {encoders[0].name!r} and "
            f"{encoders[1].name!r} do not. Compare by word: words='first' or 'mean'."
        )
    if not same:  # whole shards of both models are held in float32: keep them small
        plan = freeze_plan(encoders[0], corpus, replace(policy, shard_tokens=max(1, policy.shard_tokens // 4)))
    for encoder, its_plan in zip(encoders, (plan, other), strict=True):
        check_positions(its_plan, encoder)
    comparison = StreamingComparison(
        encoders[0].layers,
        encoders[1].layers,
        measures,
        layers=layers,
        backend=backend,
        n_threads=n_threads,
        precision=precision,
        provenance=_provenance(encoders, plan, tokens),
    )
    with progress_bar(plan.n_tokens, progress, desc="compare", unit=" tokens") as bar:
        if same:
            chunks = _by_batch(encoders, plan, tokens, get_backend(backend).name, bar)
        else:
            chunks = _by_words(encoders, plan, replace(other, bounds=plan.bounds), bar)
        for chunk_a, chunk_b in chunks:
            comparison.update(chunk_a, chunk_b)
    if comparison.n_samples == 0:
        raise TextError(f"tokens={tokens!r} must select at least one row of the texts: got none. Try tokens='all'.")
    return comparison.scores()


def _by_batch(
    encoders: Sequence[Encoder], plan: ExtractionPlan, tokens: str, backend: str, bar: tqdm
) -> Iterator[tuple[Chunk, Chunk]]:
    """One plan for both: the rows of each batch, as they leave the models."""
    selectors = [Selector(encoder, list(encoder.layers), pooling=plan.policy.words) for encoder in encoders]
    for layout in plan.shards():
        keep = token_mask(layout.columns, tokens, layout.n_rows)
        doc_id = layout.columns["doc_id"]
        for whole in layout.batches():
            batch = whole.select(keep)
            if len(batch.rows):
                chunks = []
                for encoder, selector in zip(encoders, selectors, strict=True):
                    rows = selector.rows(batch)
                    check_finite(rows, largest(rows), doc_id[batch.rows], plan.corpus, encoder.name)
                    chunks.append({layer: _for_moments(values, backend) for layer, values in rows.items()})
                yield chunks[0], chunks[1]
            bar.update(whole.n_tokens)


def _for_moments(values: torch.Tensor, backend: str) -> Any:
    """float32 rows where the backend sums them: on the GPU they come from, if it is the backend's."""
    rows = values.float()
    stays = backend == "cuda" and rows.is_cuda and rows.device.index == 0
    return rows if stays else as_numpy(rows.cpu())


def _by_words(
    encoders: Sequence[Encoder], plan: ExtractionPlan, other: ExtractionPlan, bar: tqdm
) -> Iterator[tuple[Chunk, Chunk]]:
    """Two tokenizers, so two sets of batches: their rows meet again shard by shard, in document order."""
    plans = (plan, other)
    selectors = [Selector(encoder, list(encoder.layers), pooling=plan.policy.words) for encoder in encoders]
    buffers = [ShardBuffers(encoder.layers, max(plan.shard_rows), "float32") for encoder in encoders]
    for shard in range(plan.n_shards):
        layouts = [its_plan.shard(shard) for its_plan in plans]
        _check_same_words(layouts, plan, encoders)
        if layouts[0].n_rows:
            for encoder, selector, layout, buffer in zip(encoders, selectors, layouts, buffers, strict=True):
                with progress_bar(0, False, desc="") as quiet:
                    fill(selector, layout, buffer, plan.corpus, encoder.name, quiet)
            chunks = [buffer.arrays(layouts[0].n_rows) for buffer in buffers]
            yield chunks[0], chunks[1]
        bar.update(layouts[0].n_tokens)


def _check_same_words(layouts: Sequence[ShardLayout], plan: ExtractionPlan, encoders: Sequence[Encoder]) -> None:
    first, second = (np.stack([layout.columns[name] for name in IDENTITY]) for layout in layouts)
    if np.array_equal(first, second):
        return
    common = min(first.shape[1], second.shape[1])
    differs = np.append((first[:, :common] != second[:, :common]).any(axis=0), True)
    row = int(differs.argmax())
    side = 0 if row < first.shape[1] and (row >= second.shape[1] or tuple(first[:, row]) < tuple(second[:, row])) else 1
    columns = layouts[side].columns
    document = plan.corpus[int(columns["doc_id"][row])]
    word = document.text[columns["char_start"][row] : columns["char_end"][row]]
    raise RowMismatchError(
        f"Both models must have a row for every word: {encoders[1 - side].name!r} has none for {word!r} of "
        f"document {document.key!r} (no subword, or cut off). Leave that word out, or raise max_length."
    )


def _provenance(encoders: Sequence[Encoder], plan: ExtractionPlan, tokens: str) -> dict[str, Any]:
    policy = {name: getattr(plan.policy, name) for name in ("words", "long", "max_length", "batch_tokens")}
    found: dict[str, Any] = {"tokens": tokens, "texts": plan.corpus.fingerprint, "policy": policy}
    for side, encoder in zip("xy", encoders, strict=True):
        found |= {f"model_{side}": encoder.name, f"weights_{side}": encoder.weights}
        if encoder.revision is not None:
            found[f"revision_{side}"] = encoder.revision
    return found
