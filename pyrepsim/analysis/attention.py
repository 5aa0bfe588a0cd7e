"""Difference of the attention of two models: Jensen-Shannon divergence for each head, over all real tokens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..core.errors import DegenerateError, ModelError, NonFiniteError, OptionError, TextError
from ..core.progress import progress_bar
from ..data.texts import read_texts
from ..extraction.layout import Batch
from ..extraction.options import ModelOptions, ReadingOptions, with_keywords_of
from ..extraction.plan import ExtractionPlan, check_positions, have_same_tokens, plans_of_both
from ..models import Encoder, ModelLike
from ..models.encoder import first_line
from ..models.loading import load_encoders
from ..models.restoring import undisturbed
from ..results.tables import Records
from ..store.columns import Tokens, token_mask, tokens_name

__all__ = ["AttentionDivergence", "attention_divergence", "jensen_shannon"]

_MAX_BYTES = 1 << 26  # of the float32 attention of all blocks of one model at a time


@dataclass(frozen=True, eq=False)
class AttentionDivergence(Records):
    """The result of `attention_divergence`."""

    values: np.ndarray
    """Mean divergence in bits over the query positions, in [0, 1], (n_blocks, n_heads)."""
    n_queries: int
    """Number of query positions."""
    base: str
    """Name of the base model."""
    tuned: str
    """Name of the tuned model."""

    @property
    def per_block(self) -> np.ndarray:
        """Mean over the heads, (n_blocks,)."""
        return self.values.mean(axis=1)

    def to_records(self) -> list[dict[str, Any]]:
        """Return one dict for each head: ``layer``, ``head`` (from 0), ``divergence`` (bits) and ``n_queries``."""
        return [
            {"layer": f"layer.{block}", "head": head, "divergence": float(value), "n_queries": self.n_queries}
            for (block, head), value in np.ndenumerate(self.values)
        ]


@with_keywords_of(ModelOptions)
def attention_divergence(
    base: ModelLike,
    tuned: ModelLike,
    texts: Any,
    *,
    tokens: Tokens = "all",
    long: str = "error",
    max_length: int | None = None,
    batch_tokens: int = 4096,
    progress: bool | None = None,
    **options: Any,
) -> AttentionDivergence:
    """Return the Jensen-Shannon divergence of the attention of two models, for each head of each block.

    For a query position with attention p in `base` and q in `tuned`, over all real tokens,
    JS(p, q) = H((p + q) / 2) - (H(p) + H(q)) / 2 in bits: 0 for equal attention, 1 for attention to disjoint tokens.
    Heads are matched by index. Padding is neither a query nor a key. Sums are in float64.

    Parameters
    ----------
    base, tuned : path-like, str, torch.nn.Module or Encoder
        Models with the same number of blocks and heads, whose tokenizers give the same tokens.
    texts : iterable of str, path-like, or any argument of `extract`
    tokens : {"all", "content", "special", "cls"}, default "all"
        Positions that count as queries.
    long, max_length, batch_tokens, progress
        As in `extract`. In windows, each position counts once.
    revision, device, model_dtype, device_map, attention, quantization, adapter
        See `load_encoder`. Each is one value for both models or a pair of values. Attention is read from the eager
        implementation, whatever `attention` is.

    Returns
    -------
    AttentionDivergence

    Raises
    ------
    OptionError
        If the tokenizers differ, or an option is outside its domain.
    ModelError
        If a model returns no attention, or the models differ in blocks or heads.
    NonFiniteError
        If an attention weight is not finite.
    TextError
        If there are no texts, or no position is selected.

    Notes
    -----
    The attention of one batch is in memory, or of a part of it if a batch has more than 64 MiB.

    References
    ----------
    Hao, Dong, Wei & Xu (2020), Investigating Learning Dynamics of BERT Fine-Tuning, section 3.

    Examples
    --------
    >>> from pyrepsim.analysis.attention import attention_divergence
    >>> texts = ["the cat sat on the mat .", "a dog ran ."]
    >>> same = attention_divergence("bert-base-uncased", "bert-base-uncased", texts)
    >>> float(same.values.max()), same.n_queries
    (0.0, 26)
    """
    tokens_name(tokens)
    first, second = load_encoders((base, tuned), **ModelOptions(**options).loading())
    plan = _shared_plan(first, second, texts, long=long, max_length=max_length, batch_tokens=batch_tokens)
    sums: torch.Tensor | None = None
    n_queries = 0
    with (
        progress_bar(plan.n_tokens, progress, desc="attention", unit=" tokens") as bar,
        undisturbed(first.module),
        undisturbed(second.module),
        _eager(first),
        _eager(second),
    ):
        for layout in plan.shards():
            keep = token_mask(layout.columns, tokens, layout.n_rows)
            for batch in layout.batches():
                for ids, types, picks in _parts(batch.select(keep), first):
                    part = _sums(first, second, ids, types, picks)
                    sums = part if sums is None else sums + part
                    n_queries += len(picks)
                bar.update(batch.n_tokens)
    if sums is None:
        raise TextError(f"tokens={tokens!r} must select at least one position of the texts: got none. Try 'all'.")
    if not bool(torch.isfinite(sums).all()):
        block = int((~torch.isfinite(sums)).nonzero()[0, 0])
        raise NonFiniteError(
            f"Attention must be finite: that of {first.name!r} or {second.name!r} is not in layer.{block}. Check the "
            "weights."
        )
    return AttentionDivergence((sums / n_queries).cpu().numpy(), n_queries, first.name, second.name)


def jensen_shannon(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """Return JS(p, q) in bits along the last dimension, in float64; p and q are scaled to sum 1.

    Computed as sum_j m ((1 + d) ln(1 + d) + (1 - d) ln(1 - d)) / (2 ln 2) with m = (p + q) / 2 and
    d = (p - q) / (p + q). This is exactly 0 for equal p and q, and accurate for nearly equal ones, where a difference
    of entropies would be rounding.

    Parameters
    ----------
    p, q : tensor of shape (..., n)
        Not negative.

    Returns
    -------
    tensor of shape (...,), float64
        In [0, 1].

    Raises
    ------
    DegenerateError
        If the weights of a distribution are all 0.

    Examples
    --------
    >>> import torch
    >>> from pyrepsim.analysis.attention import jensen_shannon
    >>> jensen_shannon(torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.5, 0.0, 0.5])).item()
    0.5
    """
    p, q = p.double(), q.double()
    sums = [one.sum(dim=-1, keepdim=True) for one in (p, q)]
    if any(bool((one == 0).any()) for one in sums):
        raise DegenerateError(
            "a divergence is of two distributions: the weights of one are all 0. Leave out positions that attend to "
            "nothing."
        )
    p, q = p / sums[0], q / sums[1]
    total = p + q
    apart = torch.where(total > 0, (p - q) / total, 0.0)
    terms = torch.special.xlog1py(1 + apart, apart) + torch.special.xlog1py(1 - apart, -apart)
    return (total * terms).sum(dim=-1) / (4 * np.log(2))


def _shared_plan(first: Encoder, second: Encoder, texts: Any, **reading: Any) -> ExtractionPlan:
    plan, other = plans_of_both((first, second), read_texts(texts), ReadingOptions(**reading))
    if not have_same_tokens(plan, other):
        raise OptionError(
            f"Attention is compared token by token: {first.name!r} and {second.name!r} cut the texts into different "
            "tokens. Compare models of one tokenizer."
        )
    for encoder in (first, second):
        check_positions(plan, encoder)
    return plan


def _parts(batch: Batch, encoder: Encoder) -> Iterator[tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]]:
    """Yield the token ids of a few sequences, padded with -1, their token types, and query positions, flattened."""
    n, width = batch.ids.shape
    config: Any = encoder.module.config
    one = 4 * config.num_hidden_layers * config.num_attention_heads * width**2
    step = max(1, _MAX_BYTES // one)
    line = batch.picks // width
    for begin in range(0, n, step):
        end = min(begin + step, n)
        picks = batch.picks[(line >= begin) & (line < end)] - begin * width
        if len(picks):
            types = None if batch.types is None else torch.from_numpy(batch.types[begin:end])
            yield torch.from_numpy(batch.ids[begin:end]), types, torch.from_numpy(picks)


def _sums(
    first: Encoder, second: Encoder, ids: torch.Tensor, types: torch.Tensor | None, picks: torch.Tensor
) -> torch.Tensor:
    """Return the sums of divergences over the query positions, (n_blocks, n_heads)."""
    base_attention, tuned_attention = (_attention(encoder, ids, types) for encoder in (first, second))
    shapes = [(len(one), *one[0].shape[1:2]) for one in (base_attention, tuned_attention)]
    if shapes[0] != shapes[1]:
        raise ModelError(
            f"Attention is compared head by head: {first.name!r} has {shapes[0][0]} blocks of {shapes[0][1]} heads, "
            f"{second.name!r} {shapes[1][0]} of {shapes[1][1]}. Compare a model with one tuned from it."
        )
    with torch.inference_mode():
        return torch.stack(
            [
                jensen_shannon(_queries(p, picks), _queries(q, picks)).sum(dim=0)
                for p, q in zip(base_attention, tuned_attention, strict=True)
            ]
        )


def _queries(attention: torch.Tensor, picks: torch.Tensor) -> torch.Tensor:
    """Select query positions: (sequences, heads, tokens, tokens) to (positions, heads, tokens)."""
    return attention.transpose(1, 2).flatten(0, 1).index_select(0, picks.to(attention.device))


def _attention(encoder: Encoder, ids: torch.Tensor, types: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
    module: Any = encoder.module
    options = {"use_cache": False} if hasattr(module.config, "use_cache") else {}

    def forward(ids: torch.Tensor, mask: torch.Tensor, *types: torch.Tensor) -> tuple[torch.Tensor, ...]:
        given = dict(zip(("token_type_ids",), types, strict=False))
        output = module(input_ids=ids, attention_mask=mask, output_attentions=True, **given, **options)
        attention = getattr(output, "attentions", None)
        if not attention or any(one is None or one.ndim != 4 for one in attention):
            raise ModelError(
                f"Attention is read from what a model returns: {encoder.name!r} ({type(module).__name__}) returns "
                "none. Use a transformer whose blocks all attend."
            )
        return tuple(attention)

    types = None if types is None else types.to(encoder.device)
    return encoder.run(forward, ids.to(encoder.device), types, token_axes=(2, 3))


@contextmanager
def _eager(encoder: Encoder) -> Iterator[None]:
    """Use the implementation that returns attention weights, and restore the previous one at the end."""
    module: Any = encoder.module
    previous = getattr(module.config, "_attn_implementation", None)
    try:
        module.set_attn_implementation("eager")
    except (AttributeError, ValueError) as error:
        raise ModelError(
            f"Attention needs the eager implementation, which {encoder.name!r} lacks ({first_line(error)}). Use a "
            "model that has it."
        ) from error
    try:
        yield
    finally:
        if previous is not None:
            module.set_attn_implementation(previous)
