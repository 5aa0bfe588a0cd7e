"""`extract`: a model's hidden states for a corpus, from forward passes to a sealed store."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any, Unpack

from ..core.workers import Worker, find_worker
from ..models import Encoder
from ..store import ActivationStore, StoreWriter, remove_store
from .engine import extract_shards
from .planning import ExtractionOptions, prepare, showing, store_record

log = logging.getLogger("pyrepsim.extraction")


@showing(prepare)
def extract(
    model: str | os.PathLike[str] | Encoder,
    texts: Any,
    out: str | os.PathLike[str],
    *,
    worker: str | Worker | None = None,
    overwrite: bool = False,
    progress: bool | None = None,
    **options: Unpack[ExtractionOptions],
) -> ActivationStore | None:
    """Run a model over texts and store its hidden states; go on where an interrupted run stopped.

    Parameters
    ----------
    model : folder, hub id, ``id@revision`` or `Encoder`
        See `load_encoder`.
    texts
        See `read_texts`.
    out : path
        Folder of the store. If it holds an unfinished store of the same plan, only missing shards are
        computed.
    layers : "all" (default), or names and indices
        ``"embeddings"``, ``"layer.0"``, ..., as in ``Encoder.layers``.
    dtype : {"float16", "bfloat16", "float32"}, default "float16"
        Type in the store. A layer that overflows float16 in a shard is stored there in float32.
    words : {None, "first", "mean"}, default None
        None stores every token, special ones flagged. Otherwise a row per word, its first subword or the
        float32 mean of its subwords, and no special tokens; such stores match across tokenizers (see
        `row_columns`). Words are given by the source, or separated by whitespace. A word without any subword
        has no row.
    long : {"error", "window", "truncate"}, default "error"
        What to do with documents of more than `max_length` tokens. Windows overlap by half, and each token is
        taken from the window in which it is farthest from the nearer edge.
    max_length : int, optional
        Tokens per sequence, special tokens included. Default: what model and tokenizer take.
    batch_tokens : int, default 4096
        Tokens per batch, padding included.
    same_plan_as : store, path or `ExtractionPlan`, optional
        Take rows, shards and batches from there; refused for other texts or a tokenizer that cuts them
        otherwise.
    revision, device : str, optional
        See `load_encoder`.
    worker : "i/n", optional
        Take every n-th shard, from the i-th on. Default: from RANK and WORLD_SIZE, or a SLURM array.
    overwrite : bool
        Remove an existing store at `out` first.
    progress : bool, optional
        Show tokens per second; None shows them on a terminal only.

    Returns
    -------
    ActivationStore or None
        The sealed store; None if shards of other workers are still missing (the last one to finish seals).

    Raises
    ------
    ModelError, TextError, StoreError, OptionError, LayerError
        If the model, the texts or the folder do not serve.
    NonFiniteError
        If an activation is NaN or infinite; names layer and document.
    """
    share = find_worker(worker)
    encoder, plan, widths, dtype = prepare(model, texts, **options)
    out = Path(out)
    if overwrite and out.exists():
        remove_store(out)
    with StoreWriter.create(
        out, store_record(encoder, plan), layers=widths, shard_rows=plan.shard_rows, dtype=dtype
    ) as writer:
        mine = [shard for shard in writer.missing() if share.takes(shard)]
        if mine:
            extract_shards(encoder, plan, writer, mine, widths, dtype, progress)
        missing = writer.missing()
        if missing:
            log.info("worker %s is done, %d shards of others are missing in %s", share, len(missing), out)
            return None
        return writer.seal(docs=plan.documents())
