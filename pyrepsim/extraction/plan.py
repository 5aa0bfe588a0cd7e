"""The frozen plan of an extraction: rows, shards and batches, decided before the first forward pass.

A plan does not depend on weights, layers or dtype, so two models with one tokenizer share it: their stores
hold the same rows, computed in the same batches (padding alone changes float32 activations by 2e-7 of their
size).


FOLDED: How long sequences and shards may be: what the model takes, what memory holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import xxhash

from ..core.errors import ModelError, OptionError, TextError
from ..core.units import bytes_in_words
from ..data.documents import Corpus
from ..models import Encoder
from .layout import Policy, ShardLayout, lay_out
from .tokens import TokenTable, tokenise

SHARD_TOKENS = 32768
"""Most tokens of a shard: long enough to sort by length, short enough for the layers to fit in memory."""
SHARD_BYTES = 512 << 20
"""Most bytes of a shard, all layers in float16: models with many or wide layers get fewer tokens."""


def policy_for(
    encoder: Encoder,
    *,
    words: str | None,
    long: str,
    max_length: int | None,
    batch_tokens: int,
) -> Policy:
    """The policy of a new plan: the model's own length unless another is asked for; shards fit in memory."""
    limit = encoder.position_limit
    if max_length is not None and limit is not None and max_length > limit:
        raise OptionError(
            f"max_length must be at most the model's {limit} positions: got {max_length}. Use long='window'."
        )
    row_bytes = 2 * sum(encoder.layers.values())
    tokens = SHARD_TOKENS
    while tokens > 256 and tokens * row_bytes > SHARD_BYTES:
        tokens //= 2
    return Policy(
        words=words,
        long=long,
        max_length=encoder.max_length if max_length is None else max_length,
        batch_tokens=batch_tokens,
        shard_tokens=tokens,
    )


def check_lengths(encoder: Encoder, corpus: Corpus, table: TokenTable, policy: Policy) -> None:
    """Refuse documents beyond the policy, and token ids beyond the model's vocabulary."""
    special = table.prefix + table.suffix
    if policy.max_length is not None and policy.max_length <= special:
        raise OptionError(
            f"max_length must leave room for text: got {policy.max_length}, of which {special} are special tokens."
        )
    table_size = encoder.vocabulary
    if table_size is not None and len(table.ids) and int(table.ids.max()) >= table_size:
        raise ModelError(
            f"Model and tokenizer must belong together: {encoder.name!r} has {table_size} token embeddings, the "
            f"tokenizer gives id {int(table.ids.max())}. Load both from the same place."
        )
    long = policy.is_long(table.lengths)
    if policy.long == "error" and long.any():
        worst = int(table.lengths.argmax())
        raise TextError(
            f"Documents must fit into max_length={policy.max_length} tokens: {int(long.sum())} of {len(corpus)} do "
            f"not, the longest is {corpus[worst].key!r} with {int(table.lengths[worst])}. "
            + _longer(encoder, policy, int(table.lengths[worst]))
            + "Use long='window' (overlapping windows) or long='truncate'."
        )


def _longer(encoder: Encoder, policy: Policy, needed: int) -> str:
    limit = encoder.position_limit
    if policy.max_length is None or (limit is not None and limit <= policy.max_length):
        return ""
    return f"The model itself takes {limit if limit is not None else needed} tokens: pass max_length. "


