"""The plan of an extraction: rows, shards and batches, fixed before the first forward pass.

A plan does not depend on weights, layers or dtype, so two models with one tokenizer can share it: their stores then
hold the same rows, computed in the same batches. (Padding alone changes float32 activations by 2e-7 of their size.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
import xxhash

from ..core.errors import ModelError, OptionError, TextError
from ..core.functions import function_name
from ..core.memory import format_bytes
from ..data.chats import render_chats
from ..data.documents import Corpus
from ..models import Encoder
from ..store.columns import TOKENS, Tokens, tokens_name
from .layout import ShardLayout, lay_out
from .options import ReadingOptions, ReadingPolicy
from .sequences import is_long
from .tokens import TokenTable, tokenise

SHARD_TOKENS = 32768
"""Most tokens of a shard: enough to sort by length, few enough for all layers to fit in memory."""
SHARD_BYTES = 512 << 20
"""Most bytes of a shard, all layers in float16: models with many or wide layers get fewer tokens per shard."""


@dataclass(frozen=True, eq=False, repr=False)
class ExtractionPlan:
    """What an extraction will compute. Made by `plan_extraction`; ``same_plan_as=`` applies it to another model.

    Attributes
    ----------
    n_documents : int
        Number of documents.
    n_rows : int
        Number of rows to store: tokens, words or documents.
    n_shards : int
        Number of shards, the parts that a store is written in.
    n_tokens, n_padded : int
        Number of tokens that the model reads, without and with the padding of batches.
    n_bytes : int
        Size of the store for the chosen layers and dtype; 0 if the plan was made for no store.
    n_bytes_left : int
        Part of `n_bytes` that this worker still has to write: less if there are other workers, or if some shards
        exist already.
    estimated_seconds : float or None
        Time for this worker's remaining forward passes, from one timed batch; None if none was timed.
    """

    corpus: Corpus
    table: TokenTable
    policy: ReadingPolicy
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
            parts.append(format_bytes(self.n_bytes))
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
        """Lay out one shard."""
        return lay_out(self.corpus, self.table, self.policy, self.bounds[index], self.bounds[index + 1])

    def shards(self) -> Iterator[ShardLayout]:
        """Lay out the shards, one after the other."""
        return map(self.shard, range(self.n_shards))

    def record(self) -> dict[str, Any]:
        """Return the plan as JSON. Two comparable stores have equal ``"rows"``."""
        rows: dict[str, Any] = {"texts": self.corpus.fingerprint, "documents": self.n_documents}
        tokens = tokens_text(self.policy.tokens)
        if self.policy.by_document:
            rows |= {"unit": "document", "pooling": "mean", "of": tokens}
        elif self.policy.words is None:
            rows |= {"unit": "token", "tokens": self.table.digest, "batches": self.batches_digest}
        else:
            rows |= {"unit": "word", "pooling": self.policy.words}
        policy = asdict(replace(self.policy, tokens=tokens))
        for name, value in (("special_tokens", "text"), ("rows", None), ("tokens", "all")):
            if policy[name] == value:  # as plans were recorded before there was a choice
                del policy[name]
        return {"rows": rows, "policy": policy, "batches": self.batches_digest}

    def documents(self) -> Iterator[dict[str, Any]]:
        """Describe each document: key, number of words and tokens, and whether parts were cut off or left out."""
        lengths, words = self.table.lengths, np.diff(self.table.word_ptr)
        long = is_long(self.policy, lengths)
        for index, document in enumerate(self.corpus):
            entry = {
                "doc_id": index,
                "key": document.key,
                "n_words": int(words[index]),
                "n_tokens": int(lengths[index]),
            }
            if self.table.words_without_tokens[index]:
                entry["words_without_tokens"] = int(self.table.words_without_tokens[index])
            if long[index] or self.table.cut[index]:
                entry["truncated" if self.policy.long == "truncate" else "windows"] = True
            yield entry


def check_tokens(tokens: Tokens, options: ReadingOptions) -> Tokens:
    """Return a choice of tokens, as text where it is no function. Refuse one that texts do not have.

    Raises
    ------
    OptionError
        If it is a boolean array, or special tokens of rows per word.
    """
    name = tokens_name(tokens)
    if isinstance(tokens, np.ndarray):
        raise OptionError("A boolean array chooses rows of a store: texts have none yet. Give a function of columns.")
    if options.words is not None and name in ("special", "cls"):
        raise OptionError(
            f"Rows per word hold no special tokens: got words={options.words!r} and tokens={tokens!r}. Leave one out."
        )
    return tokens if name is None else name


def tokens_text(tokens: Tokens) -> str:
    """Return the text by which a plan records a choice of tokens."""
    return tokens_name(tokens) or function_name(tokens)


def policy_for(encoder: Encoder, options: ReadingOptions, tokens: Tokens | None = None) -> ReadingPolicy:
    """Fill in what a new plan needs: the model's length unless another is given, and shards that fit in memory.

    `tokens` are by default all, and for rows of documents those of the text.
    """
    limit = encoder.position_limit
    if options.max_length is not None and limit is not None and options.max_length > limit:
        raise OptionError(
            f"max_length must be at most the model's {limit} positions: got {options.max_length}. Use long='window'."
        )
    row_bytes = 2 * sum(encoder.layers.values())
    shard_tokens = SHARD_TOKENS
    while shard_tokens > 256 and shard_tokens * row_bytes > SHARD_BYTES:
        shard_tokens //= 2
    chosen = options.reading()
    if options.max_length is None:
        chosen["max_length"] = encoder.max_length
    if tokens is None:
        tokens = "content" if options.by_document else "all"
    return ReadingPolicy(**chosen, tokens=check_tokens(tokens, options), shard_tokens=shard_tokens)


def freeze_plan(encoder: Encoder, corpus: Corpus, policy: ReadingPolicy) -> ExtractionPlan:
    """Tokenise the corpus and fix shards and batches.

    Raises
    ------
    TextError
        If a document is too long and ``policy.long`` is "error", if a text is not valid Unicode or cannot be aligned
        with its tokens, or if there are no rows to store.
    """
    _ = corpus.fingerprint  # raises TextError for invalid Unicode; a tokenizer would raise TypeError
    corpus = render_chats(corpus, encoder.tokenizer)
    longest = policy.max_length if policy.long == "truncate" else None
    table = tokenise(corpus, encoder.tokenizer, split=policy.special_tokens == "text", longest=longest)
    _check_lengths(encoder, corpus, table, policy)
    bounds = _shard_bounds(table, policy)
    digest = xxhash.xxh3_128()
    shard_rows, n_tokens, n_padded = [], 0, 0
    for low, high in pairwise(bounds):
        layout = lay_out(corpus, table, policy, low, high)
        digest.update(layout.fingerprint())
        if policy.tokens != "all":
            digest.update(layout.units.first.astype("<i8").tobytes())
        shard_rows.append(layout.n_rows)
        n_tokens, n_padded = n_tokens + layout.n_tokens, n_padded + layout.n_padded
    if not any(shard_rows):
        unit = "tokens" if policy.words is None else "words"
        selected = "" if policy.tokens == "all" else f" that tokens={tokens_text(policy.tokens)!r} selects"
        raise TextError(
            f"The texts must have at least one row to store: the {len(corpus)} documents of {corpus.source} have no "
            f"{unit}{selected}. Check the source."
        )
    return ExtractionPlan(corpus, table, policy, bounds, tuple(shard_rows), digest.hexdigest(), n_tokens, n_padded)


def _check_lengths(encoder: Encoder, corpus: Corpus, table: TokenTable, policy: ReadingPolicy) -> None:
    """Refuse documents that are too long, and token ids beyond the model's vocabulary."""
    special = table.prefix + table.suffix
    if policy.max_length is not None and policy.max_length <= special:
        raise OptionError(
            f"max_length must be more than the number of special tokens: got {policy.max_length}, of which {special} "
            "are special tokens. Raise max_length."
        )
    table_size = encoder.vocabulary
    if table_size is not None and len(table.ids) and int(table.ids.max()) >= table_size:
        raise ModelError(
            f"Model and tokenizer must belong together: {encoder.name!r} has {table_size} token embeddings, the "
            f"tokenizer gives id {int(table.ids.max())}. Load both from the same place."
        )
    n_types = getattr(encoder.module.config, "type_vocab_size", None)
    if table.types is not None and encoder.reads_types and n_types and int(table.types.max(initial=0)) >= n_types:
        raise ModelError(
            f"Model and tokenizer must belong together: {encoder.name!r} has {n_types} token types, the tokenizer "
            f"gives type {int(table.types.max())} to a pair. Load both from the same place."
        )
    long = is_long(policy, table.lengths)
    if policy.long == "window" and table.segment is not None and long.any():
        raise TextError(
            f"Pairs of texts are not cut into windows: {int(long.sum())} of {len(corpus)} have more than "
            f"max_length={policy.max_length} tokens, the first is {corpus[int(long.argmax())].key!r}. Use "
            "long='truncate', which cuts the longer text of a pair first."
        )
    if policy.long == "error" and long.any():
        longest = int(table.lengths.argmax())
        n_tokens, limit = int(table.lengths[longest]), encoder.position_limit
        takes_more = policy.max_length is not None and (limit is None or limit > policy.max_length)
        raise TextError(
            f"Documents must fit into max_length={policy.max_length} tokens: {int(long.sum())} of {len(corpus)} do "
            f"not, the longest is {corpus[longest].key!r} with {n_tokens}. "
            + (f"The model itself takes {limit or n_tokens} tokens: pass max_length. " if takes_more else "")
            + ("Use long='truncate'." if table.segment is not None else _LONG)
        )


