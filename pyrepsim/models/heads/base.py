"""What every head is: hidden states in, named scores out, and the loss of those scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch

__all__ = ["Batch", "Head", "linear"]

Batch = Mapping[str, torch.Tensor]


class Head(torch.nn.Module, ABC):
    """A task layer over hidden states of shape (batch, tokens, width)."""

    @abstractmethod
    def forward(self, hidden: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
        """Scores by name, each with the batch as its first axis."""

    @abstractmethod
    def loss(self, outputs: Batch, batch: Batch) -> torch.Tensor:
        """The mean loss of these scores against the targets in `batch`."""


def linear(width: int, outputs: int) -> torch.nn.Linear:
    """A linear layer as BERT begins its own: weights from N(0, 0.02), biases at zero."""
    layer = torch.nn.Linear(width, outputs)
    torch.nn.init.normal_(layer.weight, std=0.02)
    torch.nn.init.zeros_(layer.bias)
    return layer
