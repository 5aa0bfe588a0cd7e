"""Early exit: a tuned model with its head on a lower block, or on several in one pass."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from functools import partial
from typing import Any

import torch

from ..models.blocks import find_blocks
from ..models.task_model import TaskModel
from ..models.truncation import truncate

__all__ = ["Exits", "early_exit"]


def early_exit(model: TaskModel, layers: int) -> TaskModel:
    """A copy of a tuned model with its head on block `layers`, the blocks above removed (Phang et al. 2021).

    A final normalisation, where the encoder has one, acts on that block's output.

    Raises
    ------
    ModelError
        If the encoder has fewer blocks, or cannot be cut.
    """
    shorter = copy.deepcopy(model)
    truncate(shorter.encoder, layers)
    return shorter


class Exits(torch.nn.Module):
    """A tuned model with its head on each of several blocks, ``{k: outputs}``. A batch passes each block once: the
    model that is cut at one exit is given what the blocks up to the exit below made of it.

    The weights are those of `model`, not copies.
    """

    def __init__(self, model: TaskModel, layers: Iterable[int]) -> None:
        super().__init__()
        shared = {id(tensor): tensor for tensor in [*model.parameters(), *model.buffers()]}
        self.layers = sorted(set(layers))
        self.models = torch.nn.ModuleList()
        self._outputs: dict[int, Any] = {}  # of each block that was run
        below = 0
        for k in self.layers:
            shorter = copy.deepcopy(model, dict(shared))
            truncate(shorter.encoder, k)
            blocks = find_blocks(shorter.encoder).modules
            for index, block in enumerate(blocks):
                if index < below:
                    block.forward = partial(self._known, index)
                else:
                    block.register_forward_hook(partial(self._keep, index))
            self.models.append(shorter)
            below = k

    def forward(self, **batch: torch.Tensor) -> dict[int, dict[str, torch.Tensor]]:
        found = {k: model(**batch) for k, model in zip(self.layers, self.models, strict=True)}
        self._outputs.clear()
        return found

    def _known(self, index: int, *_: Any, **__: Any) -> Any:
        return self._outputs[index]

    def _keep(self, index: int, _: torch.nn.Module, __: Any, output: Any) -> None:
        self._outputs[index] = output
