"""`extract` writes a model's hidden states for a corpus to a store; `plan_extraction` says what that would take."""

from __future__ import annotations

import dataclasses
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..core.progress import progress_bar
from ..core.workers import Worker, find_worker
from ..data.texts import read_texts
from ..models import Encoder, ModelLike, load_encoder
from ..models.restoring import undisturbed
from ..store import ActivationStore, StoreWriter, open_store
from .batches import reads_batches
from .forward import Selector, ShardBuffers, fill, largest, torch_dtype
from .item_runs import ItemPlan, extract_items, loading_of, plan_items
from .layout import Batch
from .options import ExtractionOptions, with_keywords_of
from .plan import ExtractionPlan, freeze_plan, policy_for, reuse_plan
from .writing import check_overwrite, commit_in_turn, environment, missing_shards, planned_sizes, write_shards

log = logging.getLogger("pyrepsim.extraction")

_TIMED_TOKENS = 1024
_SHORT_SECONDS = 0.25


@with_keywords_of(ExtractionOptions)
def extract(
    model: ModelLike,
    texts: Any,
    out: str | os.PathLike[str],
    *,
    forward: Callable[[Any, Any], Any] | None = None,
    ids: Sequence[Any] | None = None,
    worker: str | Worker | None = None,
    overwrite: bool = False,
    wait: float | None = None,
    progress: bool | None = None,
    **options: Any,
) -> ActivationStore | None:
    """Run a model over texts or other data and store its activations. Call it again to resume what was stopped.

    Parameters
    ----------
    model : folder, hub id, ``id@revision``, torch.nn.Module or `Encoder`
        See `load_encoder`. A model in memory is not changed. For batches, any module.
    texts
        See `read_texts`; or batches of anything the module reads (docs/items.md): a DataLoader or an iterable that can
        be read again, of tensors, mappings of names to tensors, or tuples. Their first axis counts items.
    out : path
        Folder of the store. If it holds an unfinished store of the same plan, only the missing shards are computed.
    rows : {"document", "item", "token", "flatten"} or callable, optional
        For texts: "document" is a row per text, the mean over its `tokens`, added in float64; such stores match across
        tokenizers. By default a row per token.
        For batches. "item" (default): a row an item, the float32 mean over its positions: tokens, patches, frames, or
        height and width of feature maps (items, channels, height, width), which ReSi calls nchw. "token": a row a
        position, without padding where a batch has an ``attention_mask``. "flatten": a row an item with all its values.
        A function of a layer's tensor (items, ...) returns (items, width) or (items, rows, width), such as
        ``lambda tensor: tensor[:, 0]`` for a class token.
    tokens : str, slice, range or callable, optional
        For texts: the tokens to store, as in `TokenColumns.mask`: "content", "last", "assistant", "-3:", or a function
        of the columns of whole documents. By default "all"; with ``rows="document"`` the tokens of the mean, by
        default "content". A comparison of such stores takes all their rows, or a part that they are sure to hold.
    forward : callable, optional
        For batches: ``forward(module, batch)`` returns what the module returns, or a tensor, or a dict of names and
        tensors, which are then the layers. Default: ``module(**batch)``, or ``module(batch)``, of a tuple its first
        entry.
    ids : sequence of str, optional
        For batches: a name for each item. Stores are matched by them; by default by the number of the item.
    worker : "i/n", optional
        Compute every n-th shard, starting with shard i. Default: from RANK and WORLD_SIZE, or a SLURM array.
    overwrite : bool, default False
        Remove an existing store at `out` first. It needs a single worker.
    wait : float, optional
        Seconds to wait for another process that writes to `out`. By default it is refused at once. Workers i/n share
        the folder, and do not wait for each other.
    progress : bool, optional
        Show tokens per second. None: on a terminal and in a notebook; lines in a log.
    layers : "all" (default), or names and indices
        ``"embeddings"``, ``"layer.0"``, ..., as in ``Encoder.layers``; and hook points such as ``"layer.3.attention"``,
        ``"layer.*.heads.*"`` or the path of a module (docs/hooks.md).
    dtype : {"float16", "bfloat16", "float32"}, default "float16"
        Type in the store. A layer that overflows float16 in a shard is stored there in float32.
    words : {None, "first", "mean"}, default None
        None stores every token and marks special tokens. Otherwise there is one row per word, its first subword or
        the float32 mean of its subwords, and no special tokens; such stores match across tokenizers. Words are given
        by the source, or separated by whitespace. A word without any subword has no row.
    long : {"error", "window", "truncate"}, default "error"
        What to do with documents of more than `max_length` tokens. Windows overlap by half, and each token is taken
        from the window in which it is farthest from the nearer edge.
    max_length : int, optional
        Tokens per sequence, special tokens included. Default: the limit of the model and its tokenizer.
    batch_tokens : int, default 4096
        Tokens per batch, padding included.
    special_tokens : {"text", "tokens"}, default "text"
        How the string of a special token in a text ("[MASK]", "<s>") is read: as text, with a warning, or as that
        token.
        The special tokens of the tokenizer's own template are added in both cases. Chats are always read with the
        special tokens of their template, which adds all there are.
    same_plan_as : store, path or `ExtractionPlan`, optional
        Use the rows, shards and batches of that plan. The texts and their tokens must be the same.
    revision, device, model_dtype, device_map, attention, quantization, adapter
        See `load_encoder`.

    Returns
    -------
    ActivationStore or None
        The finished store, or None if shards of other workers are still missing. The last worker finishes the store.

    Raises
    ------
    ModelError, TextError, StoreError, OptionError, LayerError
        If the model, the texts, the folder or an option cannot be used.
    LockedError
        If another process writes to the folder.
    NonFiniteError
        If an activation is NaN or infinite; names layer and document.

    Examples
    --------
    >>> import pyrepsim as rs
    >>> store = rs.extract("bert-base-uncased", ["the keys are here", "the river"], out="acts/base", device="cpu")
    >>> store.layers[:2], store.n_rows
    (('embeddings', 'layer.0'), 10)
    """
    share = find_worker(worker)
    check_overwrite(out, share, overwrite=overwrite)
    chosen = ExtractionOptions(**options)
    if forward is not None or ids is not None or reads_batches(chosen.rows, texts):
        return extract_items(
            model,
            texts,
            out,
            rows=chosen.rows,
            forward=forward,
            ids=ids,
            layers=chosen.layers,
            dtype=chosen.dtype,
            share=share,
            overwrite=overwrite,
            wait=wait,
            progress=progress,
            **loading_of(chosen, {}),
        )
    encoder, plan, widths, dtype = _prepare(model, texts, chosen)

    def compute(writer: StoreWriter, shards: list[int]) -> None:
        _extract_shards(encoder, plan, writer, shards, widths, dtype, progress)

    return write_shards(
        out,
        _store_record(encoder, plan),
        widths,
        plan.shard_rows,
        dtype=dtype,
        share=share,
        overwrite=overwrite,
        wait=wait,
        compute=compute,
        documents=plan.documents,
    )


