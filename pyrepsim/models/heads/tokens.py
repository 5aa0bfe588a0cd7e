"""One label a token."""

from __future__ import annotations

import torch
from torch.nn import functional

from .base import Batch, Head, linear

__all__ = ["TokenHead"]


class TokenHead(Head):
    """Dropout and a linear layer at every token (Devlin et al. 2019, section 5.3).

    Outputs ``"logits"`` (batch, tokens, labels). Target: ``"labels"`` (batch, tokens), -100 where there is none.
    """

    def __init__(self, width: int, *, labels: int, dropout: float = 0.1):
        super().__init__()
        self.dropout = torch.nn.Dropout(dropout)
        self.classifier = linear(width, labels)

    def forward(self, hidden: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
        del batch
        return {"logits": self.classifier(self.dropout(hidden))}

    def loss(self, outputs: Batch, batch: Batch) -> torch.Tensor:
        return functional.cross_entropy(outputs["logits"].float().flatten(0, 1), batch["labels"].flatten())
