"""What a probing would read and store, said before it does."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from ...core.memory import format_bytes
from ...data import read_texts
from ...extraction import plan_extraction
from ...extraction.options import with_keywords_of
from .corpora import STRUCTURAL, read_parts
from .workspace import ProbingOptions, open_workspace

__all__ = ["PartPlan", "ProbingPlan", "plan_probing"]


@dataclass(frozen=True)
class PartPlan:
    """One part: what it holds, what its store takes, and what of that is still to be written."""

    part: str
    sentences: int
    tokens: int
    targets: int
    n_bytes: int
    n_bytes_left: int
    seconds: float
    read: Mapping[str, int]
    """What the reader counted, with all that it left out."""


@dataclass(frozen=True)
class ProbingPlan:
    """The parts of a probing, and the folder where their stores go."""

    parts: Sequence[PartPlan]
    shelf: Path

    @property
    def n_bytes_left(self) -> int:
        """Bytes that are still to be written."""
        return sum(part.n_bytes_left for part in self.parts)

    def table(self) -> str:
        """As text."""
        lines = []
        for part in self.parts:
            left_out = [f"{count:,} {name}" for name, count in part.read.items() if name not in _COUNTED and count]
            lines.append(
                f"{part.part:<5}  {part.sentences:,} sentences, {part.tokens:,} tokens, {part.targets:,} targets, "
                f"{format_bytes(part.n_bytes)}" + (f"; left out: {', '.join(left_out)}" if left_out else "")
            )
        seconds = sum(part.seconds for part in self.parts)
        lines.append(f"about {seconds:.0f} s to extract on this machine; the probes are trained after that")
        return "\n".join(lines)


_COUNTED = ("sentences", "tokens", "targets", "records")


@with_keywords_of(open_workspace)
def plan_probing(
    model: str | os.PathLike[str],
    task: str,
    *,
    out: str | os.PathLike[str],
    train: str | os.PathLike[str] | None = None,
    dev: str | os.PathLike[str] | None = None,
    test: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    reading: Mapping[str, Any] | None = None,
    **options: Unpack[ProbingOptions],
) -> ProbingPlan:
    """Sentences, tokens, targets and bytes of each part; nothing is written. `task` may be "structural" too.

    Parameters and errors as of `probe_edge`.
    """
    parts = read_parts(task, train=train, dev=dev, test=test, data=data, reading=reading)
    space = open_workspace(model, out, **options)
    words = "mean" if task == STRUCTURAL else None
    found, seen = [], set()
    for name, part in parts.items():
        corpus = read_texts(list(part.texts))
        path = space.path(name, corpus, words)
        planned = plan_extraction(
            space.encoder, corpus, out=None if space.overwrite else path, worker="0/1", words=words, **space.how
        )
        shared = corpus.fingerprint in seen
        seen.add(corpus.fingerprint)
        size = (0, 0, 0.0) if shared else (planned.n_bytes, planned.n_bytes_left, planned.estimated_seconds or 0.0)
        found.append(PartPlan(name, len(corpus), planned.n_tokens, part.n_targets, *size, part.counts))
    return ProbingPlan(tuple(found), space.shelf)