@with_keywords_of(ExtractionOptions)
def plan_extraction(
    model: ModelLike,
    texts: Any,
    *,
    out: str | os.PathLike[str] | None = None,
    forward: Callable[[Any, Any], Any] | None = None,
    ids: Sequence[Any] | None = None,
    worker: str | Worker | None = None,
    **options: Any,
) -> ExtractionPlan | ItemPlan:
    """Say what `extract` would do with these arguments: rows, tokens, bytes, and seconds from one timed batch.

    Nothing is written.

    Parameters
    ----------
    model, texts, forward, ids, worker, **options
        As in `extract`. Batches are read once if they do not say how many items they hold, or which are padding.
    out : path, optional
        A store that was started: its finished shards are not counted in ``n_bytes_left`` and ``estimated_seconds``.

    Returns
    -------
    ExtractionPlan, or of batches an ItemPlan
        ``n_bytes_left`` and ``estimated_seconds`` are for this worker's share.

    Raises
    ------
    PyrepsimError
        As `extract` does.

    Examples
    --------
    >>> import pyrepsim as rs
    >>> plan = rs.plan_extraction("bert-base-uncased", ["the keys are here", "the river"], device="cpu")
    >>> plan.n_documents, plan.n_tokens, plan.n_rows
    (2, 10, 10)
    """
    share, chosen = find_worker(worker), ExtractionOptions(**options)
    if forward is not None or ids is not None or reads_batches(chosen.rows, texts):
        return plan_items(
            model,
            texts,
            rows=chosen.rows,
            forward=forward,
            ids=ids,
            layers=chosen.layers,
            dtype=chosen.dtype,
            out=out,
            share=share,
            **loading_of(chosen, {}),
        )
    encoder, plan, widths, dtype = _prepare(model, texts, chosen)
    sizes = planned_sizes(plan.shard_rows, widths, dtype)
    left = missing_shards(out, _store_record(encoder, plan), widths, plan.n_shards, dtype=dtype, share=share)
    fraction = sum(plan.shard_rows[shard] for shard in left) / plan.n_rows
    return dataclasses.replace(
        plan,
        n_bytes=sum(sizes),
        n_bytes_left=sum(sizes[shard] for shard in left),
        estimated_seconds=fraction * _estimated_seconds(encoder, plan, list(widths)) if left else 0.0,
    )