@dataclass(frozen=True, eq=False, repr=False)
class ExtractionPlan:
    """Made by `plan_extraction`; pass it on as ``same_plan_as=`` to extract another model in the same way.

    Attributes
    ----------
    n_documents, n_rows
        Documents, and rows to store: tokens, or words.
    n_tokens, n_padded
        Tokens that the model reads, without and with the padding of batches.
    n_bytes
        Size of the store, for the layers and dtype that were asked for (0 if the plan was made without a
        store in view).
    n_bytes_left
        What of `n_bytes` this worker still has to write: less than all if there are others, or the store was begun.
    estimated_seconds
        Time for the forward passes that are left to this worker, from one timed batch (None if none was timed).
    """

    corpus: Corpus
    table: TokenTable
    policy: Policy
    bounds: tuple[int, ...]
    shard_rows: tuple[int, ...]
    batches_digest: str
    n_tokens: int
    n_padded: int
    n_bytes: int = 0
    n_bytes_left: int = 0
    estimated_seconds: float | None = None

    def __repr__(self) -> str:
        parts = [f"{self.n_documents:,} documents", f"{self.n_tokens:,} tokens", f"{self.n_rows:,} rows"]
        parts.append(f"{self.n_shards:,} shards")
        if self.n_bytes:
            parts.append(bytes_in_words(self.n_bytes))
        if self.estimated_seconds is not None:
            parts.append(f"about {self.estimated_seconds:.0f} s")
        return f"ExtractionPlan({', '.join(parts)})"

    @property
    def n_documents(self) -> int:
        return len(self.corpus)

    @property
    def n_rows(self) -> int:
        return sum(self.shard_rows)

    @property
    def n_shards(self) -> int:
        return len(self.shard_rows)

    @property
    def useful_frac(self) -> float:
        """Fraction of what the model reads that is not padding."""
        return self.n_tokens / max(self.n_padded, 1)

    def shard(self, index: int) -> ShardLayout:
        return lay_out(self.corpus, self.table, self.policy, self.bounds[index], self.bounds[index + 1])

    def shards(self) -> Iterator[ShardLayout]:
        return map(self.shard, range(self.n_shards))

    def record(self) -> dict[str, Any]:
        """The plan as JSON. ``"rows"`` is what two comparable stores must share."""
        rows: dict[str, Any] = {"texts": self.corpus.fingerprint, "documents": self.n_documents}
        if self.policy.words is None:
            rows |= {"unit": "token", "tokens": self.table.digest, "batches": self.batches_digest}
        else:
            rows |= {"unit": "word", "pooling": self.policy.words}
        return {"rows": rows, "policy": asdict(self.policy), "batches": self.batches_digest}

    def documents(self) -> Iterator[dict[str, Any]]:
        """What became of each document: its key, its size, and what is not whole about it."""
        lengths, words = self.table.lengths, np.diff(self.table.word_ptr)
        long = self.policy.is_long(lengths)
        for index, document in enumerate(self.corpus):
            entry = {
                "doc_id": index,
                "key": document.key,
                "n_words": int(words[index]),
                "n_tokens": int(lengths[index]),
            }
            if self.table.words_without_tokens[index]:
                entry["words_without_tokens"] = int(self.table.words_without_tokens[index])
            if long[index]:
                entry["truncated" if self.policy.long == "truncate" else "windows"] = True
            yield entry


def freeze_plan(encoder: Encoder, corpus: Corpus, policy: Policy) -> ExtractionPlan:
    """Tokenise the corpus and fix shards and batches.

    Raises
    ------
    TextError
        If a document is too long and the policy is "error", a text is not valid Unicode or cannot be aligned, or
        nothing is left to store.
    """
    _ = corpus.fingerprint  # refuses what is not Unicode, by document: a tokenizer would by a TypeError
    table = tokenise(corpus, encoder.tokenizer)
    check_lengths(encoder, corpus, table, policy)
    bounds = _shard_bounds(table, policy)
    digest = xxhash.xxh3_128()
    shard_rows, n_tokens, n_padded = [], 0, 0
    for low, high in pairwise(bounds):
        layout = lay_out(corpus, table, policy, low, high)
        digest.update(layout.fingerprint())
        shard_rows.append(layout.n_rows)
        n_tokens, n_padded = n_tokens + layout.n_tokens, n_padded + layout.n_padded
    if not any(shard_rows):
        raise TextError(
            f"There must be something to store: the {len(corpus)} documents of {corpus.source} have no "
            f"{'tokens' if policy.words is None else 'words'}. Check the source."
        )
    return ExtractionPlan(corpus, table, policy, bounds, tuple(shard_rows), digest.hexdigest(), n_tokens, n_padded)


def _shard_bounds(table: TokenTable, policy: Policy) -> tuple[int, ...]:
    """Whole documents, in order, up to `shard_tokens` stored tokens."""
    stored = table.lengths
    if policy.long == "truncate" and policy.max_length is not None:
        stored = np.minimum(stored, policy.max_length)
    total = np.concatenate([[0], np.cumsum(stored)])
    bounds = [0]
    while bounds[-1] < len(stored):
        end = int(np.searchsorted(total, total[bounds[-1]] + policy.shard_tokens, side="right")) - 1
        bounds.append(max(end, bounds[-1] + 1))
    return tuple(bounds)
