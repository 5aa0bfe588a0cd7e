"""Probes on disk, after each epoch: what a run goes on from."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from ...core.errors import StoreError
from ...core.outputs import replacing
from .training import TrainingState

__all__ = ["load_state", "save_state"]

_KEY = "structural probe"


def save_state(path: Path, state: TrainingState, run: dict[str, Any]) -> None:
    """Write the state as safetensors, whole or not at all; `run` says which run it belongs to."""
    from safetensors.torch import save_file

    tensors = {}
    for field in fields(state):
        value = getattr(state, field.name)
        tensors[field.name] = (value if isinstance(value, torch.Tensor) else torch.as_tensor(value)).cpu().contiguous()
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={_KEY: json.dumps(run, sort_keys=True)})


def load_state(path: Path, run: dict[str, Any]) -> TrainingState | None:
    """The state at `path` if there is one; StoreError if it is that of another run, or no such file."""
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            found = json.loads((file.metadata() or {})[_KEY])
            tensors = {field.name: file.get_tensor(field.name) for field in fields(TrainingState)}
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise StoreError(
            f"A run goes on from a file that pyrepsim wrote: {path} is none, or damaged ({error}). Remove it, and its "
            "seed is trained from the start."
        ) from error
    differing = sorted(key for key in run.keys() | found.keys() if run.get(key) != found.get(key))
    if differing:
        raise StoreError(
            f"A run goes on with what it was begun with: that in {path} differs in {', '.join(differing)}. Use another "
            "folder for out, or remove the file."
        )
    values: dict[str, Any] = {}
    for name, tensor in tensors.items():
        is_weight = tensor.dtype == torch.float32
        values[name] = tensor if is_weight else tensor.numpy() if tensor.ndim else int(tensor)
    return TrainingState(**values)
