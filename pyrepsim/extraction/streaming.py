"""`compare_models`: forward passes of two models, summed into moments without a store in between."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backends import get_backend
from ..comparison import StreamingComparison
from ..comparison.layers import layer_pairs, unmatched_layers
from ..core.errors import OptionError, RowMismatchError, TextError
from ..core.progress import progress_bar
from ..data.texts import read_texts
from ..models import Encoder, ModelLike
from ..models.independence import PADDED
from ..models.loading import load_encoders
from ..models.restoring import undisturbed
from ..results import Scores
from ..store.columns import IDENTITY, Tokens, token_mask, tokens_name
from .batches import reads_batches
from .forward import Selector, ShardBuffers, as_numpy, check_finite, described, fill, largest
from .item_runs import compare_items, loading_of, of_side
from .layout import ShardLayout
from .options import ForwardOptions, with_keywords_of
from .plan import (
    ExtractionPlan,
    check_positions,
    check_tokens,
    freeze_plan,
    have_same_tokens,
    plans_of_both,
    tokens_text,
)

if TYPE_CHECKING:
    import torch
    from tqdm import tqdm

    from ..measures import Measure

Chunk = dict[str, Any]


@with_keywords_of(ForwardOptions)
def compare_models(
    model_x: ModelLike,
    model_y: ModelLike,
    texts: Any,
    measures: Measure | str | Sequence[Measure | str],
    *,
    layers: Any = "same",
    tokens: Tokens = "content",
    backend: str = "auto",
    n_threads: int | None = None,
    memory: int | str | None = None,
    precision: str = "auto",
    progress: bool | None = None,
    forward: Any = None,
    **options: Any,
) -> Scores:
    """Compare the layers of two models on the same texts or batches without storing activations.

    Both models read each batch, and the float32 rows of all layers go directly into the moments. Use `extract` and
    `compare` to use the activations again: for measures on pairs of rows, intervals, or probes.

    Parameters
    ----------
    model_x, model_y, texts, progress
        As in `extract`.
    rows, forward
        As in `extract`. ``rows="document"`` compares texts by the means over their `tokens`. The others are for batches
        in the place of texts; `forward` is one function, or one for each model.
    measures, layers, tokens, backend, n_threads, precision, memory
        As in `compare`; `layers` may also name hook points, as in `extract`: ``["layer.*.mlp"]``. With
        ``backend="cuda"`` and models of one tokenizer on the first GPU, rows never leave it.
    words, long, max_length, batch_tokens
        As in `extract`. Models with different tokenizers need `words` or ``rows="document"``: their rows are then
        matched by word or by text.
    revision, device, model_dtype, device_map, attention, quantization, adapter
        See `load_encoder`. Each is one value for both models or a pair of values, such as
        ``model_dtype=("float32", "bfloat16")``. With ``adapter=("off", "on")`` one model, given twice, is loaded once.

    Returns
    -------
    Scores
        Each score's ``provenance`` has models, texts and reading options.

    Raises
    ------
    OptionError
        If the tokenizers differ and rows are tokens, or an option is outside its domain.
    RowMismatchError
        If a word or document has tokens in one model and none in the other.
    ModelError, TextError, NonFiniteError
        As in `extract`.

    Examples
    --------
    >>> import pyrepsim as rs
    >>> scores = rs.compare_models(
    ...     "bert-base-uncased", "bert-base-uncased", ["the keys are here", "the river"], "LinearCKA", device="cpu"
    ... )
    >>> round(scores[0].value, 4)
    1.0
    """
    chosen = ForwardOptions(**options)
    tokens = check_tokens(tokens, chosen)
    if forward is not None or reads_batches(chosen.rows, texts):
        extra = {} if tokens_text(tokens) == "content" else {"tokens": tokens}
        return compare_items(
            (model_x, model_y),
            texts,
            measures,
            rows=chosen.rows,
            forward=forward,
            layers=layers,
            progress=progress,
            loading=loading_of(chosen, extra),
            backend=backend,
            n_threads=n_threads,
            memory=memory,
            precision=precision,
        )
    encoders = load_encoders((model_x, model_y), **chosen.loading())
    corpus, pooled = read_texts(texts), tokens if chosen.by_document else "all"
    plan, plan_y = plans_of_both(encoders, corpus, chosen, pooled)
    same = have_same_tokens(plan, plan_y)
    if not same and chosen.words is None and not chosen.by_document:
        raise OptionError(
            f"Models are compared by token only if they split the texts into the same tokens: {encoders[0].name!r} and "
            f"{encoders[1].name!r} do not. Compare by word: words='first' or 'mean'; or by text: rows='document'."
        )
    if not same:  # one shard of both models is held in float32, so shards are smaller
        policy = replace(plan.policy, shard_tokens=max(1, plan.policy.shard_tokens // 4))
        plan = freeze_plan(encoders[0], plan.corpus, policy)
    for encoder, own_plan in zip(encoders, (plan, plan_y), strict=True):
        check_positions(own_plan, encoder)
    pairs, widths = _compared_layers(encoders, layers)
    comparison = StreamingComparison(
        widths[0],
        widths[1],
        measures,
        layers="best" if layers == "best" else pairs,
        backend=backend,
        n_threads=n_threads,
        memory=memory,
        precision=precision,
        provenance={
            **_provenance(encoders, plan, tokens),
            **unmatched_layers(tuple(encoders[0].layers), tuple(encoders[1].layers), layers),
        },
    )
    with (
        undisturbed(encoders[0].module),
        undisturbed(encoders[1].module),
        progress_bar(plan.n_tokens, progress, desc="compare", unit=" tokens") as bar,
    ):
        if same and not chosen.by_document:
            chunks = _chunks_by_batch(encoders, widths, plan, tokens, get_backend(backend).name, bar)
        else:
            chunks = _chunks_by_shard(encoders, widths, plan, replace(plan_y, bounds=plan.bounds), tokens, bar)
        for chunk_x, chunk_y in chunks:
            comparison.update(chunk_x, chunk_y)
    if comparison.n_samples == 0:
        raise TextError(f"tokens={tokens!r} must select at least one row of the texts: got none. Try tokens='all'.")
    return comparison.scores()


def _compared_layers(encoders: Sequence[Encoder], layers: Any) -> tuple[list[tuple[str, str]], list[dict[str, int]]]:
    """The pairs of layers and hook points that `layers` describes, and the widths of those of each model."""
    layers = list(layers) if not isinstance(layers, str) and isinstance(layers, Iterable) else layers
    known = [widths_of_side(encoder, layers, side) for side, encoder in enumerate(encoders)]
    pairs = layer_pairs(tuple(known[0]), tuple(known[1]), layers)
    named = [{pair[side] for pair in pairs} for side in (0, 1)]
    return pairs, [
        {name: width for name, width in widths.items() if name in wanted}
        for widths, wanted in zip(known, named, strict=True)
    ]


def widths_of_side(encoder: Encoder, layers: Any, side: int) -> dict[str, int]:
    """Return the widths of all layers of a model, and of the hook points that `layers` names on its side."""
    widths = dict(encoder.layers)
    if isinstance(layers, list):
        hooks = [name for entry in layers if isinstance(name := of_side(entry, side), str) and name not in widths]
        widths.update(encoder.widths(hooks) if hooks else {})
    return widths


def _chunks_by_batch(
    encoders: Sequence[Encoder],
    widths: Sequence[Mapping[str, int]],
    plan: ExtractionPlan,
    tokens: Tokens,
    backend: str,
    bar: tqdm,
) -> Iterator[tuple[Chunk, Chunk]]:
    """Rows of both models batch by batch, for models that share one plan."""
    selectors = _selectors(encoders, widths, plan)
    for layout in plan.shards():
        keep = token_mask(layout.columns, tokens, layout.n_rows)
        doc_id = layout.columns["doc_id"]
        for full_batch in layout.batches():
            batch = full_batch.select(keep)
            if len(batch.rows):
                chunks = []
                for encoder, selector in zip(encoders, selectors, strict=True):
                    rows = selector.rows(batch)
                    check_finite(rows, largest(rows), doc_id[batch.rows], described(plan.corpus), encoder.name)
                    chunks.append({layer: _for_moments(values, backend) for layer, values in rows.items()})
                yield chunks[0], chunks[1]
            bar.update(full_batch.n_tokens)


def _selectors(
    encoders: Sequence[Encoder], widths: Sequence[Mapping[str, int]], plan: ExtractionPlan
) -> list[Selector]:
    return [Selector(encoder, list(wanted), plan.policy) for encoder, wanted in zip(encoders, widths, strict=True)]


def _for_moments(values: torch.Tensor, backend: str) -> Any:
    """float32 rows for the backend: left on the GPU if the backend sums there, else as a NumPy array."""
    rows = values.float()
    on_backend = backend == "cuda" and rows.is_cuda and rows.device.index == 0
    return rows if on_backend else as_numpy(rows.cpu())


def _chunks_by_shard(
    encoders: Sequence[Encoder],
    widths: Sequence[Mapping[str, int]],
    plan_x: ExtractionPlan,
    plan_y: ExtractionPlan,
    tokens: Tokens,
    bar: tqdm,
) -> Iterator[tuple[Chunk, Chunk]]:
    """Rows of both models shard by shard: words or documents, which are the same where batches differ."""
    selectors = _selectors(encoders, widths, plan_x)
    buffers = [ShardBuffers(wanted, max(plan_x.shard_rows), "float32") for wanted in widths]
    for shard in range(plan_x.n_shards):
        layouts = [plan.shard(shard) for plan in (plan_x, plan_y)]
        _check_same_rows(layouts, plan_x, encoders)
        if layouts[0].n_rows:
            for selector, layout, buffer, shown in zip(selectors, layouts, buffers, (bar, None), strict=True):
                fill(selector, layout, buffer, plan_x.corpus, shown)
            chunks = [buffer.arrays(layouts[0].n_rows) for buffer in buffers]
            chosen = "all" if plan_x.policy.by_document else tokens  # documents are means over these tokens
            keep = token_mask(layouts[0].columns, chosen, layouts[0].n_rows)
            if not keep.all():
                chunks = [{layer: rows[keep] for layer, rows in chunk.items()} for chunk in chunks]
            if keep.any():
                yield chunks[0], chunks[1]


def _check_same_rows(layouts: Sequence[ShardLayout], plan: ExtractionPlan, encoders: Sequence[Encoder]) -> None:
    """Raise RowMismatchError with the first word or document that only one of the two models has a row for."""
    first, second = (np.stack([layout.columns[name] for name in IDENTITY]) for layout in layouts)
    if np.array_equal(first, second):
        return
    common = min(first.shape[1], second.shape[1])
    differs = np.append((first[:, :common] != second[:, :common]).any(axis=0), True)
    row = int(differs.argmax())
    in_first = row < first.shape[1] and (row >= second.shape[1] or tuple(first[:, row]) < tuple(second[:, row]))
    side = 0 if in_first else 1
    columns = layouts[side].columns
    document = plan.corpus[int(columns["doc_id"][row])]
    if plan.policy.by_document:
        raise RowMismatchError(
            f"Both models must have a row for every document: {encoders[1 - side].name!r} has none for document "
            f"{document.key!r}, because tokens={tokens_text(plan.policy.tokens)!r} selects none of its tokens. Leave "
            "that document out."
        )
    word = document.text[columns["char_start"][row] : columns["char_end"][row]]
    raise RowMismatchError(
        f"Both models must have a row for every word: {encoders[1 - side].name!r} has none for {word!r} of "
        f"document {document.key!r} (no subword, or cut off). Leave that word out, or raise max_length."
    )


def _provenance(encoders: Sequence[Encoder], plan: ExtractionPlan, tokens: Tokens) -> dict[str, Any]:
    policy = {key: value for key, value in plan.record()["policy"].items() if key != "shard_tokens"}
    name = tokens_name(tokens) or getattr(tokens, "__qualname__", repr(tokens))
    record: dict[str, Any] = {"tokens": name, "texts": plan.corpus.fingerprint, "policy": policy}
    for side, encoder in zip("xy", encoders, strict=True):
        record |= {f"model_{side}": encoder.name, f"weights_{side}": encoder.weights}
        if encoder.revision is not None:
            record[f"revision_{side}"] = encoder.revision
        record |= {f"{name}_{side}": value for name, value in encoder.settings.items()}
        if encoder.batching != PADDED:
            record[f"batching_{side}"] = encoder.batching
    return record