_LONG = "Use long='window' (overlapping windows) or long='truncate'."


def _shard_bounds(table: TokenTable, policy: ReadingPolicy) -> tuple[int, ...]:
    """First document of each shard, and the end: whole documents, in order, up to `shard_tokens` stored tokens."""
    stored = table.lengths
    if policy.long == "truncate" and policy.max_length is not None:
        stored = np.minimum(stored, policy.max_length)
    total = np.concatenate([[0], np.cumsum(stored)])
    bounds = [0]
    while bounds[-1] < len(stored):
        end = int(np.searchsorted(total, total[bounds[-1]] + policy.shard_tokens, side="right")) - 1
        bounds.append(max(end, bounds[-1] + 1))
    return tuple(bounds)


def reuse_plan(
    encoder: Encoder,
    corpus: Corpus,
    record: Mapping[str, Any],
    source: str,
    options: ReadingOptions,
    tokens: Tokens | None = None,
) -> ExtractionPlan:
    """Make the plan of `record` again for this encoder and corpus.

    Parameters
    ----------
    record
        `ExtractionPlan.record` of the plan to share.
    source
        The store or plan that the record comes from, for messages.
    options, tokens
        Reading options given beside it; those that are not defaults must agree with the plan. A function for tokens
        must be given again.

    Raises
    ------
    OptionError
        If the record is no extraction plan, the options contradict it, the tokenizer gives other tokens, or the
        model has too few positions.
    TextError
        If the texts differ.
    """
    policy = _recorded_policy(record, source, options, tokens)
    expected = record["rows"]
    if corpus.fingerprint != expected["texts"]:
        raise TextError(
            f"same_plan_as={source} was made from other texts: {expected.get('documents')} documents, fingerprint "
            f"{expected['texts']!s:.8}; these are {len(corpus)}, {corpus.fingerprint[:8]}. Give the same texts."
        )
    plan = freeze_plan(encoder, corpus, policy)
    if plan.record()["rows"] != expected:
        raise OptionError(
            f"Models that share a plan must split the texts into the same tokens: {encoder.name!r} does not, by "
            f"the plan of {source}. To compare models with different tokenizers extract both with words='first' or "
            "'mean'."
        )
    check_positions(plan, encoder)
    return plan


