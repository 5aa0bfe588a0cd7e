"""The loop of an extraction: shard after shard, batch after batch, with writing behind computing."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from ..models import Encoder
from ..progress import progress_bar
from ..store import StoreWriter
from .buffers import DoesNotFit, ShardBuffers
from .documents import Corpus
from .layout import Batch, ShardLayout
from .plan import ExtractionPlan
from .selection import Selector, check_finite, largest

if TYPE_CHECKING:
    from tqdm import tqdm

log = logging.getLogger("pyrepsim.extraction")


def extract_shards(
    encoder: Encoder,
    plan: ExtractionPlan,
    writer: StoreWriter,
    shards: Sequence[int],
    widths: Mapping[str, int],
    dtype: str,
    progress: bool | None,
) -> None:
    """Fill and commit shards; one shard is written and synced by a thread while the next is computed."""
    rows = max(plan.shard_rows[shard] for shard in shards)
    spare = [ShardBuffers(widths, rows, dtype, encoder.device) for _ in range(min(2, len(shards)))]
    selector = Selector(encoder, list(widths), pooling=plan.policy.words)
    started, done = time.perf_counter(), 0
    n_tokens = plan.n_tokens * len(shards) // plan.n_shards  # about, for a share of the shards
    with (
        progress_bar(n_tokens, progress, desc="extract", unit=" tokens") as bar,
        ThreadPoolExecutor(1) as committer,
    ):
        pending: Future[bool] | None = None
        for shard in shards:
            layout, buffers = plan.shard(shard), spare[0]
            fill(selector, layout, buffers, plan.corpus, encoder.name, bar)
            if pending is not None:
                pending.result()
            pending = committer.submit(writer.commit, shard, layout.columns, buffers.arrays(layout.n_rows))
            spare.reverse()
            done += layout.n_tokens
        if pending is not None:
            pending.result()
    seconds = time.perf_counter() - started
    log.info(
        "%s: %d tokens in %.1f s, %.0f tokens/s, %.0f %% of what the model read was not padding",
        encoder.name, done, seconds, done / seconds, 100 * plan.useful_frac,
    )  # fmt: skip


def fill(selector: Selector, layout: ShardLayout, buffers: ShardBuffers, corpus: Corpus, name: str, bar: tqdm) -> None:
    """Compute all rows of a shard; start again with a float32 buffer, once a layer, if one turns out not to fit."""
    while True:
        counted = 0
        try:
            for batch in layout.batches():
                _place(selector, batch, layout, buffers, corpus, name)
                bar.update(batch.n_tokens)
                counted += batch.n_tokens
            return
        except DoesNotFit as overflow:
            buffers.widen(overflow.layers)
            bar.update(-counted)


def _place(
    selector: Selector, batch: Batch, layout: ShardLayout, buffers: ShardBuffers, corpus: Corpus, name: str
) -> None:
    rows = selector.rows(batch)
    magnitudes = largest(rows)
    check_finite(rows, magnitudes, layout.columns["doc_id"][batch.rows], corpus, name)
    buffers.place(batch.rows, rows, magnitudes)
