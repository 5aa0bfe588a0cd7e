"""Whether fine-tuned models look elsewhere: divergence of attention from the base, block by block and head by head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.errors import OptionError
from ..runner import Cell, Cost
from .aggregates import aggregate_cell
from .costs import Clock
from .plan import Plan
from .subjects import BASE, RANDOM, Subject, tuned
from .texts import corpus_columns, read_chosen, text_cell

if TYPE_CHECKING:
    from ...analysis.attention import AttentionDivergence

__all__ = ["attention_columns", "cells"]

_FORMAT = 1
_LONGEST = 256  # tokens of a sequence: longer ones are cut
_PASSES = 8  # both models, and the logarithms over all pairs of tokens, against one pass of one model


def cells(plan: Plan, clock: Clock) -> list[Cell]:
    """Of each tuned model on the texts that the scale names, of random weights as a floor, and means over seeds."""
    found = []
    for name in plan.scale.attention:
        corpus = plan.scale.corpora[name]
        if corpus.form != "sentences":
            raise OptionError(f"Attention is compared on single sentences: {name!r} is in the form {corpus.form!r}.")
        found.append(_cell(plan, clock, RANDOM, name))
        for task in corpus.domain:
            own = [_cell(plan, clock, subject, name) for subject in tuned(plan, task)]
            found += [*own, aggregate_cell("attention", f"{task}-{name}", [cell.id for cell in own])]
    return found


def _cell(plan: Plan, clock: Clock, subject: Subject, name: str) -> Cell:
    def run(_folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        from ...analysis.attention import attention_divergence

        base = BASE.encoder(plan, needed)
        longest = min(_LONGEST, base.max_length or _LONGEST)
        found = attention_divergence(
            base,
            subject.encoder(plan, needed),
            read_chosen(needed[text_cell(name)]),
            long="truncate",
            max_length=longest,
            progress=False,
        )
        shared = {**corpus_columns(plan, name, subject.task), **subject.columns()}
        return [plan.row(**shared, **columns) for columns in attention_columns(found)]

    return Cell(
        experiment="attention",
        name=f"{subject.label}-{name}",
        request={**subject.request(plan), "longest": _LONGEST},
        run=run,
        needs=(*plan.data_needs, text_cell(name), *subject.needs),
        format=_FORMAT,
        cost=lambda: Cost(_PASSES * clock.extraction(name).seconds),
    )


def attention_columns(found: AttentionDivergence) -> Iterator[dict[str, Any]]:
    """Columns of the rows: of each block, numbered from 1, the mean over heads, and each head as a member."""
    for block, (mean, heads) in enumerate(zip(found.per_block, found.values, strict=True)):
        columns = {"layer": block + 1, "layer_name": f"layer.{block}", "metric": "attention_js", "n": found.n_queries}
        yield {**columns, "value": float(mean)}
        for head, value in enumerate(heads):
            yield {**columns, "member": f"head.{head}", "value": float(value)}
