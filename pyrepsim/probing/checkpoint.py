"""Training states of probes on disk: written after each validation, resumed only with the same request."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..core.errors import CorruptStoreError
from ..core.outputs import replacing
from ..core.resume import check_same_request, plain_json

__all__ = ["load_state", "save_state"]


def save_state(path: Path, state: Mapping[str, Any], request: Mapping[str, Any]) -> None:
    """Write a state of tensors and plain values with its request, in one step."""
    with replacing(path) as temporary:
        torch.save({"request": plain_json(request), "state": dict(state)}, temporary)


def load_state(path: Path, request: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the state at `path` with its tensors on the CPU, or None where there is no file.

    Raises StoreError for the state of another request, CorruptStoreError for a damaged file.
    """
    if not path.exists():
        return None
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        recorded, state = dict(saved["request"]), dict(saved["state"])
    except (OSError, RuntimeError, EOFError, KeyError, ValueError, TypeError, pickle.UnpicklingError) as error:
        raise CorruptStoreError(
            f"A training state must be complete: {path} cannot be read ({error}). Remove it to train from the start."
        ) from error
    check_same_request(recorded, request, where=path, remedy="Choose another folder, or remove the file.")
    return state
