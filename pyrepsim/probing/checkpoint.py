"""Training states of probes on disk: written after each validation, resumed only with the same request."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..core import states

__all__ = ["load_state", "save_state"]


def save_state(path: Path, state: Mapping[str, Any], request: Mapping[str, Any]) -> None:
    """Write a state of tensors and plain values with its request and digest, and keep the one before it."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)  # to a file, it would replace the error of a full disk by one of its own
    states.save_state(path, lambda file: file.write(buffer.getbuffer()), request)


def load_state(path: Path, request: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the newest undamaged state with its tensors on the CPU, or None if there is none.

    A damaged one is set aside with a warning. Raises StoreError for the state of another request.
    """
    return states.load_state(path, request, lambda file: torch.load(file, map_location="cpu", weights_only=True))