def _recorded_policy(
    record: Mapping[str, Any], source: str, options: ReadingOptions, tokens: Tokens | None
) -> ReadingPolicy:
    try:
        policy = ReadingPolicy(**record["policy"])
        record["rows"]["texts"]
    except (KeyError, TypeError) as error:
        raise OptionError(
            f"same_plan_as must be a store made by `extract`, or a plan: {source} has no extraction plan in it."
        ) from error
    for field in fields(ReadingOptions):
        value, recorded = getattr(options, field.name), getattr(policy, field.name)
        if value not in (field.default, recorded):
            raise OptionError(_BESIDE.format(source, field.name, recorded, value))
    if tokens is not None:
        tokens = check_tokens(tokens, policy)
        if tokens_text(tokens) != policy.tokens:
            raise OptionError(_BESIDE.format(source, "tokens", policy.tokens, tokens_text(tokens)))
        return replace(policy, tokens=tokens)
    if policy.tokens not in TOKENS and ":" not in str(policy.tokens):
        raise OptionError(
            f"same_plan_as={source} chose its rows by a function of the columns, {policy.tokens}, which is not stored. "
            "Give it again: tokens=..."
        )
    return policy


_BESIDE = "same_plan_as={0} has {1}={2!r}: got {1}={3!r} beside it. Leave it out, or make a new plan."