class _Prepared(NamedTuple):
    """What an extraction starts from."""

    encoder: Encoder
    plan: ExtractionPlan
    widths: dict[str, int]
    dtype: str


def _prepare(model: Any, texts: Any, options: ExtractionOptions) -> _Prepared:
    """Load the model, read the texts and make their plan, or take the plan of another extraction."""
    torch_dtype(options.dtype)
    encoder = load_encoder(model, **options.loading())
    corpus, shared = read_texts(texts), options.same_plan_as
    if shared is None:
        plan = freeze_plan(encoder, corpus, policy_for(encoder, options, options.tokens))
    elif isinstance(shared, ExtractionPlan):
        tokens = shared.policy.tokens if options.tokens is None else options.tokens
        plan = reuse_plan(encoder, corpus, shared.record(), "the plan", options, tokens)
    else:
        store = shared if isinstance(shared, ActivationStore) else open_store(shared)
        plan = reuse_plan(encoder, corpus, store.plan, str(store.path), options, options.tokens)
    return _Prepared(encoder, plan, encoder.widths(options.layers), options.dtype)


def _store_record(encoder: Encoder, plan: ExtractionPlan) -> dict[str, Any]:
    """The request that the store records: a store is resumed only with an equal one."""
    return plan.record() | {
        "model": encoder.record(),
        "environment": environment(encoder.device.type),
        "tokenizer": {"class": type(encoder.tokenizer).__name__, "digest": encoder.tokenizer_digest},
    }


def _extract_shards(
    encoder: Encoder,
    plan: ExtractionPlan,
    writer: StoreWriter,
    shards: Sequence[int],
    widths: Mapping[str, int],
    dtype: str,
    progress: bool | None,
) -> None:
    """Compute and commit shards. A thread writes and syncs one shard while the next is computed."""
    rows = max(plan.shard_rows[shard] for shard in shards)
    spare = [ShardBuffers(widths, rows, dtype, encoder.device) for _ in range(min(2, len(shards)))]
    selector = Selector(encoder, list(widths), plan.policy)
    started = time.perf_counter()
    n_tokens = plan.n_tokens * len(shards) // plan.n_shards  # approximate where a worker takes a share of the shards
    done = 0
    with undisturbed(encoder.module), progress_bar(n_tokens, progress, desc="extract", unit=" tokens") as bar:

        def compute(shard: int, buffers: ShardBuffers) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
            nonlocal done
            layout = plan.shard(shard)
            fill(selector, layout, buffers, plan.corpus, bar)
            done += layout.n_tokens
            return layout.columns, buffers.arrays(layout.n_rows)

        commit_in_turn(writer, shards, spare, compute)
    seconds = time.perf_counter() - started
    log.info(
        "%s: %d tokens in %.1f s, %.0f tokens/s; %.0f %% of the model's input was not padding",
        encoder.name, done, seconds, done / seconds, 100 * plan.useful_frac,
    )  # fmt: skip


def _estimated_seconds(encoder: Encoder, plan: ExtractionPlan, layers: list[str]) -> float:
    """Seconds for all batches, from the middle one: run once to warm up, then timed.

    About a thousand of its tokens are timed. Where that takes little time (a small model), the cost of a call counts
    most, so the whole batch is timed instead.
    """
    layout = next(layout for layout in plan.shards() if layout.n_rows)
    batches = list(layout.batches())
    whole = batches[len(batches) // 2]
    timed = whole.first(max(1, _TIMED_TOKENS // whole.ids.shape[1]))
    selector = Selector(encoder, layers, plan.policy)
    with undisturbed(encoder.module):
        _forward_seconds(selector, timed)
        seconds = _forward_seconds(selector, timed)
        if seconds < _SHORT_SECONDS:
            timed = whole
            seconds = min(_forward_seconds(selector, timed) for _ in range(3))  # the first one warms up
    return seconds * plan.n_padded / timed.ids.size


def _forward_seconds(selector: Selector, batch: Batch) -> float:
    started = time.perf_counter()
    largest(selector.rows(batch))
    return time.perf_counter() - started
