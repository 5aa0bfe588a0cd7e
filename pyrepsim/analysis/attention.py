"""How differently two models attend: Jensen-Shannon divergence, head by head, over all real tokens."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..core.errors import ModelError, NonFiniteError, OptionError, TextError, check_choice
from ..core.progress import progress_bar
from ..data.texts import read_texts
from ..extraction.layout import Batch
from ..extraction.options import ReadingOptions
from ..extraction.plan import ExtractionPlan, check_positions, have_same_tokens, plans_of_both
from ..models import Encoder, load_encoder
from ..models.encoder import first_line
from ..store.columns import TOKENS, token_mask

__all__ = ["AttentionDivergence", "attention_divergence", "jensen_shannon"]

_BYTES_AT_ONCE = 1 << 26  # of float32 attention of all blocks of one model


@dataclass(frozen=True, eq=False)
class AttentionDivergence:
    """Made by `attention_divergence`.

    Attributes
    ----------
    values : (blocks, heads) mean divergence in bits over query positions, from 0 to 1.
    n_queries : over how many positions.
    base, tuned : names of the models.
    """

    values: np.ndarray
    n_queries: int
    base: str
    tuned: str

    @property
    def per_block(self) -> np.ndarray:
        """(blocks,) mean over heads."""
        return self.values.mean(axis=1)


def attention_divergence(
    base: str | os.PathLike[str] | Encoder,
    tuned: str | os.PathLike[str] | Encoder,
    texts: Any,
    *,
    tokens: str = "all",
    long: str = "error",
    max_length: int | None = None,
    batch_tokens: int = 4096,
    device: str = "auto",
    progress: bool | None = None,
) -> AttentionDivergence:
    """Jensen-Shannon divergence of the attention of two models, for each head of each block, as Hao et al. (2020).

    Both read the same batches. For a query position i with attention p and q over all real tokens it is
    JS(p, q) = H((p + q) / 2) - (H(p) + H(q)) / 2 in bits: 0 for equal attention, 1 for attention to disjoint tokens.
    Heads are matched by their place, as fine-tuning leaves them; padding is neither query nor key. Sums are in float64.
    What is held at once is the attention of one batch, or of a part of it where a batch has more than 64 MiB.

    Parameters
    ----------
    base, tuned : models of as many blocks and heads, whose tokenizers cut the texts alike.
    tokens : which positions count as queries: ``"all"``, or as in `compare` ``"content"``, ``"special"``, ``"cls"``.
    texts, long, max_length, batch_tokens, device, progress : as in `extract`. In windows each position counts once.

    Raises
    ------
    OptionError
        If the tokenizers differ, or for an option outside its domain.
    ModelError
        If a model gives no attention, or the two differ in blocks or heads.
    NonFiniteError, TextError
        As in `extract`, and where no position is chosen.

    Reference: Hao, Dong, Wei & Xu (2020), Investigating Learning Dynamics of BERT Fine-Tuning, section 3.
    """
    check_choice("tokens", tokens, TOKENS)
    first, second = (
        model if isinstance(model, Encoder) else load_encoder(model, device=device) for model in (base, tuned)
    )
    plan = _shared_plan(first, second, texts, long=long, max_length=max_length, batch_tokens=batch_tokens)
    sums: torch.Tensor | None = None
    n_queries = 0
    with progress_bar(plan.n_tokens, progress, desc="attention", unit=" tokens") as bar, _eager(first), _eager(second):
        for layout in plan.shards():
            keep = token_mask(layout.columns, tokens, layout.n_rows)
            for batch in layout.batches():
                for ids, picks in _parts(batch.select(keep), first):
                    found = _sums(first, second, ids, picks)
                    sums = found if sums is None else sums + found
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
    """JS(p, q) in bits along the last dimension, of distributions scaled to sum 1; float64.

    sum_j m ((1 + d) ln(1 + d) + (1 - d) ln(1 - d)) / (2 ln 2) with m = (p + q) / 2 and d = (p - q) / (p + q): exactly 0
    for equal p and q, and as exact for nearly equal ones, where differences of entropies would leave rounding alone.
    """
    p, q = (one.double() / one.double().sum(dim=-1, keepdim=True) for one in (p, q))
    total = p + q
    apart = torch.where(total > 0, (p - q) / total, 0.0)
    terms = torch.special.xlog1py(1 + apart, apart) + torch.special.xlog1py(1 - apart, -apart)
    return (total * terms).sum(dim=-1) / (4 * np.log(2))


def _shared_plan(first: Encoder, second: Encoder, texts: Any, **reading: Any) -> ExtractionPlan:
    plan, other = plans_of_both((first, second), read_texts(texts), ReadingOptions(**reading))
    if not have_same_tokens(plan, other):
        raise OptionError(
            f"Attention is compared token by token: {first.name!r} and {second.name!r} cut the texts into other "
            "tokens. Compare models of one tokenizer."
        )
    for encoder in (first, second):
        check_positions(plan, encoder)
    return plan


def _parts(batch: Batch, encoder: Encoder) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Token ids of a few sequences at a time, padded with -1, and their query positions, flattened."""
    n, width = batch.ids.shape
    config: Any = encoder.module.config
    one = 4 * config.num_hidden_layers * config.num_attention_heads * width**2
    step = max(1, _BYTES_AT_ONCE // one)
    line = batch.picks // width
    for begin in range(0, n, step):
        end = min(begin + step, n)
        picks = batch.picks[(line >= begin) & (line < end)] - begin * width
        if len(picks):
            yield torch.from_numpy(batch.ids[begin:end]), torch.from_numpy(picks)


def _sums(first: Encoder, second: Encoder, ids: torch.Tensor, picks: torch.Tensor) -> torch.Tensor:
    """(blocks, heads) sums of divergences over the query positions."""
    ours, theirs = (_attention(encoder, ids) for encoder in (first, second))
    shapes = [(len(one), *one[0].shape[1:2]) for one in (ours, theirs)]
    if shapes[0] != shapes[1]:
        raise ModelError(
            f"Attention is compared head by head: {first.name!r} has {shapes[0][0]} blocks of {shapes[0][1]} heads, "
            f"{second.name!r} {shapes[1][0]} of {shapes[1][1]}. Compare a model with one tuned from it."
        )
    with torch.inference_mode():
        return torch.stack(
            [
                jensen_shannon(_queries(p, picks), _queries(q, picks)).sum(dim=0)
                for p, q in zip(ours, theirs, strict=True)
            ]
        )


def _queries(attention: torch.Tensor, picks: torch.Tensor) -> torch.Tensor:
    """(sequences, heads, tokens, tokens) to (positions, heads, tokens)."""
    return attention.transpose(1, 2).flatten(0, 1).index_select(0, picks.to(attention.device))


def _attention(encoder: Encoder, ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
    ids = ids.to(encoder.device)
    mask = ids >= 0
    module: Any = encoder.module
    options = {"use_cache": False} if hasattr(module.config, "use_cache") else {}
    with torch.inference_mode():
        found = module(
            input_ids=ids.masked_fill(~mask, encoder.pad_id),
            attention_mask=mask.long(),
            output_attentions=True,
            **options,
        )
    attention = getattr(found, "attentions", None)
    if not attention or any(one is None or one.ndim != 4 for one in attention):
        raise ModelError(
            f"Attention is read from what a model returns: {encoder.name!r} ({type(module).__name__}) returns none. "
            "Use a transformer whose blocks all attend."
        )
    return tuple(attention)


@contextmanager
def _eager(encoder: Encoder) -> Iterator[None]:
    """The implementation that forms the whole attention; the model is left as it was."""
    module: Any = encoder.module
    before = getattr(module.config, "_attn_implementation", None)
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
        if before is not None:
            module.set_attn_implementation(before)