def plans_of_both(
    encoders: Sequence[Encoder], corpus: Corpus, options: ReadingOptions, tokens: Tokens | None = None
) -> tuple[ExtractionPlan, ExtractionPlan]:
    """The plans of two models over one corpus, by the policy of the first; the shorter model limits the length.

    Documents that are too long for the shorter tokenizer are read whole where both models have positions for them, as
    `extract` reads them with the plan of the other model.
    """
    if options.max_length is not None:
        return _freeze_both(encoders, corpus, options, tokens)
    lengths = [encoder.max_length for encoder in encoders]
    limits = [encoder.position_limit for encoder in encoders]
    shorter = min((length for length in lengths if length is not None), default=None)
    try:
        return _freeze_both(encoders, corpus, replace(options, max_length=shorter), tokens)
    except TextError:
        longer = None if None in lengths else max(lengths)  # type: ignore[type-var]
        longer = min((most for most in (longer, *limits) if most is not None), default=None)
        if options.long != "error" or longer in (None, shorter):
            raise
    return _freeze_both(encoders, corpus, replace(options, max_length=longer), tokens)


def _freeze_both(
    encoders: Sequence[Encoder], corpus: Corpus, options: ReadingOptions, tokens: Tokens | None
) -> tuple[ExtractionPlan, ExtractionPlan]:
    policy = policy_for(encoders[0], options, tokens)
    return freeze_plan(encoders[0], corpus, policy), freeze_plan(encoders[1], corpus, policy)


def have_same_tokens(plan: ExtractionPlan, other: ExtractionPlan) -> bool:
    """Whether two models read the same tokens in the same batches."""
    return plan.table.digest == other.table.digest and plan.batches_digest == other.batches_digest


def check_positions(plan: ExtractionPlan, encoder: Encoder) -> None:
    """Refuse a model that has fewer positions than the longest sequence of a plan made for another."""
    limit = encoder.position_limit
    longest = int(plan.table.lengths.max(initial=0))
    if plan.policy.max_length is not None:
        longest = min(longest, plan.policy.max_length)
    if limit is not None and longest > limit:
        raise OptionError(
            f"Models that share a plan must have positions for its longest sequence, {longest} tokens: "
            f"{encoder.name!r} has {limit}. Make the plan with max_length={limit}."
        )
