"""How long sequences and shards may be: what the model takes, what memory holds."""

from __future__ import annotations

from ..errors import ModelError, OptionError, TextError
from ..models import Encoder
from .documents import Corpus
from .policy import Policy
from .tokens import TokenTable

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
