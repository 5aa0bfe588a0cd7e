"""The first and the last token of an answer."""

from __future__ import annotations

import torch
from torch.nn import functional

from .base import Batch, Head, linear

__all__ = ["SpanHead"]


class SpanHead(Head):
    """A start and an end score at every token (Devlin et al. 2019, section 4.2).

    Outputs ``"start"`` and ``"end"`` (batch, tokens), -inf at padding. Targets: ``"start"`` and ``"end"`` (batch,).
    """

    def __init__(self, width: int):
        super().__init__()
        self.scores = linear(width, 2)

    def forward(self, hidden: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
        scores = self.scores(hidden).float().masked_fill(batch["attention_mask"].unsqueeze(-1) == 0, -torch.inf)
        return {"start": scores[..., 0], "end": scores[..., 1]}

    def loss(self, outputs: Batch, batch: Batch) -> torch.Tensor:
        start = functional.cross_entropy(outputs["start"], batch["start"])
        return (start + functional.cross_entropy(outputs["end"], batch["end"])) / 2
