"""An encoder with a task's head on its last hidden state, and the files of the head."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialise

from ..core.errors import ModelError
from ..core.json_files import read
from ..core.outputs import replacing
from ..models.encoder import Encoder, first_line
from .heads import Head, build_head

__all__ = ["TaskModel", "load_head", "save_head"]

_ENCODER_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_SPEC, _WEIGHTS = "head.json", "head.safetensors"


class TaskModel(torch.nn.Module):
    """``head(encoder(batch))``. In training it returns the loss alone, otherwise the head's outputs.

    The modules `frozen` of the encoder stay in evaluation mode in training: they have no dropout.
    """

    def __init__(self, encoder: torch.nn.Module, head: Head, *, frozen: Sequence[torch.nn.Module] = ()):
        super().__init__()
        self.encoder = encoder
        self.head = head
        self._frozen = tuple(frozen)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for module in self._frozen:
            for child in module.modules():
                child.training = False
        return self

    def hidden(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The last hidden states of the encoder: (batch, tokens, width)."""
        return self.encoder(**{name: batch[name] for name in _ENCODER_INPUTS if name in batch}).last_hidden_state

    def forward(self, **batch: torch.Tensor) -> dict[str, torch.Tensor]:
        outputs = self.head(self.hidden(batch), batch)
        return {"loss": self.head.loss(outputs, batch)} if self.training else outputs


def save_head(folder: Path, head: Head, spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Write the head's weights and its description into a model's folder; return the names of the files."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in head.state_dict().items()}
    with replacing(folder / _WEIGHTS) as temporary:
        temporary.write_bytes(serialise(weights))
    with replacing(folder / _SPEC) as temporary:
        temporary.write_text(json.dumps(dict(spec), indent=2) + "\n", encoding="utf-8")
    return _WEIGHTS, _SPEC


def check_saved_head(folder: Path, encoder: Encoder, head: Head) -> None:
    """Raise ModelError unless the head that is loaded from a folder has the weights of `head`."""
    loaded, weights = load_head(folder, encoder).state_dict(), head.state_dict()
    if loaded.keys() != weights.keys() or not all(torch.equal(loaded[k], weights[k].cpu()) for k in weights):
        raise ModelError(
            f"A head must open again as it is: {type(head).__name__} has other weights after it was saved and loaded. "
            "Give its sizes in the task's head()."
        )


def load_head(folder: str | os.PathLike[str], encoder: Encoder) -> Head:
    """Load the head that `save_head` wrote, for this encoder.

    Raises
    ------
    ModelError
        If there is no head, or its weights do not fit the encoder's width or the head's description.
    """
    folder = Path(folder)
    width = list(encoder.layers.values())[-1]
    try:
        head = build_head(width, read(folder / _SPEC))
        weights = load_file(folder / _WEIGHTS)
    except FileNotFoundError as error:
        raise ModelError(
            f"A fine-tuned run holds {_SPEC} and {_WEIGHTS} beside its encoder: {str(folder)!r} lacks "
            f"{Path(error.filename or _WEIGHTS).name}. Give a folder that `finetune` wrote."
        ) from error
    except (OSError, ValueError, TypeError, RuntimeError, OverflowError, SafetensorError) as error:
        raise ModelError(
            f"A head must be readable: that in {str(folder)!r} is not ({first_line(error)}). Fine-tune again, or copy "
            "the files again."
        ) from error
    expected = {name: tuple(tensor.shape) for name, tensor in head.state_dict().items()}
    present = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if expected != present:
        wrong = sorted(expected.items() ^ present.items())[0][0]
        raise ModelError(
            f"A head must fit its encoder: in {str(folder)!r}, {wrong!r} is {present.get(wrong, 'absent')} and an "
            f"encoder of width {width} needs {expected.get(wrong, 'none')}. Keep a run's files together."
        )
    head.load_state_dict(weights)
    return head.to(encoder.device).eval()
