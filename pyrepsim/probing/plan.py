"""Plan a probing: what it would read, extract and store, without doing it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.memory import format_bytes
from ..data import read_texts
from ..extraction import plan_extraction
from ..extraction.options import with_keywords_of
from ..models import ModelLike
from .annotations import STRUCTURAL, read_splits
from .options import EdgeProbingOptions
from .workspace import open_workspace

__all__ = ["ProbingPlan", "SplitPlan", "plan_probing"]

_KEPT = ("sentences", "tokens", "targets", "records")


@dataclass(frozen=True)
class SplitPlan:
    """The plan of one split.

    Attributes
    ----------
    split : "train", "dev" or "test".
    sentences, tokens, targets : their numbers.
    n_bytes, n_bytes_left : size of the store, and how much of it is not written yet.
    seconds : estimated time of the extraction that is left.
    counts : counts that the reader made, including those of what it left out.
    """

    split: str
    sentences: int
    tokens: int
    targets: int
    n_bytes: int
    n_bytes_left: int
    seconds: float
    counts: Mapping[str, int]


@dataclass(frozen=True)
class ProbingPlan:
    """The splits of a probing, and the folder that its stores are written to."""

    splits: Sequence[SplitPlan]
    stores_folder: Path

    @property
    def n_bytes_left(self) -> int:
        """Bytes that are not written yet."""
        return sum(split.n_bytes_left for split in self.splits)

    def table(self) -> str:
        """Return the plan as text."""
        lines = []
        for split in self.splits:
            left_out = [f"{count:,} {name}" for name, count in split.counts.items() if name not in _KEPT and count]
            lines.append(
                f"{split.split:<5}  {split.sentences:,} sentences, {split.tokens:,} tokens, {split.targets:,} targets, "
                f"{format_bytes(split.n_bytes)}" + (f"; left out: {', '.join(left_out)}" if left_out else "")
            )
        seconds = sum(split.seconds for split in self.splits)
        lines.append(f"about {seconds:.0f} s to extract on this machine; the probes are trained after that")
        return "\n".join(lines)


@with_keywords_of(EdgeProbingOptions)
def plan_probing(model: ModelLike, task: str, *, out: str | os.PathLike[str], **options: Any) -> ProbingPlan:
    """Return the sentences, tokens, targets and bytes of each split. Nothing is written.

    Parameters
    ----------
    model, task, out, **options
        As in `probe_edge`. `task` may also be "structural", for `probe_structural`.

    Returns
    -------
    ProbingPlan

    Raises
    ------
    ModelError, TextError, OptionError
        If the model, the data or an option cannot be used.

    Examples
    --------
    >>> import json, pyrepsim as rs
    >>> record = {"text": "The cat sat", "targets": [{"span1": [1, 2], "label": "NOUN"}]}
    >>> with open("pos.jsonl", "w") as file:
    ...     print(json.dumps(record), file=file)
    >>> plan = rs.plan_probing("bert-base-uncased", "pos", out="probes/pos", train="pos.jsonl", dev="pos.jsonl")
    >>> [(split.split, split.sentences, split.targets) for split in plan.splits]
    [('train', 1, 1), ('dev', 1, 1)]
    """
    chosen = EdgeProbingOptions(**options)
    splits = read_splits(
        task, train=chosen.train, dev=chosen.dev, test=chosen.test, data=chosen.data, reading=chosen.reading,
        texts=chosen.texts,
    )  # fmt: skip
    workspace = open_workspace(model, out, chosen)
    words = "mean" if task == STRUCTURAL else None
    plans, planned_texts = [], set()
    for name, split in splits.items():
        corpus = read_texts(list(split.texts))
        path = None if chosen.overwrite else workspace.store_path(name, corpus, words)
        plan: Any = plan_extraction(
            workspace.encoder, corpus, out=path, worker="0/1", words=words, **workspace.options.extraction
        )
        size = plan.n_bytes, plan.n_bytes_left, plan.estimated_seconds or 0.0
        if corpus.fingerprint in planned_texts:  # the store is shared with an earlier split
            size = (0, 0, 0.0)
        planned_texts.add(corpus.fingerprint)
        plans.append(SplitPlan(name, len(corpus), plan.n_tokens, split.n_targets, *size, split.counts))
    return ProbingPlan(tuple(plans), workspace.stores_folder)
